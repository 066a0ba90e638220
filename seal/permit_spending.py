"""Spending a permit: what is held, what is asked again under the locks, what is counted."""

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import ARRAY, BigInteger, DateTime, RowMapping, Table, Text, Uuid, bindparam, column, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, Forbidden, NotFound
from keys.pki.standing_locks import any_revoked, held_certificates
from seal.authority_models import GrantCounterRow
from seal.lifecycle import Status
from seal.models import GrantRow, PermitRow, SealRow, UseRow
from seal.permit_facts import TOTAL, certificate_serials
from seal.policy import NotPermitted, objection_to_seal
from seal.policy_facts import REVIEW_EVERY
from seal.policy_hours import within_hours


class PermitUnknown(NotFound):
    code = "PERMIT_UNKNOWN"
    public = ("没有这项用印许可。", "There is no such permission to stamp.")


class PermitMismatch(Forbidden):
    code = "PERMIT_MISMATCH"
    public = ("用印许可与文件或印章不符。", "The permission is for another document or another seal.")


class PermitUsed(Conflict):
    code = "PERMIT_USED"
    public = ("用印许可已经使用过。", "The permission was used before.")


class PermitExpired(Conflict):
    code = "PERMIT_EXPIRED"
    public = ("用印许可已过期，请重新申请。", "The permission has expired. Ask again.")


@dataclass(frozen=True, slots=True)
class Spending:
    """The permit that is shown, and for which seal and document."""

    permit: uuid.UUID
    seal_code: str
    document_hash: bytes


async def spend(session: AsyncSession, now: dt.datetime, what: Spending) -> tuple[Actor, RowMapping]:
    """Steps 1 to 4 of ``seal.permits.consume_permit``: who used it, and the permit's row as it was held."""
    serials = list(await certificate_serials(session, what.seal_code))
    grants = await _hold(session, what.permit)
    held = grants[0]
    _check_permit(held, now, what)
    for grant in grants:
        _check_grant(grant, now, own=grant["id"] == held["grant_id"])
    await _use(session, now, what.permit, serials)
    await _count(session, now, grants)
    return Actor(ActorKind(held["actor_kind"]), held["actor_id"]), held


_HELD = (
    select(
        SealRow.code,
        SealRow.status,
        SealRow.valid_from,
        SealRow.valid_to,
        (SealRow.authority_version == PermitRow.authority_version).label("current"),
        GrantRow.id,
        GrantRow.withdrawn_at,
        GrantRow.valid_from.label("granted_from"),
        GrantRow.valid_to.label("granted_to"),
        GrantRow.hours,
        GrantRow.quota_day,
        GrantRow.quota_total,
        func.coalesce(GrantRow.reviewed_at, GrantRow.granted_at).label("reviewed_at"),
        PermitRow.grant_id,
        PermitRow.seal_id,
        PermitRow.actor_kind,
        PermitRow.actor_id,
        PermitRow.matter_code,
        PermitRow.document_hash,
        PermitRow.window_id,
        PermitRow.expires_at,
    )
    .select_from(PermitRow)
    .join(SealRow, SealRow.id == PermitRow.seal_id)
    .join(GrantRow, GrantRow.id == func.any(func.array_append(PermitRow.ancestors, PermitRow.grant_id)))
    .where(PermitRow.id == bindparam("permit"))
    .with_for_update(read=True, of=[SealRow, GrantRow])
)


async def _hold(session: AsyncSession, permit_id: uuid.UUID) -> Sequence[RowMapping]:
    """One row for each grant the permit rests on. A suspension or withdrawal under way is waited for and seen."""
    held = (await session.execute(_HELD, {"permit": permit_id})).mappings().all()
    if not held:
        raise PermitUnknown(str(permit_id))
    return held


def _check_permit(held: RowMapping, now: dt.datetime, what: Spending) -> None:
    if held["code"] != what.seal_code or held["document_hash"] != what.document_hash:
        raise PermitMismatch(str(what.permit))
    objection = objection_to_seal(Status(held["status"]), held["valid_from"], held["valid_to"], now)
    if objection is not None:
        raise NotPermitted(objection)
    if not held["current"]:
        raise NotPermitted("PERMIT_OUTDATED")
    if now >= held["expires_at"]:
        raise PermitExpired(str(what.permit))


