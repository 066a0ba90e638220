"""``fujie audit``: recompute the log, keep a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from api.commands.house import with_house
from api.wiring import House
from keys.evidence.log import latest_checkpoint, sequence_all
from keys.evidence.verify import AuditReport, verify_log

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The audit log.", pretty_exceptions_enable=False)


@app.command()
def verify(
    kept: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="a checkpoint kept outside, to be found again", exists=True)
    ] = None,
) -> None:
    """Recompute every hash of the log. Exit 0: whole; 1: not."""
    notes = [path.read_text() for path in kept or []]

    async def journey(house: House) -> AuditReport:
        await sequence_all(house.database, house.keystore, house.clock)
        return await verify_log(house.database, kept=notes)

    report = with_house(journey)
    print(f"entries {report.entries}  checkpoints {report.checkpoints}  waiting {report.waiting}  root {report.root.hex()}")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    print("日志完整 the log is whole" if report.whole else "日志已被改动 the log was tampered with")
    raise SystemExit(0 if report.whole else 1)


@app.command()
def checkpoint() -> None:
    """Print the newest signed checkpoint, to be kept where this machine's operators cannot reach it."""

    async def journey(house: House) -> str:
        await sequence_all(house.database, house.keystore, house.clock)
        async with house.database.session() as session:
            row = await latest_checkpoint(session)
        return row.note if row else ""

    print(with_house(journey), end="")
