"""How often a requester may do what: a quota for a civil day and a pace for a minute, per requester, use and type.

The quota is counted in PostgreSQL in the transaction that does the thing, on the condition that something is left (as the quotas of
seals are, docs/decisions/0069): nothing is handed out uncounted, and what fails is not counted. The pace is the door's
(``api.requester_pace``), counted where it may be lost. A rule for the type stands before the rule for every type, the client's before its
organisation's; without one the built-in rule of the use holds.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from certs.copy_models import RateRow, RateUseRow
from keys.base.actor import Actor, ActorKind
from keys.base.clock import CHINA_STANDARD_TIME, civil_date
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, InvalidInput
from keys.evidence.audit import Event, Outcome, record

MOST = 1_000_000_000
KEPT_DAYS = 400
EVERY_TYPE = ""


class Use(StrEnum):
    """What is counted: ``find`` by holder, ``record`` its fields, ``copy`` an annotated copy, ``file`` the original, ``verify`` a file."""

    FIND = "find"
    RECORD = "record"
    COPY = "copy"
    FILE = "file"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most so many in a minute and on a civil day; 0: none at all."""

    per_minute: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A rate as it was set."""

    requester: str
    use: Use
    type_code: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Standing:
    """A requester's day: ``limit`` and what is left of it; ``resets``: when the next day begins."""

    limit: int
    left: int
    resets: dt.datetime


BUILT_IN: Mapping[Use, Rate] = MappingProxyType(
    {
        Use.FIND: Rate(300, 50_000),
        Use.RECORD: Rate(300, 50_000),
        Use.COPY: Rate(60, 5_000),
        Use.FILE: Rate(60, 5_000),
        Use.VERIFY: Rate(600, 100_000),
    }
)


class QuotaExhausted(FujieError):
    """The requester's quota of the day is used up; ``retry_after``: seconds until the next civil day."""

    code = "QUOTA_EXHAUSTED"
    status = 429
    public = (
        "今日的使用次数已达上限，请明日再试或申请提高限额。",
        "Today's quota is used up. Please try tomorrow, or apply for a larger one.",
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.extra.get("retry_after", 60))}


def requester_of(actor: Actor) -> str:
    """Under which name uses are counted: a client's own, an organisation's staff together, else the person's."""
    if actor.kind is ActorKind.PERSON and actor.organisation:
        return actor.organisation
    return actor.id


def names_of(actor: Actor) -> tuple[str, ...]:
    """The names a rule may be set under, the nearest first."""
    own = requester_of(actor)
    return (own, actor.organisation) if actor.organisation and actor.organisation != own else (own,)


@dataclass(frozen=True, slots=True)
class Held:
    """The rate that holds, and under which name and type it is counted: a rule's own, so that it bounds all it speaks of together."""

    rate: Rate
    requester: str
    type_code: str


def chosen(rules: Iterable[Rule], names: tuple[str, ...], use: Use, type_code: str) -> Held:
    """The rule that holds, or the built-in one. Pure."""
    found = {(one.requester, one.type_code): one.rate for one in rules if one.use is use}
    places = [(name, kind) for name in names for kind in dict.fromkeys((type_code, EVERY_TYPE))]
    place = next((place for place in places if place in found), None)
    return Held(found[place], *place) if place else Held(BUILT_IN[use], names[0], EVERY_TYPE)


async def rate_of(session: AsyncSession, actor: Actor, use: Use, type_code: str = EVERY_TYPE) -> Held:
    """What holds for this requester."""
    names = names_of(actor)
    return chosen(await rules_of(session, names), names, use, type_code)


async def rules_of(session: AsyncSession, names: Iterable[str] | None = None) -> tuple[Rule, ...]:
    """The rules set for these names, or all."""
    query = select(RateRow).order_by(RateRow.requester, RateRow.use, RateRow.type_code)
    rows = await session.scalars(query if names is None else query.where(RateRow.requester.in_(list(names))))
    return tuple(Rule(row.requester, Use(row.use), row.type_code, Rate(row.per_minute, row.per_day)) for row in rows)


