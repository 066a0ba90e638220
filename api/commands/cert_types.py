"""``fujie certs type`` and ``fujie certs matter``: the catalogue of certificate types, and the papers that matters ask for.

Writing may be done by the system itself; what reviews (publish, send-back, retire) takes a person: ``--as NAME``, who logs in at the
terminal with both factors.
"""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from api.catalogue_views import change_json, entry_json, kept_json, version_json
from api.commands.house import with_house
from api.commands.seal_life import acted
from api.files import require_new
from api.wiring import House
from certs.availability import saved
from certs.catalogue_directory import directory
from certs.catalogue_files import write_csv
from certs.catalogue_import import REFUSED, UNCHANGED, RowReport, Step, import_types, step_many
from certs.catalogue_keeping import Kept, take_step, write_type, write_version
from certs.catalogue_reads import Wanted, find_types, get_before, get_version, get_versions, history_of_type, open_versions
from certs.matter_papers import import_papers, papers_of
from certs.type_diff import differences
from certs.type_lifecycle import TypeMove, TypeStatus
from certs.type_rules import read_definition
from certs.type_schema import json_schema
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import FujieError

types = typer.Typer(add_completion=False, no_args_is_help=True, help="The catalogue of certificate types.", pretty_exceptions_enable=False)
matters = typer.Typer(add_completion=False, no_args_is_help=True, help="Papers that matters ask for.", pretty_exceptions_enable=False)

Code = Annotated[str, typer.Argument(metavar="CODE", help="GB/T 36904 type code, 21 characters")]
Number = Annotated[int, typer.Argument(metavar="VERSION", help="1, 2, …")]
Input = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV with a header line, or JSON lines")]
Output = Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="a new file; else printed")]
Person = Annotated[str, typer.Option("--as", metavar="NAME", help="who does this; asked for password and code")]
PersonOrSystem = Annotated[
    str | None, typer.Option("--as", metavar="NAME", help="who does this, asked for password and code; else the system itself")
]
Reason = Annotated[str, typer.Option(help="why; kept in the type's history")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="judge every row, write nothing")]


def say(value: object) -> None:
    print(orjson.dumps(value).decode())


def report(rows: tuple[RowReport, ...]) -> None:
    """One line for every row that is not as it was, then the counts; exit 1 where one was refused."""
    for row in rows:
        if row.outcome != UNCHANGED:
            say(row.to_json())
    outcomes = [row.outcome for row in rows]
    say({outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)})
    if REFUSED in outcomes:
        raise typer.Exit(1)


@types.command("list")
def list_types(
    text: Annotated[str, typer.Argument(help="any part of name, code or field names")] = "",
    organisation: Annotated[str, typer.Option(help="USCC: defines the type or may issue it")] = "",
    status: Annotated[TypeStatus | None, typer.Option(help="of the type as a whole")] = None,
    being_written: Annotated[bool, typer.Option("--being-written", help="those with a draft or a version in review")] = False,
) -> None:
    """Print the types found, one a line."""

    async def journey(house: House) -> None:
        wanted, cursor = Wanted(text, organisation, status, being_written=being_written), None
        while True:
            async with house.database.session() as session:
                found = await find_types(session, wanted, cursor=cursor, limit=200)
            for one in found.items:
                say(entry_json(one))
            if (cursor := found.next_cursor) is None:
                return

    with_house(journey)


@types.command("show")
def show_type(code: Code, history: Annotated[bool, typer.Option("--history", help="every move instead")] = False) -> None:
    """Print a type's versions, newest first, or its history."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            versions = await get_versions(session, code)
            shown = [change_json(one) for one in await history_of_type(session, code)] if history else [version_json(v) for v in versions]
        for one in shown:
            say(one)

    with_house(journey)


@types.command("diff")
def diff_type(code: Code, version: Number) -> None:
    """Print what a version changes against the one in force before it, one difference a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            found = await get_version(session, code, version)
            before = await get_before(session, found)
        for one in differences(before.kind if before else None, found.kind):
            say(one.to_json())

    with_house(journey)


