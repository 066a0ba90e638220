"""``fujie audit``: recompute the log, keep a checkpoint, export, prove, search, witness. The offline ones need no service."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.commands.house import with_house
from api.commands.witnesses import app as witness_app
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput
from keys.evidence.anchors import anchor_check, anchor_problem
from keys.evidence.audit import Outcome
from keys.evidence.container import members
from keys.evidence.examine import examine
from keys.evidence.export import export as export_log
from keys.evidence.halts import resume as resume_log
from keys.evidence.log import latest_checkpoint, sequence_all
from keys.evidence.notes import MalformedNote, VerifierKey
from keys.evidence.proofs import Proof
from keys.evidence.proofs import prove as prove_event
from keys.evidence.search import Page, Query
from keys.evidence.search import search as search_trail
from keys.evidence.verify import AuditReport, verify_log

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The audit log.", pretty_exceptions_enable=False)
app.add_typer(witness_app, name="witness")

VKeys = Annotated[list[str] | None, typer.Option("--vkey", help="the log's verifier key, and those of witnesses, from their owners")]
Exported = Annotated[Path | None, typer.Option("--export", help="an export, instead of the database", exists=True, dir_okay=False)]
Kept = Annotated[list[Path] | None, typer.Option("--checkpoint", help="a checkpoint kept outside, to be found again", exists=True)]
Roots = Annotated[list[Path] | None, typer.Option("--trust", help="PEM: roots of the time-stamping authority", exists=True)]


@app.command()
def verify(
    kept: Kept = None,
    exported: Exported = None,
    vkey: VKeys = None,
    trust: Roots = None,
) -> None:
    """Recompute every hash of the log, or of an export without any service. Exit 0: whole; 1: not."""
    notes = [read_text(path) for path in kept or []]
    report = _verify_stored(notes) if exported is None else verify_export(exported, vkey or [], notes, trust or [])
    print(
        f"entries {report.entries}  checkpoints {report.checkpoints}  cosignatures {report.cosignatures}"
        f"  anchors {report.anchors}  waiting {report.waiting}  root {report.root.hex()}"
    )
    for notice in report.notices:
        print(f"NOTICE {notice}")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    print("日志完整 the log is whole" if report.whole else "日志已被改动 the log was tampered with")
    raise SystemExit(0 if report.whole else 1)


def _verify_stored(notes: Sequence[str]) -> AuditReport:
    """Nothing is signed first: after a backup was restored that would sign the log's second history before it is found out."""

    async def journey(house: House) -> AuditReport:
        return await verify_log(house.database, kept=notes)

    return with_house(journey)


def verify_export(file: Path, vkeys: Sequence[str], kept: Sequence[str], trust: Sequence[Path]) -> AuditReport:
    """Offline: opens nothing but the files it is given."""
    keys = [VerifierKey.parse(one) for one in vkeys]
    logs = [key for key in keys if not key.kind.timed]
    if len(logs) > 1:
        raise InvalidInput("one log, one key: --vkey names several logs")
    check = anchor_check([one.public_bytes(Encoding.DER) for path in trust for one in _certificates(path)]) if trust else anchor_problem
    with file.open("rb") as handle:
        return examine(
            members(handle),
            log=logs[0] if logs else None,
            witnesses=[key for key in keys if key.kind.timed],
            kept=kept,
            anchor_check=check,
        )


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise InvalidInput(f"{path} holds no PEM certificates") from None


@app.command()
def checkpoint() -> None:
    """Print the newest signed checkpoint, to be kept where this machine's operators cannot reach it."""

    async def journey(house: House) -> str:
        await sequence_all(house.database, house.keystore, house.clock)
        async with house.database.session() as session:
            row = await latest_checkpoint(session)
        return row.note if row else ""

    print(with_house(journey), end="")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="where to write it; replaced only once it is complete")],
    first: Annotated[int, typer.Option("--from", min=0, help="first entry whose body is wanted")] = 0,
    end: Annotated[int | None, typer.Option("--to", min=1, help="entry before which bodies end")] = None,
    reason: Annotated[str, typer.Option(help="why; recorded in the log")] = "",
) -> None:
    """Write the whole log to one file that anybody can verify offline. A range leaves out bodies, never hashes."""

    async def journey(house: House) -> int:
        await sequence_all(house.database, house.keystore, house.clock)
        chunks = export_log(house.database, house.keystore, house.clock, SYSTEM, reason=reason, first=first, end=end)
        return await write_export(file, chunks)

    print(f"{file}  {with_house(journey)} octets")


