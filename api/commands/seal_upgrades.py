"""``fujie seal upgrades``: sealed files that are kept provable (PAdES B-LTA)."""

import dataclasses

import orjson
import typer

from api.commands.house import with_house
from api.wiring import House
from certs.archiving import enrol_older, read_choice
from seal.upgrades import Backlog, backlog, keep_up

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Sealed files kept provable: upgrade to B-LTA, renewal.")


@app.command()
def status() -> None:
    """Print how many files are kept, how many are due, how many of those failed, and since when the oldest is due."""

    async def journey(house: House) -> Backlog:
        async with house.database.session() as session:
            return await backlog(session, house.clock.now())

    print(orjson.dumps(dataclasses.asdict(with_house(journey))).decode())


@app.command("enrol")
def enrol_all() -> None:
    """Keep the certificates that were issued before FUJIE_ARCHIVE chose them, too. Running it again changes nothing."""

    async def journey(house: House) -> int:
        return await enrol_older(house.database, house.clock, read_choice(house.settings.archive))

    print(orjson.dumps({"chosen": with_house(journey)}).decode())


@app.command()
def run() -> None:
    """Upgrade and renew what is due now, as the background does every minute."""

    async def journey(house: House) -> int:
        return await keep_up(house.upgrading)

    print(orjson.dumps({"renewed": with_house(journey)}).decode())
