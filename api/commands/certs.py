"""``fujie certs``: look at a certificate, and change its status, from the machine itself. Every command is audited."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands import library
from api.commands.house import with_house
from api.wiring import House
from certs.catalogue import parse_types
from certs.metadata import describe
from certs.reads import all_types, find_certificate, history, put_types, type_of
from certs.records import Certificate
from certs.standing import change_standing
from keys.base.actor import SYSTEM
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound
from keys.evidence.audit import Event, Outcome, record

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Certificates.", pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(help="id, GB/T 36904 identifier or verification code")]
Reason = Annotated[str, typer.Option(help="why; kept in the certificate's history")]


def _print(value: object) -> None:
    print(orjson.dumps(value).decode())


@app.command()
def show(name: Name) -> None:
    """Print a certificate with its history; numbers of people are masked."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            certificate = await _find(house, name)
            kind = await type_of(session, certificate)
            entries = await history(session, certificate.id)
        moves = [{"at": one.at.isoformat(), "operation": one.operation, "to": one.to_status, "reason": one.reason} for one in entries]
        _print(_summary(house, certificate) | {"metadata": describe(certificate, kind), "history": moves})

    with_house(journey)


@app.command()
def suspend(name: Name, reason: Reason) -> None:
    """Suspend a certificate in force."""
    _change(name, "suspend", reason)


@app.command()
def resume(name: Name, reason: Reason) -> None:
    """Put a suspended certificate into force again."""
    _change(name, "resume", reason)


@app.command()
def revoke(name: Name, reason: Reason) -> None:
    """Revoke a certificate (撤销); it never comes back."""
    _change(name, "revoke", reason)


@app.command()
def cancel(name: Name, reason: Reason) -> None:
    """Cancel a certificate (注销); it never comes back."""
    _change(name, "cancel", reason)


@app.command()
def types(
    load: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="JSON list of types to add or replace")] = None,
) -> None:
    """Print the catalogue of certificate types, one a line; or load types from a file first."""
    document = load.read_bytes() if load else None

    async def journey(house: House) -> None:
        if document is not None:
            await _load(house, document)
        async with house.database.session() as session:
            for kind in (await all_types(session)).values():
                _print({"code": kind.code, "name_zh": kind.name_zh, "name_en": kind.name_en, "issued_here": kind.issued_here})

    with_house(journey)


async def _load(house: House, document: bytes) -> None:
    try:
        kinds = parse_types(document)
    except (KeyError, TypeError, ValueError):
        raise InvalidInput("not a JSON list of certificate types") from None
    now = house.clock.now()
    async with house.database.begin() as session:
        await put_types(session, now, kinds)
        for kind in kinds:
            await record(session, now, Event("certs.type.put", f"certificate-type:{kind.code}", Outcome.DONE, SYSTEM))


def _change(name: str, move: str, reason: str) -> None:
    async def journey(house: House) -> None:
        certificate = await _find(house, name)
        _print(_summary(house, await change_standing(house.database, house.clock, SYSTEM, certificate.id, move, reason)))

    with_house(journey)


async def _find(house: House, name: str) -> Certificate:
    async with house.database.session() as session:
        found = await find_certificate(session, name)
    if found is None:
        raise NotFound(name[:80])
    return found


def _summary(house: House, certificate: Certificate) -> dict[str, object]:
    return {
        "id": str(certificate.id),
        "identifier": certificate.identifier,
        "verification_code": certificate.verification_code,
        "stage": certificate.stage.value,
        "status": certificate.standing(civil_date(house.clock.now())).value,
        "status_code": certificate.status.value,
    }


for _name, _command in library.COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(library.retention, name="retention")
app.add_typer(library.hold, name="hold")
