"""``fujie clock``: is the clock trusted, and vouching for it where the guard cannot know better."""

import json
from typing import Annotated

import typer

from api.commands.house import with_house
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.time.guard import Doubt
from keys.time.watch import acknowledge as vouch

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The clock guard.", pretty_exceptions_enable=False)


@app.command()
def show() -> None:
    """What this process finds. Exit 0: trusted; 1: in doubt."""

    async def journey(house: House) -> tuple[Doubt | None, dict[str, object]]:
        doubt, drift = house.guard.doubt(), house.guard.drift()
        seconds = None if drift is None else round(drift.total_seconds(), 3)
        now = house.guard.reading().wall.isoformat(timespec="milliseconds")
        return doubt, {"now": now, "doubt": doubt, "drift_seconds": seconds, "time_source": house.settings.time_source or None}

    doubt, found = with_house(journey)
    print(json.dumps(found, ensure_ascii=False))
    raise SystemExit(0 if doubt is None else 1)


@app.command()
def acknowledge(reason: Annotated[str, typer.Option(help="how you know that the clock is right; stands in the audit log")]) -> None:
    """Vouch for the clock as it is now: later instants that were trusted or stamped no longer stand in the way."""
    if not 0 < len(reason.strip()) <= 200:
        raise typer.BadParameter("say how you know, in at most 200 characters")
    with_house(lambda house: vouch(house.database, house.guard, SYSTEM, reason.strip()))
    print("已确认，两秒内在各进程生效 acknowledged; every process knows within two seconds")
