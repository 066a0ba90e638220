"""Applications for access (证照使用申请): apply → review → open, within one working day on the clock.

1. apply    an organisation names a type, what of it it needs, for which matter, why, by which law, how often and until when
2. due      one working day later (``certs.working_days``); what is not decided by then is overdue, and an event says so once
3. review   an approver of an organisation that defines or issues the type, or a security administrator: never whoever applied, with two
            factors. Opened, it is a right that ``certs.sharing`` reads (``certs.access_rights``) and a quota for its type
4. end      the applicant withdraws it, the reviewer closes it, or its last day passes

Every step is audited; refusals too. Steps are moves of one table (:data:`MOVES`), each a conditional update of the stage it starts from.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson
from sqlalchemy import select, update

from certs.access_rates import BUILT_IN, Rate, Rule, Use, set_rate
from certs.approvals import IdempotencyKeyReused, is_clean
from certs.catalogue import CertificateType, SharingClass
from certs.catalogue_access import of_the_type
from certs.copy_models import AccessApplicationRow
from certs.idempotency import require_key
from certs.library import check_purpose
from certs.outbox import write_event
from certs.reads import get_type
from certs.sharing import Want
from certs.working_days import calendar_of
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.clock import Clock, civil_date
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput, NotFound
from keys.base.ids import fingerprint, new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.matters import get_matter

WORKING_DAYS = 1
MOST_YEARS = dt.timedelta(days=3 * 366)
MOST_A_DAY = 1_000_000
MOST_BASIS = 300
TWO_FACTORS = 2
_APPLIES = frozenset({Role.APPROVER, Role.WINDOW_CLERK, Role.SYSTEM_ADMIN})


class Stage(StrEnum):
    """Where an application stands."""

    SUBMITTED = "submitted"
    OPEN = "open"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class Move(StrEnum):
    """What can be done with one; ``open`` and ``refuse`` review, ``close`` ends an opened right."""

    OPEN = "open"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    CLOSE = "close"


MOVES: dict[Move, tuple[frozenset[Stage], Stage]] = {
    Move.OPEN: (frozenset({Stage.SUBMITTED}), Stage.OPEN),
    Move.REFUSE: (frozenset({Stage.SUBMITTED}), Stage.REFUSED),
    Move.WITHDRAW: (frozenset({Stage.SUBMITTED, Stage.OPEN}), Stage.WITHDRAWN),
    Move.CLOSE: (frozenset({Stage.OPEN}), Stage.CLOSED),
}
REVIEWS = frozenset({Move.OPEN, Move.REFUSE, Move.CLOSE})


class AccessForbidden(Forbidden):
    """Neither the role nor the organisation allows it."""

    code = "ACCESS_FORBIDDEN"
    public = ("您没有权限对该使用申请执行此操作。", "You may not do this with applications for access.")


class AccessSecondFactorNeeded(Forbidden):
    """Reviewing takes a log-in with two factors."""

    code = "ACCESS_SECOND_FACTOR_NEEDED"
    public = ("审核使用申请须使用双因素登录。", "Reviewing applications takes a log-in with two factors.")


class AccessSamePerson(Forbidden):
    """Whoever applied does not review."""

    code = "ACCESS_SAME_PERSON"
    public = ("申请人不能审核自己的申请。", "Whoever applied may not review the application.")


class AccessMoveNotAllowed(Conflict):
    """The application stands where this step cannot be taken any more."""

    code = "ACCESS_MOVE_NOT_ALLOWED"
    public = ("该申请已办结或状态已变化，不能执行此操作。", "The application has moved on; this step cannot be taken any more.")


class TypeNotOpen(Conflict):
    """The type is shared with nobody, or needs no application."""

    code = "TYPE_NOT_OPEN_TO_APPLICATIONS"
    public = ("该证照类型不予共享，不接受使用申请。", "This type of certificate is not shared; nobody can apply for it.")


@dataclass(frozen=True, slots=True)
class Application:
    """What is asked for. ``without_holder``: the law named in ``basis`` needs no consent of the holder; ``until``: the last civil day."""

    type_code: str
    wants: frozenset[Want]
    matter_code: str
    purpose: str
    basis: str
    per_day: int
    until: dt.date
    without_holder: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """An application as it stands."""

    id: uuid.UUID
    organisation: str
    application: Application
    stage: Stage
    applicant: str
    applicant_name: str
    submitted_at: dt.datetime
    due_at: dt.datetime
    overdue_at: dt.datetime | None
    decided_at: dt.datetime | None
    decided_name: str
    reason: str

    def overdue(self, now: dt.datetime) -> bool:
        """Not decided in time."""
        return self.stage is Stage.SUBMITTED and now >= self.due_at

    def to_json(self, now: dt.datetime) -> dict[str, object]:
        """As the API tells it."""
        asked = self.application
        return {
            "id": str(self.id), "organisation": self.organisation, "type": asked.type_code, "wants": sorted(asked.wants),
            "matter_code": asked.matter_code, "purpose": asked.purpose, "basis": asked.basis, "without_holder": asked.without_holder,
            "per_day": asked.per_day, "until": asked.until.isoformat(), "stage": self.stage.value, "applicant": self.applicant_name,
            "submitted_at": self.submitted_at.isoformat(), "due_at": self.due_at.isoformat(), "overdue": self.overdue(now),
            "decided_at": self.decided_at.isoformat() if self.decided_at else None, "decided_by": self.decided_name, "reason": self.reason,
        }  # fmt: skip


async def apply(database: Database, clock: Clock, actor: Actor, asked: Application, idempotency_key: str | None) -> Applied:
    """Hand an application in. Raises ``InvalidInput``, ``PurposeRequired``, :class:`AccessForbidden`, :class:`TypeNotOpen`,
    ``IdempotencyKeyRequired``, ``IdempotencyKeyReused``."""
    now = clock.now()
    try:
        key = require_key(idempotency_key)
        return await _apply(database, now, actor, checked(asked, civil_date(now)), key)
    except FujieError as error:
        await _refused(database, now, actor, "apply", f"type:{asked.type_code[:21]}", error)
        raise


async def _apply(database: Database, now: dt.datetime, actor: Actor, asked: Application, key: str) -> Applied:
    organisation, request = applicant_organisation(actor), _digest(asked)
    async with database.begin() as session:
        earlier = select(AccessApplicationRow).where(AccessApplicationRow.applicant_id == actor.id, AccessApplicationRow.request_key == key)
        known = await session.scalar(earlier)
        if known is not None:
            if known.request != request:
                raise IdempotencyKeyReused
            return _view(known)
        kind = await _type_of(session, asked.type_code)
        if kind.sharing.sharing_class is SharingClass.NOT_SHARED:
            raise TypeNotOpen(kind.code)
        await _check_matter(session, organisation, asked.matter_code)
        due = (await calendar_of(session)).due(now, WORKING_DAYS)
        row = _row(now, actor, organisation, asked, due, key, request)
        session.add(row)
        _tell(session, now, "access.submitted", row, to=(kind.authority, *kind.issuers))
        await _record(session, now, actor, "apply", row)
        return _view(row)


def checked(asked: Application, today: dt.date) -> Application:
    """Raises ``InvalidInput`` or ``PurposeRequired``. Pure."""
    basis = asked.basis.strip()
    wrong = {
        "wants": not asked.wants,
        "per_day": not 1 <= asked.per_day <= MOST_A_DAY,
        "until": not today < asked.until <= today + MOST_YEARS,
        "basis": not 0 < len(basis) <= MOST_BASIS or not is_clean(basis),
    }
    errors = [{"field": name, "message": _RANGES[name]} for name, is_wrong in wrong.items() if is_wrong]
    if errors:
        raise InvalidInput("application", errors=errors)
    return Application(
        asked.type_code, asked.wants, asked.matter_code.strip(), check_purpose(asked.purpose), basis, asked.per_day, asked.until,
        asked.without_holder,
    )  # fmt: skip


_RANGES = {
    "wants": "one of data, record, copy, file at least",
    "per_day": f"1 to {MOST_A_DAY}",
    "until": "a day after today, at most three years away",
    "basis": f"the rule it rests on, 1 to {MOST_BASIS} characters, one line",
}


def applicant_organisation(actor: Actor) -> str:
    """For whom the actor applies. Raises :class:`AccessForbidden`. Pure."""
    may = actor.kind is ActorKind.CLIENT or (actor.kind is ActorKind.PERSON and bool(actor.roles & _APPLIES))
    if not may or not actor.organisation:
        raise AccessForbidden("no organisation to apply for")
    return actor.organisation


async def take_move(database: Database, clock: Clock, actor: Actor, application_id: uuid.UUID, move: Move, reason: str = "") -> Applied:
    """Review, withdraw or close. A reason is required but for ``open``. Raises ``NotFound``, ``InvalidInput``, :class:`AccessForbidden`,
    :class:`AccessSecondFactorNeeded`, :class:`AccessSamePerson`, :class:`AccessMoveNotAllowed`."""
    now = clock.now()
    try:
        return await _take(database, now, actor, application_id, move, _reason(reason, move))
    except FujieError as error:
        await _refused(database, now, actor, move.value, f"access:{application_id}", error)
        raise


async def _take(database: Database, now: dt.datetime, actor: Actor, application_id: uuid.UUID, move: Move, reason: str) -> Applied:
    async with database.begin() as session:
        row = await session.get(AccessApplicationRow, application_id)
        if row is None:
            raise NotFound("application")
        kind = await _type_of(session, row.type_code)
        check_move(actor, move, _view(row), kind)
        before, after = MOVES[move]
        values = {"stage": after.value, "reason": reason, "decided_at": now, "decided_by": actor.id, "decided_name": actor.name}
        mine = update(AccessApplicationRow).where(AccessApplicationRow.id == application_id, AccessApplicationRow.stage.in_(before))
        if await session.scalar(mine.values(**values).returning(AccessApplicationRow.id)) is None:
            raise AccessMoveNotAllowed(move.value)
        await session.refresh(row)
        if move is Move.OPEN:
            await _open(session, now, actor, row)
        _tell(session, now, "access.decided", row, to=(row.organisation, kind.authority, *kind.issuers))
        await _record(session, now, actor, move.value, row)
        return _view(row)


def check_move(actor: Actor, move: Move, applied: Applied, kind: CertificateType) -> None:
    """Who may do what. Pure."""
    if move not in REVIEWS:
        if applicant_organisation(actor) != applied.organisation:
            raise AccessForbidden("of another organisation")
        return
    if actor.kind is not ActorKind.PERSON or not may_review(actor, kind):
        raise AccessForbidden(kind.code)
    if actor.authenticator < TWO_FACTORS:
        raise AccessSecondFactorNeeded
    if actor.id == applied.applicant:
        raise AccessSamePerson


def may_review(actor: Actor, kind: CertificateType) -> bool:
    """Approvers of an organisation that defines or issues the type, and security administrators. Pure."""
    return Role.SECURITY_ADMIN in actor.roles or of_the_type(actor, kind)


async def _open(session: AsyncSession, now: dt.datetime, actor: Actor, row: AccessApplicationRow) -> None:
    """The quota that was applied for, for every use it opens."""
    uses = {Want.RECORD: Use.RECORD, Want.COPY: Use.COPY, Want.FILE: Use.FILE}
    for want in sorted(row.uses):
        use = uses.get(Want(want))
        if use is not None:
            rate = Rate(BUILT_IN[use].per_minute, row.per_day)
            await set_rate(session, now, actor, Rule(row.organisation, use, row.type_code, rate))


async def get_application(session: AsyncSession, actor: Actor, application_id: uuid.UUID) -> Applied:
    """For the applicant's organisation, and for those who may review it; else ``NotFound``."""
    row = await session.get(AccessApplicationRow, application_id)
    if row is None or not (actor.organisation == row.organisation or may_review(actor, await _type_of(session, row.type_code))):
        raise NotFound("application")
    return _view(row)


