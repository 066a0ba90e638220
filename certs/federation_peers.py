"""Other instances: coming to be exchanged with, and no longer. Two people: whoever proposed does not approve.

:func:`propose`
  1. *check_actor*   a person, security administrator, logged in with a second factor
  2. *check*         the card, its level and the divisions the peer may speak for, which are those of its card or fewer
  3. *enter*         one living entry of an instance; the proposal and its audit event in one transaction
:func:`move`         approve, reject, suspend, resume, withdraw

What narrows the exchange takes one person, so that it can be done at once. Every refusal is audited in a transaction of its own.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import func, select, text, update

from certs.federation import (
    LIVING,
    MOVES,
    Card,
    CardMalformed,
    Level,
    MessageKey,
    PeerActorRefused,
    PeerDuplicate,
    PeerIsOurselves,
    PeerMove,
    PeerSamePerson,
    PeerStatus,
    PeerUnknown,
    card_from,
    read_card,
    target,
    within,
)
from certs.federation_keys import own_row
from certs.federation_models import PeerMoveRow, PeerRow
from certs.standing import check_reason
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence.audit import JSON, Event, Outcome, digest, record, record_alone
from seal.divisions import covers, is_division

SECOND_FACTOR = 2
EXCHANGING = (PeerStatus.ACTIVE.value, PeerStatus.SUSPENDED.value)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another instance. ``divisions``: those it may speak for, of the ones its card names; ``keys``: of its messages, the newest last."""

    id: uuid.UUID
    name: str
    organisation: str
    address: str
    level: Level
    divisions: tuple[str, ...]
    card: Card
    digest: bytes
    keys: tuple[MessageKey, ...]
    knows: tuple[str, ...]
    status: PeerStatus
    status_since: dt.datetime
    created_at: dt.datetime
    pair_key: str | None
    cursor: int
    heard_at: dt.datetime | None
    problem: str | None

    def speaks_for(self, organisation: str) -> bool:
        """Whether it may speak for the organisation with this credit code."""
        return within(self.divisions, organisation)

    @property
    def actor(self) -> Actor:
        """The peer where it acts here itself."""
        return Actor(ActorKind.CLIENT, f"peer:{self.id}", self.name, self.organisation)


@dataclass(frozen=True, slots=True)
class PeerChange:
    """One move in a peer's history."""

    move: PeerMove
    status: PeerStatus
    at: dt.datetime
    actor_id: str
    actor_name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A card that somebody wants to be registered. ``divisions`` empty: all that the card names."""

    card: bytes
    level: Level
    reason: str
    divisions: tuple[str, ...] = ()


def check_actor(actor: Actor) -> None:
    """GB/T 22239 §8.1.4: the security administrator, with two factors. Raises :class:`PeerActorRefused`."""
    if actor.kind is not ActorKind.PERSON or Role.SECURITY_ADMIN not in actor.roles or actor.authenticator < SECOND_FACTOR:
        raise PeerActorRefused("a security administrator with a second factor")


async def propose(database: Database, clock: Clock, actor: Actor, proposed: Proposed) -> Peer:
    """See the module. A living entry with the very same card and bounds is answered again.

    Raises ``PeerActorRefused``, ``CardMalformed``, ``PeerIsOurselves``,
    ``PeerDuplicate``, ``ReasonRequired`` or ``FederationNotEstablished``.
    """
    async with _refusals_audited(database, clock, PeerMove.PROPOSE, "instance", actor), database.begin() as session:
        check_actor(actor)
        card, reason = read_card(proposed.card), check_reason(proposed.reason)
        divisions = _bounds(card, proposed.divisions)
        if card.instance == (await own_row(session)).instance:
            raise PeerIsOurselves(str(card.instance))
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"certs.federation.peer {card.instance}", 0))))
        if (living := await _living(session, card.instance)) is not None:
            if (living.digest, living.level, tuple(living.divisions)) == (card.digest(), proposed.level.value, divisions):
                return _peer(living)
            raise PeerDuplicate(str(card.instance))
        row = _row(clock.now(), card, proposed.level, divisions)
        session.add(row)
        await session.flush([row])
        await _write_history(session, clock.now(), row, PeerMove.PROPOSE, None, actor, reason)
        return _peer(row)


def _bounds(card: Card, divisions: tuple[str, ...]) -> tuple[str, ...]:
    """The divisions a peer may speak for. Raises :class:`CardMalformed` where one is none, or none of its card's."""
    chosen = divisions or card.divisions
    if not all(is_division(one) and any(covers(its, one) for its in card.divisions) for one in chosen):
        raise CardMalformed("divisions", errors=[{"field": "divisions", "message": "outside of those the card names"}])
    return tuple(sorted(set(chosen)))


