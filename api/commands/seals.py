"""``fujie seal``: the register of seals, and taking a stamp out of a PDF."""

from typing import Annotated

import orjson
import typer

from api.commands import seal_upgrades
from api.commands.house import with_house
from api.commands.verify import extract
from api.wiring import House
from keys.base.actor import SYSTEM
from seal.changes import cancel_seal, report_seal_lost, resume_seal, suspend_seal
from seal.lifecycle import STATUS_NAMES
from seal.reads import Seal, get_seal, history, list_seals, uses_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Seals.", pretty_exceptions_enable=False)

Reason = Annotated[str, typer.Option(help="why; kept in the seal's history")]


def _summary(seal: Seal) -> dict[str, str]:
    return {
        "code": seal.code,
        "name": seal.name,
        "kind": seal.kind,
        "organisation": seal.organisation,
        "division": seal.division,
        "status": seal.status,
        "status_zh": STATUS_NAMES[seal.status][0],
        "valid_to": seal.valid_to.isoformat(),
    }


def _print(value: object) -> None:
    print(orjson.dumps(value).decode())


@app.command("list")
def list_all(organisation: Annotated[str | None, typer.Option(help="USCC; all without it")] = None) -> None:
    """Print the made seals, one JSON object a line."""

    async def journey(house: House) -> list[Seal]:
        found: list[Seal] = []
        async with house.database.session() as session:
            while page := await list_seals(session, organisation=organisation, after=found[-1].code if found else ""):
                found += page
        return found

    for seal in with_house(journey):
        _print(_summary(seal))


@app.command()
def show(code: str) -> None:
    """Print a seal with its history and its latest hundred uses."""

    async def journey(house: House) -> dict[str, object]:
        async with house.database.session() as session:
            seal = await get_seal(session, code)
            moves, uses = await history(session, code), await uses_of(session, code)
        told = [{"move": one.move, "to": one.new, "at": one.at, "by": one.actor_id, "reason": one.reason} for one in moves]
        used = [{"at": one.at, "by": one.actor_id, "matter": one.matter_code, "document": one.document_hash.hex()} for one in uses]
        return {**_summary(seal), "history": told, "uses": used}

    _print(with_house(journey))


@app.command()
def suspend(code: str, reason: Reason) -> None:
    """Stop a seal for now: from this instant it stamps nothing."""
    _print(_summary(with_house(lambda house: suspend_seal(house.database, house.clock, SYSTEM, code, reason))))


@app.command()
def resume(code: str, reason: Reason) -> None:
    """Let a suspended seal be used again."""
    _print(_summary(with_house(lambda house: resume_seal(house.database, house.clock, SYSTEM, code, reason))))


@app.command("report-lost")
def report_lost(code: str, reason: Reason) -> None:
    """Control over the seal was lost: stop it for good and revoke its certificates."""
    _print(_summary(with_house(lambda house: report_seal_lost(house.database, house.clock, SYSTEM, code, reason))))


@app.command()
def cancel(code: str, reason: Reason) -> None:
    """End a seal; its code is never given again."""
    _print(_summary(with_house(lambda house: cancel_seal(house.database, house.clock, SYSTEM, code, reason))))


app.command("extract")(extract)
app.add_typer(seal_upgrades.app, name="upgrades")
