"""Keeping level with the other instances: one turn with each of them, again and again.

1. keys       what signs its messages now, under a key that we believe already
2. pairing    our half of the key of holders' indexes for its half
3. catalogue  its list of types, then the definitions we lack
4. statuses   pages of changes from where we stopped, until there are no more

Each step keeps what it got in its own transaction together with the place it got to: a turn that breaks off is gone on with at the next.
One peer that is away, slow or wrong delays no other; what is wrong stands beside it on its page, and in the audit log when it changes.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from certs.federation import JSON, CardMalformed, MessageKey, PeerStatus, PeerUnreachable
from certs.federation_catalogue import (
    MOST_AT_ONCE,
    definitions,
    known_catalogue,
    manifest,
    missing,
    note_catalogue,
    take_in_types,
)
from certs.federation_feed import changes, sequence, take_in
from certs.federation_holders import accept_half, forget_holders, index_on, note_told, own_half, pairing_is_due
from certs.federation_keys import is_established, own_keys, tend_keys
from certs.federation_messages import PREFIX, Exchange, Handler, ask, forget_nonces, octets
from certs.federation_peers import Peer, get_peer, keep_keys, keep_knows, list_peers, note_contact
from certs.federation_questions import answer
from keys.base.errors import FujieError
from keys.evidence.audit import Event, Outcome, record_alone

log = structlog.get_logger("fujie.certs.federation")

TURN_SECONDS = 120.0
MOST_PAGES = 200
"""Of changes in one turn; the next turn goes on."""
MOST_BATCHES = 100
MALFORMED = (ValueError, KeyError, TypeError, CardMalformed)


# What the other asks of us.


async def _keys(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    """The keys that sign our messages now. ``knows``: those of ours that the peer knows."""
    knows = given["knows"]
    if not isinstance(knows, list) or len(knows) > 64 or not all(isinstance(one, str) and len(one) <= 64 for one in knows):
        raise ValueError("no keys")
    async with exchange.library.database.begin() as session:
        await keep_knows(session, peer, knows)
        return {"keys": [one.public.to_json() for one in await own_keys(session) if one.revoked_at is None]}


async def _pairing(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    half = octets(given["half"])
    async with exchange.library.database.begin() as session:
        own = await own_half(session, exchange.keystore, peer)
        await accept_half(session, exchange.keystore, exchange.library.clock.now(), peer, half)
        await note_told(session, peer, own)
        return {"half": _text(own)}


async def _catalogue(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    async with exchange.library.database.session() as session:
        return await manifest(session, given.get("known"))


async def _types(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    async with exchange.library.database.session() as session:
        return await definitions(session, given["codes"])


async def _statuses(exchange: Exchange, peer: Peer, given: JSON) -> JSON:
    after = given["after"]
    if not isinstance(after, int) or isinstance(after, bool) or not 0 <= after < 1 << 62:
        raise ValueError("no place")
    async with exchange.library.database.session() as session:
        told, cursor, more = await changes(session, after)
    return {"entries": [one.to_json() for one in told], "cursor": cursor, "more": more}


HANDLERS: Mapping[str, Handler] = {
    f"{PREFIX}/keys": _keys,
    f"{PREFIX}/pairing": _pairing,
    f"{PREFIX}/catalogue": _catalogue,
    f"{PREFIX}/types": _types,
    f"{PREFIX}/statuses": _statuses,
    f"{PREFIX}/questions": answer,
}
"""What may be asked here, by path."""


# What we ask of the other.


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one turn with a peer. ``behind``: there is more to take in; ``problem``: the code of what broke it off."""

    peer: Peer
    keys: bool = False
    types: int = 0
    statuses: int = 0
    refused: int = 0
    behind: bool = False
    problem: str | None = None


async def keep_level(exchange: Exchange) -> list[Turn]:
    """Tend our keys, give our changes their order, and take a turn with every peer; all peers at once."""
    database, clock = exchange.library.database, exchange.library.clock
    async with database.session() as session:
        if not await is_established(session):
            return []
        peers = await list_peers(session, PeerStatus.ACTIVE)
    await tend_keys(database, exchange.keystore, clock)
    await put_in_order(exchange)
    return list(await asyncio.gather(*(take_turn(exchange, one) for one in peers)))


async def put_in_order(exchange: Exchange) -> None:
    """Our own side of what others ask for: changes in order, holders indexed."""
    for _ in range(MOST_BATCHES):
        if not await sequence(exchange.library, exchange.keystore):
            break
    async with exchange.library.database.session() as session:
        peers = await list_peers(session, PeerStatus.ACTIVE)
    for peer in peers:
        await _index_all(exchange, peer)