def _row(now: dt.datetime, card: Card, level: Level, divisions: tuple[str, ...]) -> PeerRow:
    return PeerRow(
        id=new_id(), instance=card.instance, name=card.name, organisation=card.organisation, address=card.address, level=level.value,
        divisions=list(divisions), card=card.to_json(), digest=card.digest(), keys=[one.to_json() for one in card.keys], knows=[],
        status=PeerStatus.PROPOSED.value, status_since=now, created_at=now, own_part=None, their_part=None, pair_key=None, told_part=None,
        indexed_to=None, cursor=0, catalogue=None, heard_at=None, problem=None,
    )  # fmt: skip


async def move(database: Database, clock: Clock, actor: Actor, peer_id: uuid.UUID, step: PeerMove, reason: str) -> Peer:
    """Approve, reject, suspend, resume or withdraw, from this instant; the same move by the same person again changes nothing.

    Raises ``PeerActorRefused``, ``PeerUnknown``, ``PeerMoveNotAllowed``, ``PeerSamePerson``, ``ReasonRequired``.
    """
    async with _refusals_audited(database, clock, step, f"peer:{peer_id}", actor), database.begin() as session:
        check_actor(actor)
        text_of_reason = check_reason(reason)
        row = await session.scalar(select(PeerRow).where(PeerRow.id == peer_id).with_for_update())
        if row is None:
            raise PeerUnknown(str(peer_id))
        last = await _last_move(session, row.id)
        if (last.move, last.actor_id) == (step.value, actor.id):
            return _peer(row)
        old = PeerStatus(row.status)
        new = target(old, step)
        await _check_other_person(session, row.id, step, actor)
        if new is PeerStatus.ACTIVE:
            await _begin_order(session)
        now = max(clock.now(), row.status_since)  # clocks of two machines may differ; a history does not run backwards
        row.status, row.status_since = new.value, now
        if new is PeerStatus.WITHDRAWN:
            row.own_part = row.their_part = row.pair_key = row.told_part = row.indexed_to = None
        await session.flush([row])
        await _write_history(session, now, row, step, old, actor, text_of_reason)
        return _peer(row)


async def _begin_order(session: AsyncSession) -> None:
    """With the first peer the order of changes begins. Whoever writes certificates is waited for, so that none slips between the
    filling of what there is and the trigger that sees what comes."""
    if await session.scalar(select(PeerRow.id).where(PeerRow.status.in_(EXCHANGING)).limit(1)) is None:
        await session.execute(text("LOCK TABLE certs.certificates IN SHARE MODE"))
        (await own_row(session)).filled_to = uuid.UUID(int=0)


async def _last_move(session: AsyncSession, peer_id: uuid.UUID) -> PeerMoveRow:
    query = select(PeerMoveRow).where(PeerMoveRow.peer_id == peer_id).order_by(PeerMoveRow.id.desc()).limit(1)
    return (await session.scalars(query)).one()


async def _check_other_person(session: AsyncSession, peer_id: uuid.UUID, step: PeerMove, actor: Actor) -> None:
    other = MOVES[step].other_than
    if other is None:
        return
    query = select(PeerMoveRow.actor_id).where(PeerMoveRow.peer_id == peer_id, PeerMoveRow.move == other.value)
    if await session.scalar(query.order_by(PeerMoveRow.id.desc()).limit(1)) == actor.id:
        raise PeerSamePerson(f"{step} by the person who made {other}")


