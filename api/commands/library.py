"""``fujie certs find | scrub | orphans | export | retention | hold``: the library from the machine itself. Every command is audited."""

import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.library_keeping import scrubbing_of
from api.wiring import House
from certs.export_parts import State, export_to
from certs.exporting import Format, Wanted
from certs.finding import Search, search
from certs.indexing import index_waiting
from certs.library import Library
from certs.orphans import sweep_orphans
from certs.reads import find_certificate
from certs.records import Certificate
from certs.retention import Rule, lift_hold, place_hold, rules, set_rule
from certs.scrubbing import Round, findings, scrub_all
from identity.numbers import is_person
from keys.base.actor import SYSTEM
from keys.base.clock import civil_date
from keys.base.errors import NotFound

Purpose = Annotated[str, typer.Option(help="why; it is logged, and holders see it")]
Day = Annotated[str, typer.Option(metavar="YYYY-MM-DD")]
Name = Annotated[str, typer.Argument(help="id, GB/T 36904 identifier or verification code")]
retention = typer.Typer(add_completion=False, no_args_is_help=True, help="How long certificates are kept.")
hold = typer.Typer(add_completion=False, no_args_is_help=True, help="Certificates that are kept whatever their age.")


def say(value: object) -> None:
    """One JSON object a line."""
    print(orjson.dumps(value).decode(), flush=True)


def _library(house: House) -> Library:
    return Library(house.database, house.clock, house.blobs, house.personal)


def find(
    purpose: Purpose,
    holder: Annotated[str, typer.Option(help="an organisation's credit code; a person's number is asked for, never given here")] = "",
    code_type: Annotated[str, typer.Option(help="of the holder, GB/T 36903: 001 organisation, 111 resident ID …")] = "",
    identifier: str = "",
    number: str = "",
    type_code: Annotated[str, typer.Option("--type", help="type code")] = "",
    issuer: Annotated[str, typer.Option(help="USCC")] = "",
    status: Annotated[str, typer.Option(help="in_force, expired, suspended, revoked, cancelled, superseded, disposed …")] = "",
    issued_from: Day = "",
    issued_to: Day = "",
    text: Annotated[str, typer.Option(help="words that stand anywhere in the record")] = "",
    most: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 50,
) -> None:
    """Find certificates, newest first, one JSON object a line. All that is given must hold; numbers of people are masked."""
    code = _holder_code(holder, code_type)
    kind = code_type or ("001" if holder else "")
    query = Search(
        code, kind, purpose, type_code or None, identifier=identifier or None, number=number or None, issuer=issuer or None,
        status=status or None, issued_from=_day(issued_from), issued_to=_day(issued_to), text=text or None, limit=min(most, 200),
    )  # fmt: skip

    async def journey(house: House) -> None:
        await index_waiting(house.database)
        left, cursor = most, None
        while left > 0:
            page = await search(_library(house), SYSTEM, Search(**(asdict(query) | {"cursor": cursor, "limit": min(left, 200)})))
            for one in page.items:
                say(_found(one, civil_date(house.clock.now())))
            left, cursor = left - len(page.items), page.next_cursor
            if cursor is None:
                return

    with_house(journey)