def _check_grant(grant: RowMapping, now: dt.datetime, *, own: bool) -> None:
    if grant["withdrawn_at"] is not None:
        raise NotPermitted("GRANT_WITHDRAWN" if own else "DELEGATION_ENDED")
    if now > grant["granted_to"]:
        raise NotPermitted("GRANT_EXPIRED")
    if now > grant["reviewed_at"] + REVIEW_EVERY:
        raise NotPermitted("GRANT_REVIEW_OVERDUE")
    if not within_hours(grant["hours"], now):
        raise NotPermitted("GRANT_OUTSIDE_HOURS")


_PERMITS, _USES, _COUNTERS = (
    cast(Table, row.__table__) for row in (PermitRow, UseRow, GrantCounterRow)
)  # of single statements, past the ORM
_CERTIFICATES = held_certificates(bindparam("serials", type_=ARRAY(Text)))
_KEPT = (
    "seal_id", "document_hash", "actor_kind", "actor_id", "matter_code", "certificate_type", "unattended", "document_kind", "requester",
    "window_id", "address", "grant_id",
)  # fmt: skip
_SPENT = (
    update(_PERMITS)
    .where(
        _PERMITS.c.id == bindparam("permit_id"),
        _PERMITS.c.consumed_at.is_(None),
        select(func.count(_CERTIFICATES.c.revoked_at)).scalar_subquery() == 0,  # counts all, so all are held
    )
    .values(consumed_at=bindparam("at_instant", type_=DateTime(timezone=True)))
    .returning(_PERMITS.c.id, *(_PERMITS.c[name] for name in _KEPT))
    .cte("spent")
)
_USED = (
    insert(_USES)
    .from_select(
        ["permit_id", *_KEPT, "at"],
        select(_SPENT.c.id, *(_SPENT.c[name] for name in _KEPT), bindparam("at_instant", type_=DateTime(timezone=True))),
    )
    .returning(_USES.c.permit_id)
)


async def _use(session: AsyncSession, now: dt.datetime, permit_id: uuid.UUID, serials: list[str]) -> None:
    used = await session.execute(_USED, {"permit_id": permit_id, "at_instant": now, "serials": serials})
    if used.scalar() is None:
        revoked = await session.scalar(select(literal(1)).where(any_revoked(bindparam("serials", serials, type_=ARRAY(Text)))))
        raise NotPermitted("SEAL_CERTIFICATE_REVOKED") if revoked else PermitUsed(str(permit_id))


_COUNTED = (
    func.unnest(
        bindparam("grants", type_=ARRAY(Uuid)), bindparam("periods", type_=ARRAY(Text)), bindparam("quotas", type_=ARRAY(BigInteger))
    )
    .table_valued(column("grant_id", Uuid), column("period", Text), column("quota", BigInteger), name="counted")
    .render_derived()
)
_FIRST = upsert(_COUNTERS).from_select(
    ["grant_id", "period", "used", "quota"],
    select(_COUNTED.c.grant_id, _COUNTED.c.period, literal(1, BigInteger), _COUNTED.c.quota).order_by(
        _COUNTED.c.grant_id,
        _COUNTED.c.period,  # in one order, so that two never wait for each other
    ),
)
_COUNT = _FIRST.on_conflict_do_update(
    index_elements=[_COUNTERS.c.grant_id, _COUNTERS.c.period],
    set_={"used": _COUNTERS.c.used + 1, "quota": _FIRST.excluded.quota},
    where=_COUNTERS.c.used < _FIRST.excluded.quota,
).returning(_COUNTERS.c.grant_id, _COUNTERS.c.period)


def _periods(grant: RowMapping, today: str) -> Iterator[tuple[uuid.UUID, str, int]]:
    for period, quota in ((today, grant["quota_day"]), (TOTAL, grant["quota_total"])):
        if quota is not None:
            yield grant["id"], period, quota


async def _count(session: AsyncSession, now: dt.datetime, grants: Sequence[RowMapping]) -> None:
    """One more under each quota, or none at all: the counters' rows are held until the transaction ends."""
    today = civil_date(now).isoformat()
    wanted = [one for grant in grants for one in _periods(grant, today)]
    if not wanted:
        return
    identifiers, periods, quotas = zip(*wanted, strict=True)
    parameters = {"grants": list(identifiers), "periods": list(periods), "quotas": list(quotas)}
    counted = {(row.grant_id, row.period) for row in await session.execute(_COUNT, parameters)}
    missed = {period for grant, period, _ in wanted if (grant, period) not in counted}
    if missed:
        raise NotPermitted("QUOTA_TOTAL_EXHAUSTED" if TOTAL in missed else "QUOTA_DAY_EXHAUSTED")
