"""``fujie certs``: look at a certificate, and change its status, from the machine itself. Every command is audited."""

from typing import Annotated

import orjson
import typer

from api.commands import cert_types, certificate_life, copies, glyphs, issuing, library
from api.commands.certificate_life import Basis, Code, Reason, grounds_of
from api.commands.house import with_house
from api.wiring import House
from certs.grounds import Grounds
from certs.metadata import describe
from certs.reads import all_types, find_certificate, history, type_of
from certs.records import Certificate
from certs.standing import change_standing
from keys.base.actor import SYSTEM
from keys.base.clock import civil_date
from keys.base.errors import NotFound

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Certificates.", pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(help="id, GB/T 36904 identifier or verification code")]


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
def suspend(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Suspend a certificate in force."""
    _change(name, "suspend", grounds_of(reason, code, basis))


@app.command()
def resume(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Put a suspended certificate into force again."""
    _change(name, "resume", grounds_of(reason, code, basis))


@app.command()
def revoke(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Revoke a certificate (撤销); it never comes back."""
    _change(name, "revoke", grounds_of(reason, code, basis))


@app.command()
def cancel(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Cancel a certificate (注销); it never comes back."""
    _change(name, "cancel", grounds_of(reason, code, basis))


@app.command()
def types() -> None:
    """Print the types that are or were in force, one a line; ``fujie certs type`` keeps them."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for kind in (await all_types(session)).values():
                _print({"code": kind.code, "name_zh": kind.name_zh, "name_en": kind.name_en, "issued_here": kind.issued_here})

    with_house(journey)


def _change(name: str, move: str, grounds: Grounds) -> None:
    async def journey(house: House) -> None:
        certificate = await _find(house, name)
        _print(_summary(house, await change_standing(house.database, house.clock, SYSTEM, certificate.id, move, grounds)))

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


for _name, _command in (library.COMMANDS | certificate_life.COMMANDS).items():
    app.command(_name)(_command)
app.add_typer(library.retention, name="retention")
app.add_typer(certificate_life.reasons, name="reason")
app.add_typer(certificate_life.annual, name="annual")
app.add_typer(library.hold, name="hold")
app.add_typer(cert_types.types, name="type")
app.add_typer(cert_types.matters, name="matter")
app.add_typer(glyphs.app, name="glyph")
app.add_typer(issuing.entrusting, name="entrust")
app.add_typer(issuing.numbers, name="number")
app.add_typer(issuing.merging, name="merge")
app.add_typer(copies.copies, name="copy")
app.add_typer(copies.access, name="access")
