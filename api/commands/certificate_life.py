"""``fujie certs withdraw | status | transfer | moves | reason | annual | document``: a certificate's life from the machine itself."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.sealing import sealing_of
from api.wiring import House
from certs.annual_checks import AnnualRule, Found, Result, annual_rule, overdue, record_check, set_rule
from certs.approvals import HolderInput
from certs.bulk_moves import BulkMove, ask, get_job, report_lines, work
from certs.grounds import Grounds, MoveReason
from certs.life import status_then
from certs.own_documents import TYPE, OwnDocument, register
from certs.own_paper_values import CodeWish, SealWish
from certs.reads import find_certificate, history
from certs.reason_keeping import add_reason, all_reasons, retire_reason
from certs.records import Certificate
from certs.standing import change_standing
from certs.transfers import transfer, undo_transfer
from keys.base.actor import SYSTEM
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound
from keys.base.ids import new_code

reasons = typer.Typer(add_completion=False, no_args_is_help=True, help="Reasons of moves, with their legal basis.")
annual = typer.Typer(add_completion=False, no_args_is_help=True, help="Annual checks (年检).")
Name = Annotated[str, typer.Argument(help="id, GB/T 36904 identifier or verification code")]
Reason = Annotated[str, typer.Option(help="why, in words; kept in the certificate's history")]
Code = Annotated[str, typer.Option("--code", help="a reason's code (fujie certs reason list); its words then suffice")]
Basis = Annotated[str, typer.Option("--basis", help="the law, where it is not the code's")]


def say(value: object) -> None:
    """One JSON object a line."""
    print(orjson.dumps(value, default=str).decode(), flush=True)


def grounds_of(reason: str, code: str, basis: str) -> Grounds:
    """The grounds that were given as options."""
    return Grounds(reason, code or None, basis or None)


def withdraw(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Withdraw a certificate as a penalty (吊销); it never comes back."""

    async def journey(house: House) -> None:
        found = await _named(house, name)
        moved = await change_standing(house.database, house.clock, SYSTEM, found.id, "withdraw", grounds_of(reason, code, basis))
        say(_told(house, moved))

    with_house(journey)


def status(name: Name, at: Annotated[str, typer.Option(help="an instant, ISO 8601 with its offset; without it, now")] = "") -> None:
    """Print the status that stood at an instant."""

    async def journey(house: House) -> None:
        instant = _instant(at) if at else house.clock.now()
        found = await _named(house, name)
        async with house.database.session() as session:
            then = status_then(found, await history(session, found.id), instant)
        entry = then.entry
        say(
            {"id": found.id, "identifier": found.identifier, "at": then.at, "status": then.standing.value,
             "status_code": then.status.value if then.status else None, "since": entry.at if entry else None,
             "reason": entry.reason if entry else None, "legal_basis": entry.legal_basis if entry else None}
        )  # fmt: skip

    with_house(journey)


def transfer_out(
    name: Name,
    to: Annotated[str, typer.Option(help="USCC of the organisation that will issue the successor")],
    reason: Reason = "",
    code: Code = "",
    basis: Basis = "",
) -> None:
    """Let a certificate pass to another issuer (迁出)."""

    async def journey(house: House) -> None:
        found = await _named(house, name)
        say(_told(house, await transfer(house.database, house.clock, SYSTEM, found.id, to, grounds_of(reason, code, basis))))

    with_house(journey)


def take_back(name: Name, reason: Reason = "", code: Code = "", basis: Basis = "") -> None:
    """Take a transfer back before the other issuer has issued its successor."""

    async def journey(house: House) -> None:
        found = await _named(house, name)
        say(_told(house, await undo_transfer(house.database, house.clock, SYSTEM, found.id, grounds_of(reason, code, basis))))

    with_house(journey)


def moves(
    move: Annotated[str, typer.Argument(help="suspend, resume, revoke, withdraw or cancel")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="one certificate a line: id, identifier or code")],
    reason: Reason = "",
    code: Code = "",
    basis: Basis = "",
    dry_run: Annotated[bool, typer.Option(help="ask everything, change nothing")] = False,
    key: Annotated[str, typer.Option(help="makes the command repeatable: the same key goes on where it stopped")] = "",
) -> None:
    """Make one move for every certificate named in a file; prints one line for each, then the counts."""
    names = tuple(file.read_text(encoding="utf-8-sig").split())

    async def journey(house: House) -> None:
        wanted = BulkMove(move, grounds_of(reason, code, basis), names, dry_run)
        job = await ask(house.database, house.clock, SYSTEM, wanted, key or new_code())
        while await work(house.database, house.clock, job_id=job.id):
            pass
        async for part in report_lines(house.database, job.id):
            for line in part:
                say(dataclasses.asdict(line))
        async with house.database.session() as session:
            done = await get_job(session, SYSTEM, job.id)
        say({"job": done.id, "items": done.items, "done": done.done, "outcomes": dict(done.outcomes)})

    with_house(journey)


