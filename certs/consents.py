"""Asking the holder on their phone: a department asks, the holder answers; a yes is good for one use and for minutes.

1. ask       purpose, matter and what is wanted; the rules must lack nothing but the holder's agreement
2. tell      the request stands on the holder's page. Whether there is such a holder or certificate, nobody learns
3. answer    allow, with one of their certificates; or refuse
4. use       in the transaction that records the access (:mod:`certs.authorisations`); a second time is refused by name
"""

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import func, select

from certs.access_rates import Use, count
from certs.finding import own_indexes
from certs.holders import holder_index
from certs.library import Library, check_purpose
from certs.records import Certificate
from certs.sharing import Answer, Ask, Want, decide
from certs.sharing_facts import held_of_type, matter_facts, organisation_asked_for, type_facts
from certs.sharing_models import ShareRequestRow
from certs.sharing_reasons import SharingRefused
from identity.numbers import check
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

ANSWER_WITHIN = dt.timedelta(minutes=15)
GOOD_FOR = dt.timedelta(minutes=10)
MOST_PENDING = 5
_SHOWN = 50


class State(StrEnum):
    """Where a request stands; ``expired``: not answered, or not used, in time."""

    PENDING = "pending"
    ALLOWED = "allowed"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    USED = "used"
    EXPIRED = "expired"


class ConsentNotNeeded(Conflict):
    """What was asked for may be had without troubling the holder."""

    code = "CONSENT_NOT_NEEDED"
    public = ("无需持证主体同意即可使用，请直接查询。", "The holder need not be asked: what you want may be had at once.")


class TooManyRequests(Conflict):
    """The holder has as many open requests of the organisation as one may have."""

    code = "SHARE_REQUESTS_PENDING"
    public = ("已有多项请求等待该持证主体答复，请稍候。", "The holder has several requests of yours to answer. Please wait.")


class AlreadyAnswered(Conflict):
    """The request was answered before, or its time is over."""

    code = "SHARE_REQUEST_CLOSED"
    public = ("该请求已答复或已过期。", "This request was answered or has expired.")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a department asks a holder for. The holder's number has no ``repr``: it is secret."""

    matter_code: str
    type_code: str
    want: Want
    purpose: str
    holder_code: str
    code_type: str

    def __repr__(self) -> str:
        return f"Wish(matter_code={self.matter_code!r}, type_code={self.type_code!r})"


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """A request as it stands now. ``expires_at``: until when it may be answered, or used once it was allowed."""

    id: uuid.UUID
    state: State
    organisation: str
    matter_code: str
    type_code: str
    want: Want
    purpose: str
    asked_at: dt.datetime
    expires_at: dt.datetime
    decided_at: dt.datetime | None
    used_at: dt.datetime | None
    certificate_id: uuid.UUID | None


async def ask_holder(library: Library, actor: Actor, wish: Wish) -> ShareRequest:
    """Steps 1 and 2; the same question while one is open is the one that is open.

    Raises ``PurposeRequired``, ``InvalidInput``, ``SharingRefused``, ``QuotaExhausted``, :class:`ConsentNotNeeded`,
    :class:`TooManyRequests`.
    """
    purpose, index, now = check_purpose(wish.purpose), index_of(library, wish.code_type, wish.holder_code), library.clock.now()
    try:
        async with library.database.begin() as session:
            organisation = await _only_the_holder_is_missing(session, actor, wish, purpose, now)
            await session.execute(select(func.pg_advisory_xact_lock(int.from_bytes(index[:7]))))
            open_ones = await _open(session, organisation, index, now)
            same = [one for one in open_ones if (one.matter_code, one.type_code, one.want) == (wish.matter_code, wish.type_code, wish.want)]
            if same:
                return view(same[0], now)
            if len(open_ones) >= MOST_PENDING:
                raise TooManyRequests
            await count(session, now, replace(actor, organisation=organisation), Use.FIND, wish.type_code)
            row = _row(actor, organisation, wish, purpose, index, now)
            session.add(row)
            details: dict[str, JSON] = {"purpose": audit.digest(purpose), "matter": wish.matter_code, "type": wish.type_code}
            await audit.record(session, now, Event("certs.share.ask", f"share-request:{row.id}", audit.Outcome.DONE, actor, details))
            return view(row, now)
    except FujieError as error:
        subject = f"matter:{wish.matter_code[:64]}"
        await audit.record_alone(library.database, now, Event("certs.share.ask", subject, audit.Outcome.REFUSED, actor, code=error.code))
        raise


def index_of(library: Library, code_type: str, code: str) -> bytes:
    """The blind index of a holder's number. Raises ``InvalidInput`` for a malformed one, without repeating it."""
    try:
        well_formed = check(code_type, code).well_formed
    except ValueError:
        raise InvalidInput("unknown code type", errors=[{"field": "code_type", "message": "unknown"}]) from None
    if not well_formed:
        raise InvalidInput("malformed holder code", errors=[{"field": "holder_code", "message": "not well-formed"}])
    return holder_index(library.personal, code_type, code)


async def _only_the_holder_is_missing(session: AsyncSession, actor: Actor, wish: Wish, purpose: str, now: dt.datetime) -> str:
    matter = await matter_facts(session, wish.matter_code)
    organisation, serves = await organisation_asked_for(session, actor, matter)
    kind = await type_facts(session, wish.type_code)
    decision = decide(Ask(actor, organisation, wish.want, kind, purpose, now, serves=serves, matter=matter))
    if decision.permitted:
        raise ConsentNotNeeded
    denied = [one.reason_code for one in decision.answers if one.answer is Answer.DENY]
    if denied != ["HOLDER_MUST_AGREE"]:
        raise SharingRefused(next((code for code in denied if code != "HOLDER_MUST_AGREE"), decision.code))
    return organisation