async def standing_of(session: AsyncSession, now: dt.datetime, actor: Actor, use: Use, type_code: str = EVERY_TYPE) -> Standing:
    """The requester's day as it stands; counts nothing."""
    held, day = await rate_of(session, actor, use, type_code), civil_date(now)
    used = await session.get(RateUseRow, (held.requester, use.value, held.type_code, day), populate_existing=True)
    return Standing(held.rate.per_day, max(0, held.rate.per_day - (used.used if used else 0)), _resets(day))


async def count(session: AsyncSession, now: dt.datetime, actor: Actor, use: Use, type_code: str = EVERY_TYPE) -> Standing:
    """Count one use in the caller's transaction. Raises :class:`QuotaExhausted`."""
    held, day = await rate_of(session, actor, use, type_code), civil_date(now)
    limit, resets = held.rate.per_day, _resets(day)
    used = await _add(session, day, held, use) if limit else None
    if used is None:
        raise _exhausted(use, Standing(limit, 0, resets), now)
    return Standing(limit, limit - used, resets)


async def require_quota(session: AsyncSession, now: dt.datetime, actor: Actor, use: Use, type_code: str = EVERY_TYPE) -> None:
    """Ask before the work is done whether it may be; counts nothing. Raises :class:`QuotaExhausted`."""
    standing = await standing_of(session, now, actor, use, type_code)
    if not standing.left:
        raise _exhausted(use, standing, now)


def _exhausted(use: Use, standing: Standing, now: dt.datetime) -> QuotaExhausted:
    return QuotaExhausted(use.value, limit=standing.limit, retry_after=max(1, int((standing.resets - now).total_seconds())))


async def _add(session: AsyncSession, day: dt.date, held: Held, use: Use) -> int | None:
    statement = insert(RateUseRow).values(requester=held.requester, use=use.value, type_code=held.type_code, day=day, used=1)
    more = statement.on_conflict_do_update(
        index_elements=["requester", "use", "type_code", "day"],
        set_={"used": RateUseRow.used + 1},
        where=RateUseRow.used < held.rate.per_day,
    )
    return await session.scalar(more.returning(RateUseRow.used))


def _resets(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), CHINA_STANDARD_TIME).astimezone(dt.UTC)


async def set_rate(session: AsyncSession, now: dt.datetime, actor: Actor, rule: Rule) -> None:
    """Set a rule, in place of the one before. Raises ``InvalidInput``."""
    if not rule.requester or not all(0 <= one <= MOST for one in (rule.rate.per_minute, rule.rate.per_day)):
        raise InvalidInput("rate", errors=[{"field": "per_day", "message": f"0 to {MOST}, for a client or an organisation"}])
    statement = insert(RateRow).values(
        requester=rule.requester, use=rule.use.value, type_code=rule.type_code, per_minute=rule.rate.per_minute,
        per_day=rule.rate.per_day, set_at=now, set_by=actor.id,
    )  # fmt: skip
    changed = {name: statement.excluded[name] for name in ("per_minute", "per_day", "set_at", "set_by")}
    await session.execute(statement.on_conflict_do_update(index_elements=["requester", "use", "type_code"], set_=changed))
    details = {"use": rule.use.value, "type": rule.type_code, "per_minute": rule.rate.per_minute, "per_day": rule.rate.per_day}
    await record(session, now, Event("certs.rate.set", f"requester:{rule.requester}", Outcome.DONE, actor, {**details}))


async def used_on(session: AsyncSession, day: dt.date) -> tuple[tuple[str, str, str, int], ...]:
    """(requester, use, type, used) of a day, the busiest first."""
    rows = await session.scalars(select(RateUseRow).where(RateUseRow.day == day).order_by(RateUseRow.used.desc(), RateUseRow.requester))
    return tuple((row.requester, row.use, row.type_code, row.used) for row in rows)


async def forget_uses(session: AsyncSession, now: dt.datetime) -> None:
    """Counts of long ago."""
    await session.execute(delete(RateUseRow).where(RateUseRow.day < civil_date(now) - dt.timedelta(days=KEPT_DAYS)))