async def _index_all(exchange: Exchange, peer: Peer) -> None:
    for _ in range(MOST_BATCHES):
        async with exchange.library.database.begin() as session:
            if not await index_on(session, exchange.keystore, exchange.library.personal, peer):
                return


async def forget(exchange: Exchange) -> None:
    """Drop what nobody needs any more."""
    async with exchange.library.database.begin() as session:
        await forget_nonces(session, exchange.library.clock.now())
        await forget_holders(session)


async def take_turn(exchange: Exchange, peer: Peer) -> Turn:
    """See the module. What goes wrong with a peer is told, not raised."""
    database, begun = exchange.library.database, exchange.library.clock.now()
    done = Turn(peer)
    try:
        async with asyncio.timeout(TURN_SECONDS):
            for step in (_take_keys, _pair, _take_catalogue, _take_statuses):
                done = await step(exchange, done)
        problem = None
    except PeerUnreachable as error:
        problem = str(error.extra.get("peer_code") or error.code)
    except TimeoutError:
        problem = PeerUnreachable.code
    except MALFORMED:
        problem = "FEDERATION_ANSWER_MALFORMED"
    except FujieError as error:
        problem = error.code
    if problem and problem != peer.problem:
        log.warning("an instance is not level with us", peer=peer.name, code=problem)
        event = Event("certs.federation.turn", f"peer:{peer.id}", Outcome.FAILED, peer.actor, {}, problem)
        await record_alone(database, exchange.library.clock.now(), event)
    async with database.begin() as session:
        await note_contact(session, None if done.behind else begun, peer.id, problem)
        return replace(done, peer=await get_peer(session, peer.id), problem=problem)


def _text(octets_of: bytes) -> str:
    return base64.b64encode(octets_of).decode()


async def _take_keys(exchange: Exchange, turn: Turn) -> Turn:
    peer = turn.peer
    answered = await ask(exchange, peer, "keys", {"knows": [one.kid for one in peer.keys]})
    keys = tuple(map(MessageKey.from_json, answered["keys"]))[:64]
    async with exchange.library.database.begin() as session:
        news = await keep_keys(session, exchange.library.clock.now(), peer, keys)
        return replace(turn, peer=await get_peer(session, peer.id), keys=news)


async def _pair(exchange: Exchange, turn: Turn) -> Turn:
    peer, database = turn.peer, exchange.library.database
    async with database.begin() as session:
        if not await pairing_is_due(session, exchange.keystore, peer):
            return turn
        own = await own_half(session, exchange.keystore, peer)
    answered = await ask(exchange, peer, "pairing", {"half": _text(own)})
    async with database.begin() as session:
        await accept_half(session, exchange.keystore, exchange.library.clock.now(), peer, octets(answered["half"]))
        await note_told(session, peer, own)
    await _index_all(exchange, peer)
    return turn


async def _take_catalogue(exchange: Exchange, turn: Turn) -> Turn:
    peer, database, now = turn.peer, exchange.library.database, exchange.library.clock.now()
    async with database.session() as session:
        known = await known_catalogue(session, peer)
    listed = await ask(exchange, peer, "catalogue", {"known": known})
    async with database.begin() as session:
        wanted = await missing(session, peer, listed)
    if wanted is None:
        return turn
    kept = 0
    for begin in range(0, len(wanted), MOST_AT_ONCE):
        sent = await ask(exchange, peer, "types", {"codes": wanted[begin : begin + MOST_AT_ONCE]})
        async with database.begin() as session:
            kept += await take_in_types(session, now, peer, listed["types"], sent)
    if kept == len(wanted):
        async with database.begin() as session:
            await note_catalogue(session, peer, listed["digest"])
    return replace(turn, types=kept)


async def _take_statuses(exchange: Exchange, turn: Turn) -> Turn:
    database, kept, refused, more = exchange.library.database, 0, 0, True
    peer = turn.peer
    for _ in range(MOST_PAGES):
        answered = await ask(exchange, peer, "statuses", {"after": peer.cursor})
        async with database.begin() as session:
            taken = await take_in(session, exchange.library.clock.now(), peer, answered)
            peer = await get_peer(session, peer.id)
        kept, refused, more = kept + taken.kept, refused + taken.refused, taken.more
        if not more:
            break
    return replace(turn, peer=peer, statuses=kept, refused=refused, behind=more)