async def _write_history(
    session: AsyncSession, now: dt.datetime, row: PeerRow, step: PeerMove, old: PeerStatus | None, actor: Actor, reason: str
) -> None:
    new = MOVES[step].target.value
    session.add(
        PeerMoveRow(
            peer_id=row.id, move=step.value, old=old.value if old else None, new=new, at=now, actor_id=actor.id, actor_name=actor.name,
            reason=reason,
        )
    )  # fmt: skip
    await session.flush()
    details: dict[str, JSON] = {
        "instance": str(row.instance), "card": row.digest.hex(), "level": row.level, "divisions": list[JSON](row.divisions),
        "from": old.value if old else None, "to": new, "reason": digest(reason),
    }  # fmt: skip
    await record(session, now, Event(f"certs.federation.{step.value}", f"peer:{row.id}", Outcome.DONE, actor, details))


@asynccontextmanager
async def _refusals_audited(database: Database, clock: Clock, step: PeerMove, subject: str, actor: Actor) -> AsyncIterator[None]:
    try:
        yield
    except FujieError as error:
        event = Event(f"certs.federation.{step.value}", subject, Outcome.REFUSED, actor, code=error.code)
        await record_alone(database, clock.now(), event)
        raise


async def _living(session: AsyncSession, instance: uuid.UUID) -> PeerRow | None:
    living = [one.value for one in LIVING]
    return await session.scalar(select(PeerRow).where(PeerRow.instance == instance, PeerRow.status.in_(living)))


async def get_peer(session: AsyncSession, peer_id: uuid.UUID) -> Peer:
    """Raises :class:`PeerUnknown`."""
    row = await session.get(PeerRow, peer_id, populate_existing=True)
    if row is None:
        raise PeerUnknown(str(peer_id))
    return _peer(row)


async def list_peers(session: AsyncSession, status: PeerStatus | None = None) -> tuple[Peer, ...]:
    """By name; of one status where it is given."""
    query = select(PeerRow).order_by(PeerRow.name, PeerRow.id).execution_options(populate_existing=True)
    rows = await session.scalars(query if status is None else query.where(PeerRow.status == status.value))
    return tuple(map(_peer, rows))


async def history_of_peer(session: AsyncSession, peer_id: uuid.UUID) -> tuple[PeerChange, ...]:
    """Every move, oldest first."""
    rows = await session.scalars(select(PeerMoveRow).where(PeerMoveRow.peer_id == peer_id).order_by(PeerMoveRow.id))
    return tuple(PeerChange(PeerMove(row.move), PeerStatus(row.new), row.at, row.actor_id, row.actor_name, row.reason) for row in rows)


async def note_contact(session: AsyncSession, level_at: dt.datetime | None, peer_id: uuid.UUID, problem: str | None) -> None:
    """What came of the last turn with a peer: what is wrong, or when the turn began that brought us level with all that it told."""
    heard: dict[str, object] = {"heard_at": level_at} if level_at is not None and problem is None else {}
    values: dict[str, object] = {"problem": problem, **heard}
    await session.execute(update(PeerRow).where(PeerRow.id == peer_id).values(values))


async def keep_keys(session: AsyncSession, now: dt.datetime, peer: Peer, keys: Sequence[MessageKey]) -> bool:
    """The keys a peer announced, under a signature that we believe, in place of those before; whether that is news."""
    if tuple(keys) == peer.keys or not keys:
        return False
    announced = [one.to_json() for one in keys]
    await session.execute(update(PeerRow).where(PeerRow.id == peer.id).values(keys=announced))
    details: dict[str, JSON] = {"keys": [one.kid for one in keys]}
    await record(session, now, Event("certs.federation.keys", f"peer:{peer.id}", Outcome.DONE, peer.actor, details))
    return True


async def keep_knows(session: AsyncSession, peer: Peer, knows: Sequence[str]) -> None:
    """Which of our keys a peer said it knows."""
    if tuple(knows) != peer.knows:
        await session.execute(update(PeerRow).where(PeerRow.id == peer.id).values(knows=list(knows)))


def _peer(row: PeerRow) -> Peer:
    return Peer(
        row.id, row.name, row.organisation, row.address, Level(row.level), tuple(row.divisions), card_from(row.card), row.digest,
        tuple(map(MessageKey.from_json, row.keys)), tuple(row.knows), PeerStatus(row.status), row.status_since, row.created_at,
        row.pair_key, row.cursor, row.heard_at, row.problem,
    )  # fmt: skip