async def applications_of(session: AsyncSession, organisation: str, limit: int = 50) -> Sequence[Applied]:
    """Those of an organisation, newest first."""
    query = select(AccessApplicationRow).where(AccessApplicationRow.organisation == organisation)
    return [_view(row) for row in await session.scalars(query.order_by(AccessApplicationRow.id.desc()).limit(limit))]


async def to_review(session: AsyncSession, actor: Actor, limit: int = 200) -> Sequence[Applied]:
    """Those that wait for this person, the most urgent first; then what was opened and stands."""
    query = select(AccessApplicationRow).where(AccessApplicationRow.stage.in_([Stage.SUBMITTED.value, Stage.OPEN.value]))
    rows = await session.scalars(query.order_by(AccessApplicationRow.stage.desc(), AccessApplicationRow.due_at).limit(limit))
    found = []
    for row in rows:
        kind = await get_type(session, row.type_code)
        if kind is not None and may_review(actor, kind):
            found.append(_view(row))
    return found


async def mark_overdue(database: Database, clock: Clock) -> int:
    """In the background: say once of each application that it was not decided in time; how many."""
    now = clock.now()
    async with database.begin() as session:
        late = select(AccessApplicationRow).where(AccessApplicationRow.stage == Stage.SUBMITTED.value, AccessApplicationRow.due_at <= now)
        rows = list(await session.scalars(late.where(AccessApplicationRow.overdue_at.is_(None)).with_for_update(skip_locked=True)))
        for row in rows:
            row.overdue_at = now
            kind = await _type_of(session, row.type_code)
            _tell(session, now, "access.overdue", row, to=(row.organisation, kind.authority, *kind.issuers))
            await _record(session, now, SYSTEM, "overdue", row)
    return len(rows)


