"""``fujie seal approval|legal-basis|matter|alert``: what a use rests on beside grants, and what somebody should look at."""

import hashlib
import uuid
from pathlib import Path
from typing import Annotated

import typer

from api.commands.house import with_house
from api.commands.seal_life import Person, PersonOrSystem, acted, say
from api.seal_authority_views import divisions_of, plain
from api.wiring import House
from keys.base.actor import SYSTEM, Actor
from seal.alerts import NAMES, acknowledge, list_alerts, watch_uses
from seal.approvals import approvals_of, approve_document, withdraw_approval
from seal.legal_bases import confirm_legal_basis, legal_bases_of, propose_legal_basis, withdraw_legal_basis
from seal.matters import Matter, check_matter_keeper, list_matters, put_matter

documents = typer.Typer(add_completion=False, no_args_is_help=True, help="Approvals of documents.", pretty_exceptions_enable=False)
bases = typer.Typer(add_completion=False, no_args_is_help=True, help="Legal bases of exceptions.", pretty_exceptions_enable=False)
matters = typer.Typer(add_completion=False, no_args_is_help=True, help="Matters.", pretty_exceptions_enable=False)
alerts = typer.Typer(add_completion=False, no_args_is_help=True, help="Alerts.", pretty_exceptions_enable=False)

Seal = Annotated[str, typer.Argument(help="the seal's code")]
Id = Annotated[uuid.UUID, typer.Argument(help="its identifier")]
Document = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="what is to be sealed; its SHA-256 counts")]


@documents.command("give")
def approve(
    seal: Seal,
    document: Document,
    requester: Annotated[str, typer.Option(help="identifier of who asked for it")],
    username: Person,
) -> None:
    """An approver agrees that this document is sealed."""
    digest = hashlib.sha256(document.read_bytes()).digest()

    async def journey(house: House, actor: Actor) -> str:
        async with house.database.begin() as session:
            made = await approve_document(session, house.clock.now(), actor, seal_code=seal, document_hash=digest, requester=requester)
        return str(made)

    say({"id": acted(username, journey), "document": digest.hex()})


@documents.command("list")
def list_approvals(document: Document) -> None:
    """Print who agreed to this document."""
    digest = hashlib.sha256(document.read_bytes()).digest()

    async def journey(house: House) -> list[object]:
        async with house.database.session() as session:
            return [plain(one) for one in await approvals_of(session, digest)]

    for one in with_house(journey):
        say(one)


@documents.command("withdraw")
def withdraw_one(approval: Id, username: PersonOrSystem = None) -> None:
    """Take an approval back, at this instant."""
    acted(username, lambda house, actor: withdraw_approval(house.database, house.clock, actor, approval))
    say({"id": str(approval), "withdrawn": True})


@bases.command("propose")
def propose(
    seal: Seal,
    matter: Annotated[str, typer.Option(help="the approval matter's code")],
    basis: Annotated[str, typer.Option(help="the law, its number and article")],
    username: PersonOrSystem = None,
) -> None:
    """Propose that an approval matter takes a seal that is none for approvals."""

    async def journey(house: House, actor: Actor) -> uuid.UUID:
        return await propose_legal_basis(house.database, house.clock, actor, seal_code=seal, matter_code=matter, basis=basis)

    say({"id": str(acted(username, journey))})


@bases.command("confirm")
def confirm(basis: Id, username: Person) -> None:
    """Confirm it as a security administrator who did not propose it: from now on it counts."""
    acted(username, lambda house, actor: confirm_legal_basis(house.database, house.clock, actor, basis))
    say({"id": str(basis), "confirmed": True})


@bases.command("withdraw")
def withdraw_basis(basis: Id, username: PersonOrSystem = None) -> None:
    """End the exception, at this instant."""
    acted(username, lambda house, actor: withdraw_legal_basis(house.database, house.clock, actor, basis))
    say({"id": str(basis), "withdrawn": True})


@bases.command("list")
def list_bases(seal: Seal) -> None:
    """Print the exceptions of a seal."""

    async def journey(house: House) -> list[object]:
        async with house.database.session() as session:
            return [plain(one) for one in await legal_bases_of(session, seal)]

    for one in with_house(journey):
        say(one)


@matters.command("put")
def put(
    code: str,
    name: str,
    organisation: Annotated[str, typer.Option(help="USCC of who acts in it")],
    approval: Annotated[bool, typer.Option(help="it is an approval and takes the approval seal")] = False,
    username: PersonOrSystem = None,
) -> None:
    """Add or change a matter."""
    matter = Matter(code, name, approval, organisation)

    async def journey(house: House, actor: Actor) -> None:
        await check_matter_keeper(house.database, house.clock, actor, matter, await divisions_of(house, matter))
        async with house.database.begin() as session:
            await put_matter(session, house.clock.now(), actor, matter)

    acted(username, journey)
    say(plain(matter))


@matters.command("list")
def list_all_matters(organisation: Annotated[str, typer.Argument(help="USCC")]) -> None:
    """Print what an organisation acts in."""

    async def journey(house: House) -> list[object]:
        async with house.database.session() as session:
            return [plain(one) for one in await list_matters(session, organisation=organisation)]

    for one in with_house(journey):
        say(one)


@alerts.command("list")
def list_all_alerts(seal: Seal, everything: Annotated[bool, typer.Option("--all", help="acknowledged ones as well")] = False) -> None:
    """Ask every rule now, then print what somebody should look at."""

    async def journey(house: House) -> list[dict[str, object]]:
        await watch_uses(house.database, house.clock)
        async with house.database.session() as session:
            found = await list_alerts(session, SYSTEM, seal, everything=everything)
        return [{**plain(one), "zh": NAMES[one.rule][0], "en": NAMES[one.rule][1]} for one in found]

    for one in with_house(journey):
        say(one)


@alerts.command("acknowledge")
def acknowledge_one(alert: Id, note: Annotated[str, typer.Option(help="what was found")] = "", username: PersonOrSystem = None) -> None:
    """Say that somebody looked."""
    acted(username, lambda house, actor: acknowledge(house.database, house.clock, actor, alert, note))
    say({"id": str(alert), "acknowledged": True})