def _holder_code(holder: str, code_type: str) -> str:
    """A person's number is typed where nobody sees it, or read from a pipe: not from the command line, which everybody may list."""
    if not code_type or not is_person(code_type):
        return holder
    if holder:
        raise typer.BadParameter("a person's number is asked for: leave it out", param_hint="--holder")
    return str(typer.prompt("number", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline().strip()


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise typer.BadParameter("YYYY-MM-DD") from None


def _found(one: Certificate, today: dt.date) -> dict[str, object]:
    return {
        "id": str(one.id), "identifier": one.identifier, "type": one.type_code, "type_name": one.type_name, "number": one.number,
        "issuer": one.issuer_name, "issued_on": one.issued_on, "valid_to": one.valid_to, "status": one.standing(today).value,
        "holders": [{"name": holder.name, "code": holder.code_masked} for holder in one.holders],
    }  # fmt: skip


def scrub() -> None:
    """Read every stored file again and compare it with its hash, from the beginning, now. Exit 1 if one is damaged or gone."""

    async def journey(house: House) -> int:
        def tell(done: Round) -> None:
            print(f"{done.files:,} files, {done.octets / 1e6:,.0f} MB, {done.open_findings} damaged or gone", file=sys.stderr)

        done = await scrub_all(scrubbing_of(house), tell)
        async with house.database.session() as session:
            found = await findings(session)
        for one in found:
            say({"file": one.digest.hex(), "kind": one.kind, "found_at": one.found_at})
        say({"round": done.number, "files": done.files, "octets": done.octets, "damaged": done.open_findings})
        return done.open_findings

    raise SystemExit(1 if with_house(journey) else 0)


def orphans(
    hours: Annotated[float, typer.Option(min=1, help="how old a file nobody refers to must be; by default as FUJIE_ORPHAN_HOURS says")] = 0,
) -> None:
    """Retire files that nobody refers to, and delete those that were retired as long ago. No file with a record is touched."""

    async def journey(house: House) -> None:
        grace = dt.timedelta(hours=hours or house.settings.orphan_hours)
        say(asdict(await sweep_orphans(house.database, house.clock, house.blobs, grace)))

    with_house(journey)


def export(
    folder: Annotated[Path, typer.Argument(help="a new folder, or that of the export to go on with", file_okay=False)],
    purpose: Purpose,
    issuer: Annotated[str, typer.Option(help="USCC; all without it")] = "",
    type_code: Annotated[str, typer.Option("--type", help="type code")] = "",
    issued_from: Day = "",
    issued_to: Day = "",
    lines: Annotated[Format, typer.Option("--format", help="of the lines")] = Format.JSON_LINES,
    files: Annotated[bool, typer.Option("--files", help="with the certificates' PDFs")] = False,
    numbers: Annotated[bool, typer.Option("--numbers", help="with numbers of people; needs --legal-basis")] = False,
    legal_basis: str = "",
) -> None:
    """Write certificates to FOLDER as numbered zip archives. Interrupted, the same command goes on. Exit 1 if files were missing."""
    wanted = Wanted(purpose, issuer or None, type_code or None, _day(issued_from), _day(issued_to), lines, numbers, legal_basis)

    async def journey(house: House) -> State:
        def tell(state: State) -> None:
            print(f"part {state.parts}: {state.certificates:,} certificates", file=sys.stderr)

        return await export_to(_library(house), SYSTEM, wanted, folder.absolute(), files=files, tell=tell)

    state = with_house(journey)
    say({"parts": state.parts, "certificates": state.certificates, "missing_files": state.missing})
    raise SystemExit(1 if state.missing else 0)


@retention.command("set")
def set_retention(
    type_code: str, years: Annotated[int, typer.Argument(min=0)], basis: Annotated[str, typer.Option(help="the rule's legal basis")]
) -> None:
    """Keep certificates of a type for YEARS after the end of their validity; without a rule they are kept for ever."""

    async def journey(house: House) -> None:
        async with house.database.begin() as session:
            await set_rule(session, house.clock.now(), SYSTEM, Rule(type_code, years, basis))

    with_house(journey)


@retention.command("list")
def list_retention() -> None:
    """Print the rules, one a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for rule in await rules(session):
                say(asdict(rule))

    with_house(journey)


@hold.command("place")
def place(name: Name, reason: Annotated[str, typer.Option(help="why; kept in the record")]) -> None:
    """Keep a certificate whatever its age."""

    async def journey(house: House) -> None:
        await place_hold(house.database, house.clock.now(), SYSTEM, (await _named(house, name)).id, reason)

    with_house(journey)


@hold.command("lift")
def lift(name: Name) -> None:
    """The hold is over."""

    async def journey(house: House) -> None:
        await lift_hold(house.database, house.clock.now(), SYSTEM, (await _named(house, name)).id)

    with_house(journey)


async def _named(house: House, name: str) -> Certificate:
    async with house.database.session() as session:
        found = await find_certificate(session, name)
    if found is None:
        raise NotFound(name[:80])
    return found


COMMANDS: dict[str, Callable[..., None]] = {"find": find, "scrub": scrub, "orphans": orphans, "export": export}
