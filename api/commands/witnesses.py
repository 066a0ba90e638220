"""``fujie audit witness``: logs we are a witness for, and witnesses our log asks."""

from typing import Annotated

import typer

from api.commands.house import with_house
from api.wiring import House
from keys.base.actor import SYSTEM
from keys.base.errors import InvalidInput, NotFound
from keys.evidence.notes import VerifierKey
from keys.evidence.witness import distrust_log, trust_log, witness_key, witnessed_logs
from keys.evidence.witnesses import ask_witness, configured, forget_witness

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Witnesses.", pretty_exceptions_enable=False)

Name = Annotated[str, typer.Argument(help="its name: what stands before the first + of its key")]


@app.command()
def add(vkey: Annotated[str, typer.Argument(help="the log's verifier key, from its owner")]) -> None:
    """Be a witness for this log from now on."""
    key = VerifierKey.parse(vkey)
    if key.kind.timed:
        raise InvalidInput("this is a witness's key; a log's is wanted")

    async def journey(house: House) -> bool:
        return await trust_log(house.database, house.clock.now(), SYSTEM, key)

    if not with_house(journey):
        raise InvalidInput(f"{key.name} is witnessed already; remove it first if its key changed")
    print(f"见证 witnessing {key.name}")


@app.command()
def remove(origin: Name) -> None:
    """Be a witness for this log no longer; what was cosigned is forgotten."""

    async def journey(house: House) -> bool:
        return await distrust_log(house.database, house.clock.now(), SYSTEM, origin)

    if not with_house(journey):
        raise NotFound(origin[:200])


@app.command()
def ask(
    vkey: Annotated[str, typer.Argument(help="the witness's cosignature key, from its owner")],
    url: Annotated[str, typer.Argument(help="what stands before /add-checkpoint")],
) -> None:
    """Ask this witness to cosign our log from now on."""
    key = VerifierKey.parse(vkey)

    async def journey(house: House) -> None:
        await ask_witness(house.database, house.clock.now(), SYSTEM, key, url)

    with_house(journey)
    print(f"请求见证 asking {key.name} at {url}")


@app.command()
def forget(name: Name) -> None:
    """Ask this witness no longer; its cosignatures stay."""

    async def journey(house: House) -> bool:
        return await forget_witness(house.database, house.clock.now(), SYSTEM, name)

    if not with_house(journey):
        raise NotFound(name[:200])


@app.command("list")
def list_all() -> None:
    """Print our own key as a witness, the logs we witness, and the witnesses we ask with what they last said."""

    async def journey(house: House) -> None:
        async with house.database.session() as session:
            own, _ = await witness_key(session)
            print(f"own      {own}")
            for vkey, size, at in await witnessed_logs(session):
                print(f"witness  {vkey}  size {size}  {at.isoformat(timespec='seconds') if at else '-'}")
            for one in await configured(session):
                print(f"ask      {one.vkey}  {one.url}  size {one.size}  {one.problem or 'ok'}")

    with_house(journey)