@types.command("schema")
def schema_of(code: Code, version: Number) -> None:
    """Print the JSON Schema (draft 2020-12) of a version."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            print(orjson.dumps(json_schema((await get_version(session, code, version)).kind), option=orjson.OPT_INDENT_2).decode())

    with_house(journey)


@types.command("write")
def write(file: Input, username: PersonOrSystem = None, reason: Reason = "") -> None:
    """Begin a type, or the next version of one that is there, from a file with one definition (JSON)."""
    kind = read_definition(orjson.loads(file.read_bytes()))

    async def journey(house: House, actor: Actor) -> Kept:
        async with house.database.session() as session:
            known = (await find_types(session, Wanted(kind.code), limit=1)).total > 0
        if known:
            return await write_version(house.database, house.clock, actor, kind.code, kind, reason)
        return await write_type(house.database, house.clock, actor, kind, reason)

    say(kept_json(acted(username, journey)))


@types.command("import")
def import_file(
    file: Input,
    username: PersonOrSystem = None,
    dry_run: DryRun = False,
    submit: Annotated[bool, typer.Option("--submit", help="ask for a review at once")] = False,
    reason: Reason = "",
) -> None:
    """Types from a table, as drafts: a line for every row that is new, changed or refused. Exit 1 where one was refused."""
    document = file.read_bytes()

    async def journey(house: House, actor: Actor) -> tuple[RowReport, ...]:
        return await import_types(house.database, house.clock, actor, document, dry_run=dry_run, submit=submit, reason=reason)

    report(acted(username, journey))


@types.command("export")
def export(
    output: Output = None,
    organisation: Annotated[str, typer.Option(help="USCC: defines the type or may issue it")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of CSV")] = False,
) -> None:
    """The directory of GB/T 36902: every type in force."""
    if output is not None:
        require_new(output)

    async def journey(house: House) -> bytes:
        async with house.database.session() as session:
            entries = await directory(session, organisation)
        return b"".join(orjson.dumps(one) + b"\n" for one in entries) if as_json else write_csv(entries)

    found = with_house(journey)
    if output is None:
        print(found.decode("utf-8-sig"), end="")
    else:
        output.write_bytes(found)


def _step(code: str, version: int, move: TypeMove, username: str | None, reason: str) -> None:
    async def journey(house: House, actor: Actor) -> Kept:
        async with house.database.session() as session:
            seen = (await get_version(session, code, version)).digest
        return await take_step(house.database, house.clock, actor, code, version, move, seen=seen, reason=reason)

    say(kept_json(acted(username, journey)))


@types.command("submit")
def submit_version(code: Code, version: Number, username: PersonOrSystem = None, reason: Reason = "") -> None:
    """Ask for a review of a draft."""
    _step(code, version, TypeMove.SUBMIT, username, reason)


@types.command("abandon")
def abandon_version(code: Code, version: Number, reason: Reason, username: PersonOrSystem = None) -> None:
    """Give a draft up."""
    _step(code, version, TypeMove.ABANDON, username, reason)


@types.command("publish")
def publish_version(
    username: Person,
    code: Annotated[str, typer.Argument(metavar="CODE", help="GB/T 36904 type code")] = "",
    version: Annotated[int, typer.Argument(metavar="VERSION", help="1, 2, …")] = 0,
    every: Annotated[bool, typer.Option("--all", help="everything that is in review, as after an import")] = False,
    reason: Reason = "",
) -> None:
    """Agree to a version in review: in force from now on. Not by who wrote in it."""
    if every == bool(code):
        raise typer.BadParameter("CODE VERSION, or --all")
    if code:
        _step(code, version, TypeMove.PUBLISH, username, reason)
        return

    async def journey(house: House, actor: Actor) -> tuple[tuple[Step, FujieError | None], ...]:
        async with house.database.session() as session:
            waiting = [one for one in await open_versions(session) if one.status is TypeStatus.REVIEW]
        steps = [Step(one.kind.code, one.kind.version, one.digest) for one in waiting]
        return await step_many(house.database, house.clock, actor, TypeMove.PUBLISH, steps, reason)

    done = acted(username, journey)
    refused = [{"code": step.code, "version": step.version, "error": error.code} for step, error in done if error is not None]
    for one in refused:
        say(one)
    say({"published": len(done) - len(refused), "refused": len(refused)})
    if refused:
        raise typer.Exit(1)


@types.command("send-back")
def send_back(code: Code, version: Number, username: Person, reason: Reason) -> None:
    """Send a version in review back to its writers."""
    _step(code, version, TypeMove.SEND_BACK, username, reason)


@types.command("retire")
def retire(code: Code, version: Number, username: Person, reason: Reason) -> None:
    """End a type: no new certificates, those issued stay what they are."""
    _step(code, version, TypeMove.RETIRE, username, reason)


@matters.command("papers")
def show_papers(code: Annotated[str, typer.Argument(metavar="MATTER", help="code of the matter")]) -> None:
    """Print what a matter asks for, one paper a line."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            for paper in await papers_of(session, code):
                say(paper.to_json())

    with_house(journey)


@matters.command("import")
def import_table(file: Input, username: PersonOrSystem = None, dry_run: DryRun = False) -> None:
    """Papers of many matters from a table (matter_code, paper_code, name_zh, mandatory, types, enough, basis)."""
    document = file.read_bytes()

    async def journey(house: House, actor: Actor) -> tuple[RowReport, ...]:
        return await import_papers(house.database, house.clock, actor, document, dry_run=dry_run)

    report(acted(username, journey))


@matters.command("statistics")
def statistics(days: Annotated[int, typer.Option(min=1, max=3660, help="how many days back")] = 365) -> None:
    """Papers no longer asked for: how many of those required the library can answer, and how many it did."""

    async def journey(house: House) -> dict[str, Any]:
        today = civil_date(house.clock.now())
        async with house.database.session() as session:
            found = await saved(session, today - dt.timedelta(days=days - 1), today)
        share = found.answerable / found.required if found.required else None
        return {
            "matters": found.matters, "papers_required": found.required, "papers_answerable": found.answerable, "share": share,
            "asked": found.asked, "no_longer_asked_for": found.answered,
        }  # fmt: skip

    say(with_house(journey))
