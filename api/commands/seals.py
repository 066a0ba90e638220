"""``fujie seal``: the register of seals, and taking a stamp out of a PDF."""

from typing import Annotated

import typer

from api.commands import seal_authority, seal_conditions, seal_documents, seal_rules, seal_upgrades
from api.commands.house import with_house
from api.commands.seal_life import LIFE, say
from api.commands.seal_register import REGISTER, feed, registry
from api.commands.verify import extract
from api.seal_views import change_json, seal_json
from api.wiring import House
from seal.reads import Seal, get_seal, history, list_seals, uses_of

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Seals.", pretty_exceptions_enable=False)


@app.command("list")
def list_all(organisation: Annotated[str | None, typer.Option(help="USCC; all without it")] = None) -> None:
    """Print the made seals, one JSON object a line."""

    async def journey(house: House) -> list[Seal]:
        found: list[Seal] = []
        async with house.database.session() as session:
            while page := await list_seals(session, organisation=organisation, after=found[-1].code if found else ""):
                found += page
        return found

    for seal in with_house(journey):
        say(seal_json(seal))


@app.command()
def show(code: str) -> None:
    """Print a seal with its history and its latest hundred uses."""

    async def journey(house: House) -> dict[str, object]:
        async with house.database.session() as session:
            seal = await get_seal(session, code)
            moves, uses = await history(session, code), await uses_of(session, code)
        told = [change_json(one) for one in moves]
        used = [{"at": one.at, "by": one.actor_id, "matter": one.matter_code, "document": one.document_hash.hex()} for one in uses]
        return {**seal_json(seal), "history": told, "uses": used}

    say(with_house(journey))


for _name, _command in (LIFE | REGISTER).items():
    app.command(_name)(_command)
app.add_typer(feed, name="feed")
app.add_typer(registry, name="registry")
app.command("extract")(extract)
app.add_typer(seal_rules.app, name="rules")
app.add_typer(seal_documents.app, name="document")
app.add_typer(seal_upgrades.app, name="upgrades")
app.add_typer(seal_authority.grants, name="grant")
app.add_typer(seal_authority.windows, name="window")
app.command("delegate")(seal_authority.delegate_grant)
app.command("why")(seal_authority.why_command)
app.command("uses")(seal_authority.uses)
app.command("require")(seal_authority.requirements)
app.add_typer(seal_conditions.documents, name="approval")
app.add_typer(seal_conditions.bases, name="legal-basis")
app.add_typer(seal_conditions.matters, name="matter")
app.add_typer(seal_conditions.alerts, name="alert")
