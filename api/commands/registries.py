"""``fujie registry``: the registries that real names are checked against, loaded from their own exports.

A city without a connection to the national registries loads what it was given. Numbers are kept encrypted and found by blind indexes;
the file stays where it is and should be destroyed afterwards.
"""

import csv
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from identity.realname_sources import load_legal_persons, load_population
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Registries of people and organisations.", pretty_exceptions_enable=False
)
File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV in UTF-8 with a header line")]
_AT_ONCE = 5_000


@app.command()
def people(file: File) -> None:
    """Load people: columns id_number, name, and perhaps mobile, code_type. Loaded again, a row replaces what was there."""
    print(orjson.dumps({"loaded": with_house(lambda house: _load(house, file, ("id_number", "name"), load_population))}).decode())


@app.command()
def organisations(file: File) -> None:
    """Load organisations: columns uscc, name, and perhaps status, representative."""
    print(orjson.dumps({"loaded": with_house(lambda house: _load(house, file, ("uscc", "name"), load_legal_persons))}).decode())


async def _load(house: House, file: Path, needed: tuple[str, ...], load: Callable[..., Awaitable[int]]) -> int:
    """All of it or nothing. The log holds how many, never who."""
    now, loaded = house.clock.now(), 0
    with file.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        if missing := [name for name in needed if name not in (rows.fieldnames or ())]:
            raise InvalidInput("columns", errors=[{"field": name, "message": "this column is missing"} for name in missing])
        async with house.database.begin() as session:
            part: list[dict[str, str]] = []
            for row in rows:
                part.append({name: value or "" for name, value in row.items() if name is not None})
                if len(part) == _AT_ONCE:
                    loaded, part = loaded + await load(session, now, house.personal, part), []
            loaded += await load(session, now, house.personal, part)
            event = Event(f"identity.registry.{load.__name__}", "registry", Outcome.DONE, SYSTEM, {"rows": loaded})
            await record(session, now, event)
    return loaded
