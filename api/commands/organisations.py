"""``fujie org``: organisations and their division."""

from dataclasses import asdict
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from identity.organisations import KINDS, Organisation, get_organisation, put_organisation
from keys.base.actor import SYSTEM
from keys.base.errors import NotFound
from keys.evidence.audit import Event, Outcome, record

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Organisations.", pretty_exceptions_enable=False)


@app.command()
def show(uscc: str) -> None:
    """Print an organisation."""

    async def journey(house: House) -> Organisation:
        async with house.database.session() as session:
            found = await get_organisation(session, uscc)
        if found is None:
            raise NotFound("organisation")
        return found

    print(orjson.dumps(asdict(with_house(journey))).decode())


@app.command()
def put(
    uscc: str,
    name: str,
    division: Annotated[str, typer.Option(help="GB/T 2260 division code, 6 digits")],
    kind: Annotated[str, typer.Option(help=", ".join(KINDS))] = "other",
) -> None:
    """Add an organisation, or change its name, division or kind."""

    async def journey(house: House) -> Organisation:
        async with house.database.begin() as session:
            stored = await put_organisation(session, house.clock.now(), Organisation(uscc, name, division, kind))
            event = Event("identity.organisation.put", f"organisation:{uscc}", Outcome.DONE, SYSTEM, {"division": division, "kind": kind})
            await record(session, house.clock.now(), event)
        return stored

    print(orjson.dumps(asdict(with_house(journey))).decode())