async def write_export(file: Path, chunks: AsyncIterator[bytes]) -> int:
    """Whole or not at all, readable by its owner only: bodies say who did what."""
    part, written = file.with_name(file.name + ".part"), 0
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    with part.open("wb") as handle:
        async for chunk in chunks:
            written += handle.write(chunk)
    part.replace(file)
    return written


@app.command()
def prove(
    event: Annotated[uuid.UUID, typer.Argument(help="the event's identifier")],
    output: Annotated[Path, typer.Option("-o", "--output", help="where to write it (.tlog-proof)")],
) -> None:
    """Write the proof that an event stands in the log: a small file, checked offline with ``check-proof``."""

    async def journey(house: House) -> Proof:
        await sequence_all(house.database, house.keystore, house.clock)
        return await prove_event(house.database, event)

    proof = with_house(journey)
    output.write_text(proof.encode())
    print(f"{output}  entry {proof.index}")


@app.command("check-proof")
def check_proof(file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)], vkey: VKeys = None) -> None:
    """Check a proof offline: ``--vkey`` of the log, and of each witness who must have cosigned. Prints the event. Exit 1: no proof."""
    keys = [VerifierKey.parse(one) for one in vkey or []]
    logs = [key for key in keys if not key.kind.timed]
    if len(logs) != 1:
        raise InvalidInput("--vkey must name the log's key")
    proof = Proof.parse(read_text(file))
    found = proof.check(logs[0], [key for key in keys if key.kind.timed])
    print(proof.body.decode(errors="backslashreplace"))
    print(f"成立 proved: entry {proof.index} of {found.origin}, under its checkpoint of size {found.size}")


def read_text(file: Path) -> str:
    """A small text file; raises MalformedNote."""
    try:
        with file.open("rb") as handle:
            return handle.read(1_000_000).decode()
    except UnicodeDecodeError:
        raise MalformedNote("the file is not text") from None


@app.command()
def search(
    reason: Annotated[str, typer.Option(help="why; recorded in the log")],
    actor: Annotated[str | None, typer.Option(help="account, client or component, exactly")] = None,
    object_: Annotated[str | None, typer.Option("--object", help="kind:identifier, exactly")] = None,
    action: Annotated[str | None, typer.Option(help="beginning of the action's name")] = None,
    outcome: Annotated[Outcome | None, typer.Option()] = None,
    since: Annotated[dt.datetime | None, typer.Option(help="UTC")] = None,
    until: Annotated[dt.datetime | None, typer.Option(help="UTC, not included")] = None,
    after: Annotated[str | None, typer.Option(help="the cursor printed last by the page before")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
) -> None:
    """Print events, the newest first, one JSON object a line. The search is an event itself."""
    times = [instant.replace(tzinfo=dt.UTC) if instant else None for instant in (since, until)]
    query = Query(actor, object_, action, outcome, times[0], times[1], after, limit)

    async def journey(house: House) -> Page:
        return await search_trail(house.database, house.clock, SYSTEM, query, reason)

    page = with_house(journey)
    for event in page.events:
        print(orjson.dumps({"position": event.position, **event.body}).decode())
    if page.next:
        typer.echo(f"--after {page.next}", err=True)


@app.command()
def resume(reason: Annotated[str, typer.Option(help="why the log may go on; recorded in it")]) -> None:
    """Let a log that stopped go on, once it verifies as whole. Exit 1: it does not."""

    async def journey(house: House) -> tuple[AuditReport, bool]:
        report = await verify_log(house.database)
        return report, report.whole and await resume_log(house.database, house.clock.now(), SYSTEM, reason)

    report, resumed = with_house(journey)
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    still = "日志未停止 the log has not stopped" if report.whole else "日志仍不完整 the log is still not whole"
    print("已恢复 resumed" if resumed else still)
    raise SystemExit(0 if report.whole else 1)