def _reason(text: str, move: Move) -> str:
    reason = text.strip()
    if len(reason) > MOST_BASIS or not is_clean(reason) or (not reason and move is not Move.OPEN):
        raise InvalidInput("reason", errors=[{"field": "reason", "message": f"1 to {MOST_BASIS} characters, one line"}])
    return reason


async def _type_of(session: AsyncSession, code: str) -> CertificateType:
    kind = await get_type(session, code)
    if kind is None:
        raise InvalidInput("type", errors=[{"field": "type", "message": "no such type in the catalogue"}])
    return kind


async def _check_matter(session: AsyncSession, organisation: str, code: str) -> None:
    matter = await get_matter(session, code) if code else None
    if code and (matter is None or matter.organisation != organisation):
        raise InvalidInput("matter", errors=[{"field": "matter_code", "message": "no matter of the organisation"}])


def _digest(asked: Application) -> bytes:
    values = [asked.type_code, sorted(asked.wants), asked.matter_code, asked.purpose, asked.basis, asked.per_day, asked.until.isoformat()]
    return fingerprint(orjson.dumps([*values, asked.without_holder]).decode())


def _row(
    now: dt.datetime, actor: Actor, organisation: str, asked: Application, due: dt.datetime, key: str, request: bytes
) -> AccessApplicationRow:
    return AccessApplicationRow(
        id=new_id(), organisation=organisation, type_code=asked.type_code, uses=sorted(asked.wants), matter_code=asked.matter_code,
        purpose=asked.purpose, basis=asked.basis, without_holder=asked.without_holder, per_day=asked.per_day, until=asked.until,
        stage=Stage.SUBMITTED.value, applicant_kind=actor.kind.value, applicant_id=actor.id, applicant_name=actor.name, submitted_at=now,
        due_at=due, overdue_at=None, decided_at=None, decided_by=None, decided_name="", reason="", request_key=key, request=request,
    )  # fmt: skip