def document(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="the PDF")],
    title: Annotated[str, typer.Option()],
    issuer: Annotated[str, typer.Option(help="USCC")],
    matter: Annotated[str, typer.Option(help="matter code")],
    seal: Annotated[str, typer.Option(help="a seal's code, or its kind within the issuer")],
    holder: Annotated[str, typer.Option(help="name of the organisation it concerns")],
    holder_code: Annotated[str, typer.Option(help="its credit code; people are named over the API or the page")],
    number: Annotated[str, typer.Option(help="the document's own number; without it the type's rule makes one")] = "",
    keyword: Annotated[str, typer.Option(help="the seal goes where these words stand last")] = "（盖章）",
    code_page: Annotated[bool, typer.Option("--code-page", help="put the code on a page of its own")] = False,
    type_code: Annotated[str, typer.Option("--type")] = TYPE,
) -> None:
    """Number and register a department's own PDF (批文); it waits for an approver, who seals it on the page."""
    order = OwnDocument(
        title=title, matter_code=matter, seal=seal, issuer=issuer, number=number, type_code=type_code,
        holders=(HolderInput(holder, holder_code, "001"),), seal_place=SealWish(keyword=keyword),
        code_place=CodeWish("page" if code_page else "auto"),
    )  # fmt: skip

    async def journey(house: House) -> None:
        actor = dataclasses.replace(SYSTEM, organisation=issuer)
        done = await register(house.issuing, sealing_of(house).rebuilder, actor, order, file.read_bytes(), new_code())
        outcome = done.outcome
        say({"id": outcome.id, "identifier": outcome.identifier, "status": outcome.status, "removed": dict(done.removed)})

    with_house(journey)


@reasons.command("list")
def list_reasons(move: Annotated[str, typer.Option(help="only those for this move")] = "") -> None:
    """Print the reasons, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for one in await all_reasons(session):
                if not move or move in one.moves:
                    say(dataclasses.asdict(one))

    with_house(journey)


@reasons.command("add")
def add(
    code: Annotated[str, typer.Argument(help="capital letters, digits and underscores")],
    zh: Annotated[str, typer.Option()],
    en: Annotated[str, typer.Option()],
    move: Annotated[list[str], typer.Option(help="a move it is for; may be given several times")],
    basis_zh: str = "",
    basis_en: str = "",
) -> None:
    """Add a reason of this house. What it says never changes; retire it instead."""

    async def journey(house: House) -> None:
        made = await add_reason(
            house.database, house.clock, SYSTEM, MoveReason(code, tuple(move), zh, en, basis_zh, basis_en, shipped=False)
        )
        say(dataclasses.asdict(made))

    with_house(journey)


@reasons.command("retire")
def retire(code: str) -> None:
    """Take a reason of this house out of use."""

    async def journey(house: House) -> None:
        say(dataclasses.asdict(await retire_reason(house.database, house.clock, SYSTEM, code)))

    with_house(journey)


@annual.command("rule")
def rule(type_code: str, month: int, day: int, basis: Annotated[str, typer.Option(help="the rule it follows from")]) -> None:
    """Certificates of a type are checked by this day of every year."""

    async def journey(house: House) -> None:
        say(dataclasses.asdict(await set_rule(house.database, house.clock, SYSTEM, AnnualRule(type_code, month, day, basis))))

    with_house(journey)


@annual.command("record")
def record(name: Name, year: int, result: Annotated[Result, typer.Option()], remark: str = "", suspend: bool = False) -> None:
    """Record what an annual check found; ``--suspend`` suspends what was not passed."""

    async def journey(house: House) -> None:
        found = await _named(house, name)
        checked = await record_check(house.database, house.clock, SYSTEM, found.id, Found(year, result, remark, suspend))
        say(_told(house, checked) | {"year": year, "result": result.value})

    with_house(journey)


@annual.command("overdue")
def list_overdue(type_code: str, issuer: Annotated[str, typer.Option(help="USCC")]) -> None:
    """Print an issuer's certificates of a type whose check is overdue, one a line."""

    async def journey(house: House) -> None:
        today, cursor = civil_date(house.clock.now()), None
        async with house.database.session() as session:
            found_rule = await annual_rule(session, type_code)
            if found_rule is None:
                raise NotFound("annual rule")
            while late := await overdue(session, today, issuer, found_rule, cursor=cursor):
                for one in late:
                    say(_told(house, one))
                cursor = late[-1].id

    with_house(journey)


async def _named(house: House, name: str) -> Certificate:
    async with house.database.session() as session:
        found = await find_certificate(session, name)
    if found is None:
        raise NotFound(name[:80])
    return found


def _told(house: House, certificate: Certificate) -> dict[str, object]:
    return {
        "id": certificate.id, "identifier": certificate.identifier, "status": certificate.standing(civil_date(house.clock.now())).value,
        "status_code": certificate.status.value,
    }  # fmt: skip


def _instant(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput("at", errors=[{"field": "at", "message": "ISO 8601 with an offset"}])
    return found


COMMANDS: dict[str, Callable[..., None]] = {
    "withdraw": withdraw, "status": status, "transfer": transfer_out, "undo-transfer": take_back, "moves": moves, "document": document,
}  # fmt: skip
