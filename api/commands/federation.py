"""``fujie federation``: other instances. What widens the exchange asks two people, each of whom proves to be one."""

import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.commands.trust import as_person
from api.federation_channel import exchange_of
from api.files import require_new
from api.routes.federation import peer_json
from api.wiring import House
from certs.federation import JSON, Card, Level, MessageKey, PeerMove
from certs.federation_feed import count_told, told_of
from certs.federation_holders import renew_half
from certs.federation_keys import AUTHORITY, Introduction, establish, own_card, rotate
from certs.federation_peers import Peer, Proposed, get_peer, history_of_peer, list_peers, move, propose
from certs.federation_sync import Turn, keep_level
from keys.base.actor import SYSTEM, Actor
from keys.base.clock import civil_date
from keys.custody.store import Algorithm
from keys.suites import Crypto
from keys.trust.documents import instant_text

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Other instances: cities and provinces.", pretty_exceptions_enable=False)

As = Annotated[str, typer.Option("--as", metavar="NAME", help="the security administrator who does this; asked for password and code")]
Reason = Annotated[str, typer.Option(help="why; kept in the history")]
Divisions = Annotated[list[str] | None, typer.Option("--division", help="GB/T 2260 code, 6 digits; several")]
Input = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]
Output = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="default: standard output")]


def _print(value: object) -> None:
    print(orjson.dumps(value).decode())


@app.command("establish")
def establish_card(
    name: Annotated[str, typer.Option(help="what the others call this instance")],
    organisation: Annotated[str, typer.Option(help="USCC of who runs it")],
    division: Divisions,
    address: Annotated[str, typer.Option(help="https://HOST:PORT where the others reach it")],
    authority: Annotated[str, typer.Option(help="which of our authorities certifies the TLS keys")] = AUTHORITY,
) -> None:
    """Make our card and its first key, or change what the card says."""

    async def journey(house: House) -> Card:
        algorithm = Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256
        given = Introduction(name, organisation, tuple(division or ()), address, authority)
        return await establish(house.database, house.keystore, house.clock, SYSTEM, given, algorithm)

    _told(with_house(journey))


@app.command()
def card(output: Output = None) -> None:
    """Write our card, for the other instance's people."""

    async def journey(house: House) -> Card:
        async with house.database.session() as session:
            return await own_card(session)

    if output is not None:
        require_new(output)
    found = with_house(journey)
    octets = orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2) + b"\n"
    if output is None:
        sys.stdout.buffer.write(octets)
    else:
        output.write_bytes(octets)
    _told(found)


def _told(found: Card) -> None:
    print(f"{found.name}; compare by telephone: card sha256 {found.digest().hex()}", file=sys.stderr)


@app.command("propose")
def propose_card(
    file: Input,
    username: As,
    reason: Reason,
    level: Annotated[Level, typer.Option(help="how it stands to us")],
    division: Divisions = None,
) -> None:
    """Propose the instance of the card in FILE; another person approves."""
    proposed = Proposed(file.read_bytes(), level, reason, tuple(division or ()))
    peer = as_person(username, lambda house, actor: propose(house.database, house.clock, actor, proposed))
    _print(peer_json(peer))
    _told(peer.card)


def _move(peer: uuid.UUID, username: str, step: PeerMove, reason: str) -> None:
    moved = as_person(username, lambda house, actor: move(house.database, house.clock, actor, peer, step, reason))
    _print(peer_json(moved))


@app.command()
def approve(peer: uuid.UUID, username: As, reason: Reason) -> None:
    """Agree to somebody else's proposal: the exchange begins."""
    _move(peer, username, PeerMove.APPROVE, reason)


@app.command()
def reject(peer: uuid.UUID, username: As, reason: Reason) -> None:
    """Refuse a proposal."""
    _move(peer, username, PeerMove.REJECT, reason)


@app.command()
def suspend(peer: uuid.UUID, username: As, reason: Reason) -> None:
    """Exchange nothing for now."""
    _move(peer, username, PeerMove.SUSPEND, reason)


@app.command()
def resume(peer: uuid.UUID, username: As, reason: Reason) -> None:
    """Exchange again; takes another person than who suspended it."""
    _move(peer, username, PeerMove.RESUME, reason)


@app.command()
def withdraw(peer: uuid.UUID, username: As, reason: Reason) -> None:
    """End the exchange for good."""
    _move(peer, username, PeerMove.WITHDRAW, reason)


@app.command("list")
def list_all() -> None:
    """Print the instances, one JSON object a line, with how many certificates each told us of."""

    async def journey(house: House) -> list[JSON]:
        async with house.database.session() as session:
            told = await count_told(session)
            return [peer_json(one) | {"certificates": told.get(one.id, 0)} for one in await list_peers(session)]

    for peer in with_house(journey):
        _print(peer)


@app.command()
def show(peer: uuid.UUID) -> None:
    """Print an instance with its card and its history."""

    async def journey(house: House) -> JSON:
        async with house.database.session() as session:
            found, history = await get_peer(session, peer), await history_of_peer(session, peer)
        moves = [{"move": one.move.value, "at": instant_text(one.at), "by": one.actor_name, "reason": one.reason} for one in history]
        return peer_json(found) | {"card": found.card.to_json(), "history": moves}

    _print(with_house(journey))


@app.command()
def sync() -> None:
    """Take a turn with every instance now. Exit 1 where one did not answer as it must."""

    async def journey(house: House) -> list[Turn]:
        return await keep_level(exchange_of(house))

    turns = with_house(journey)
    for one in turns:
        _print({"peer": one.peer.name, "types": one.types, "statuses": one.statuses, "out_of_scope": one.refused, "problem": one.problem})
    raise typer.Exit(any(one.problem for one in turns))


@app.command()
def status(identifier: str) -> None:
    """Print what other instances told of the certificate with this identifier."""

    async def journey(house: House) -> list[JSON]:
        async with house.database.session() as session:
            found = await told_of(session, identifier)
        return [one.to_json(civil_date(house.clock.now())) for one in found]

    for told in with_house(journey):
        _print(told)


@app.command("rotate")
def rotate_key(
    username: As,
    revoke_others: Annotated[bool, typer.Option("--revoke-others", help="the keys before it prove nothing any more")] = False,
) -> None:
    """Make a new key for our messages; the others take it over by themselves."""

    async def journey(house: House, actor: Actor) -> MessageKey:
        return await rotate(house.database, house.keystore, house.clock, actor, revoke_others=revoke_others)

    _print(as_person(username, journey).to_json())


@app.command("pair")
def new_pair_key(peer: uuid.UUID, username: As) -> None:
    """Agree on a new key of holders' indexes at the next turn."""

    async def journey(house: House, actor: Actor) -> Peer:
        async with house.database.begin() as session:
            found = await get_peer(session, peer)
            await renew_half(session, house.clock.now(), found, actor)
            return found

    acting: Callable[[House, Actor], Awaitable[Peer]] = journey
    _print(peer_json(as_person(username, acting)))