def _view(row: AccessApplicationRow) -> Applied:
    asked = Application(
        row.type_code, frozenset(Want(one) for one in row.uses), row.matter_code, row.purpose, row.basis, row.per_day, row.until,
        row.without_holder,
    )  # fmt: skip
    return Applied(
        row.id, row.organisation, asked, Stage(row.stage), row.applicant_id, row.applicant_name, row.submitted_at, row.due_at,
        row.overdue_at, row.decided_at, row.decided_name, row.reason,
    )  # fmt: skip


def _tell(session: AsyncSession, now: dt.datetime, topic: str, row: AccessApplicationRow, *, to: Sequence[str]) -> None:
    payload: dict[str, JSON] = {
        "id": str(row.id), "organisation": row.organisation, "type": row.type_code, "due_at": row.due_at.isoformat(), "status": row.stage,
    }  # fmt: skip
    write_event(session, now, topic, row.id, payload, to=to)


async def _record(session: AsyncSession, now: dt.datetime, actor: Actor, step: str, row: AccessApplicationRow) -> None:
    details: dict[str, JSON] = {"type": row.type_code, "organisation": row.organisation, "wants": list(row.uses), "stage": row.stage}
    await audit.record(session, now, Event(f"certs.access.{step}", f"access:{row.id}", audit.Outcome.DONE, actor, details))


async def _refused(database: Database, now: dt.datetime, actor: Actor, step: str, subject: str, error: FujieError) -> None:
    event = Event(f"certs.access.{step}", subject, audit.Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(database, now, event)