async def _open(session: AsyncSession, organisation: str, index: bytes, now: dt.datetime) -> list[ShareRequestRow]:
    row = ShareRequestRow
    query = select(row).where(row.holder_index == index, row.organisation == organisation, row.state == State.PENDING, row.expires_at > now)
    return list(await session.scalars(query))


def _row(actor: Actor, organisation: str, wish: Wish, purpose: str, index: bytes, now: dt.datetime) -> ShareRequestRow:
    asked_by = {"kind": actor.kind.value, "id": actor.id, "name": actor.name}
    return ShareRequestRow(
        id=new_id(), state=State.PENDING.value, organisation=organisation, asked_by=asked_by, matter_code=wish.matter_code,
        type_code=wish.type_code, want=wish.want.value, purpose=purpose, holder_index=index, asked_at=now, expires_at=now + ANSWER_WITHIN,
    )  # fmt: skip


async def request_of(library: Library, actor: Actor, request_id: uuid.UUID) -> ShareRequest:
    """The request, for the organisation that asked, or ``NotFound``."""
    async with library.database.session() as session:
        row = await session.get(ShareRequestRow, request_id)
        matter = await matter_facts(session, row.matter_code) if row else None
        organisation, _ = await organisation_asked_for(session, actor, matter)
    if row is None or not organisation or row.organisation != organisation:
        raise NotFound("share request")
    return view(row, library.clock.now())


async def requests_by(library: Library, organisation: str, limit: int = _SHOWN) -> tuple[ShareRequest, ...]:
    """What an organisation asked holders for, newest first: for its own staff."""
    now = library.clock.now()
    query = select(ShareRequestRow).where(ShareRequestRow.organisation == organisation).order_by(ShareRequestRow.id.desc()).limit(limit)
    async with library.database.session() as session:
        return tuple(view(row, now) for row in await session.scalars(query))


async def requests_to_me(library: Library, actor: Actor) -> tuple[ShareRequest, ...]:
    """What the person, and the organisation they speak for, were asked; newest first."""
    now = library.clock.now()
    async with library.database.session() as session:
        own = await own_indexes(session, library.personal, actor)
        query = select(ShareRequestRow).where(ShareRequestRow.holder_index.in_(own)).order_by(ShareRequestRow.id.desc()).limit(_SHOWN)
        return tuple(view(row, now) for row in await session.scalars(query)) if own else ()


async def request_to_me(library: Library, actor: Actor, request_id: uuid.UUID) -> tuple[ShareRequest, tuple[Certificate, ...]]:
    """One of them, with the holder's certificates of that type, newest first; or ``NotFound``."""
    async with library.database.session() as session:
        row = await _mine(session, library, actor, request_id)
        held = await held_of_type(session, row.holder_index, row.type_code)
    return view(row, library.clock.now()), held


async def answer_request(library: Library, actor: Actor, request_id: uuid.UUID, certificate_id: uuid.UUID | None) -> ShareRequest:
    """Step 3: allow the use of that certificate, once; refuse with None. Raises ``NotFound``, :class:`AlreadyAnswered`."""
    now = library.clock.now()
    async with library.database.begin() as session:
        row = await _mine(session, library, actor, request_id, lock=True)
        if view(row, now).state is not State.PENDING:
            raise AlreadyAnswered
        if certificate_id is not None and certificate_id not in {
            one.id for one in await held_of_type(session, row.holder_index, row.type_code)
        }:
            raise NotFound("certificate")
        allowed = certificate_id is not None
        row.state, row.certificate_id = (State.ALLOWED if allowed else State.REFUSED).value, certificate_id
        row.decided_at, row.decided_by, row.good_until = now, actor.id, now + GOOD_FOR if allowed else None
        action = "certs.share.allow" if allowed else "certs.share.refuse"
        await audit.record(session, now, Event(action, f"share-request:{request_id}", audit.Outcome.DONE, actor))
        return view(row, now)


async def take_back(library: Library, actor: Actor, request_id: uuid.UUID) -> ShareRequest:
    """An allowed use that did not happen yet is allowed no longer. Raises ``NotFound``, :class:`AlreadyAnswered`."""
    now = library.clock.now()
    async with library.database.begin() as session:
        row = await _mine(session, library, actor, request_id, lock=True)
        if view(row, now).state is not State.ALLOWED:
            raise AlreadyAnswered
        row.withdrawn_at, row.state = now, State.WITHDRAWN.value
        await audit.record(session, now, Event("certs.share.withdraw", f"share-request:{request_id}", audit.Outcome.DONE, actor))
        return view(row, now)


async def _mine(session: AsyncSession, library: Library, actor: Actor, request_id: uuid.UUID, *, lock: bool = False) -> ShareRequestRow:
    row = await session.get(ShareRequestRow, request_id, with_for_update=lock)
    if row is None or row.holder_index not in await own_indexes(session, library.personal, actor):
        raise NotFound("share request")
    return row


def view(row: ShareRequestRow, now: dt.datetime) -> ShareRequest:
    """The request as it stands at ``now``."""
    state, until = State(row.state), row.good_until or row.expires_at
    if state is State.ALLOWED and row.used_at is not None:
        state = State.USED
    elif state in (State.PENDING, State.ALLOWED) and now >= until:
        state = State.EXPIRED
    return ShareRequest(
        row.id, state, row.organisation, row.matter_code, row.type_code, Want(row.want), row.purpose, row.asked_at, until, row.decided_at,
        row.used_at, row.certificate_id,
    )  # fmt: skip
