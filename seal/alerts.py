"""Alerts: what in the use of seals somebody should look at. The rules are data; a background step asks them all.

Each rule is one statement that names seal, occasion (``mark``) and details; an occasion is told once. Keepers, auditors and
administrators read alerts; a keeper or an administrator acknowledges them.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, select, text, update

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, NotFound
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import check_grantor, check_reader
from seal.authority_models import AlertRow
from seal.changes import refusals_audited
from seal.reads import get_application, get_seal


class AlertNotFound(NotFound):
    code = "SEAL_ALERT_NOT_FOUND"
    public = ("没有这条告警。", "There is no such alert.")


class AlertAcknowledged(Conflict):
    code = "SEAL_ALERT_ACKNOWLEDGED"
    public = ("该告警已处理。", "The alert was acknowledged already.")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """``found``: a select of ``seal_id``, ``mark`` and ``details`` (JSON) with the parameter ``now``."""

    code: str
    zh: str
    en: str
    found: str


_CIVIL = "(u.at AT TIME ZONE 'UTC' + interval '8 hours')"
RULES: tuple[AlertRule, ...] = (
    AlertRule(
        "USE_OUT_OF_HOURS",
        "非工作时间用印。",
        "The seal was used by a person out of working hours (Monday to Friday, 08:00 to 18:00).",
        f"""
SELECT u.seal_id, u.actor_id || ' ' || CAST({_CIVIL} AS date) AS mark, jsonb_build_object('actor', u.actor_id, 'at', min(u.at)) AS details
FROM seal.uses u WHERE u.at > :now - interval '1 hour' AND NOT u.unattended
AND (extract(isodow FROM {_CIVIL}) > 5 OR extract(hour FROM {_CIVIL}) NOT BETWEEN 8 AND 17)
GROUP BY u.seal_id, u.actor_id, CAST({_CIVIL} AS date)""",  # noqa: S608 - no input
    ),
    AlertRule(
        "USE_BURST",
        "一小时内用印次数远超平时。",
        "The seal was used far more often within an hour than is usual: over 30 times, and five times the busiest hour of four weeks.",
        """
SELECT recent.seal_id, to_char(date_trunc('hour', CAST(:now AS timestamptz)), 'YYYYMMDDHH24') AS mark,
  jsonb_build_object('uses', recent.uses) AS details
FROM (SELECT seal_id, count(*) AS uses FROM seal.uses WHERE at > :now - interval '1 hour' GROUP BY seal_id) AS recent
WHERE recent.uses > 30 AND recent.uses > 5 * coalesce((
  SELECT max(n) FROM (SELECT count(*) AS n FROM seal.uses u WHERE u.seal_id = recent.seal_id
    AND u.at BETWEEN :now - interval '28 days' AND :now - interval '1 hour' GROUP BY date_trunc('hour', u.at)) AS hours), 0)""",
    ),
    AlertRule(
        "REFUSED_IN_A_ROW",
        "同一人连续多次被拒绝用印。",
        "Somebody asked five times within ten minutes and was refused each time.",
        """
SELECT r.seal_id, r.actor_id || ' ' || to_char(date_trunc('hour', CAST(:now AS timestamptz)), 'YYYYMMDDHH24') AS mark,
  jsonb_build_object('actor', r.actor_id, 'refusals', count(*), 'code', max(r.code)) AS details
FROM seal.refusals r WHERE r.at > :now - interval '10 minutes' AND NOT EXISTS (
  SELECT 1 FROM seal.uses u WHERE u.seal_id = r.seal_id AND u.actor_id = r.actor_id AND u.at > :now - interval '10 minutes')
GROUP BY r.seal_id, r.actor_id HAVING count(*) >= 5""",
    ),
    AlertRule(
        "USE_FROM_ANOTHER_PLACE",
        "用印人从从未使用过的地址用印。",
        "A person used the seal from an address they had not used it from in thirty days.",
        """
SELECT u.seal_id, u.actor_id || ' ' || u.address AS mark, jsonb_build_object('actor', u.actor_id, 'address', u.address) AS details
FROM seal.uses u WHERE u.at > :now - interval '1 hour' AND u.address IS NOT NULL AND NOT u.unattended
AND EXISTS (SELECT 1 FROM seal.uses o WHERE o.seal_id = u.seal_id AND o.actor_id = u.actor_id AND o.address IS NOT NULL
  AND o.at BETWEEN :now - interval '30 days' AND u.at - interval '1 microsecond')
AND NOT EXISTS (SELECT 1 FROM seal.uses o WHERE o.seal_id = u.seal_id AND o.actor_id = u.actor_id AND o.address = u.address
  AND o.at BETWEEN :now - interval '30 days' AND u.at - interval '1 microsecond')
GROUP BY u.seal_id, u.actor_id, u.address""",
    ),
    AlertRule(
        "UNATTENDED_QUOTA_80",
        "无人值守用印已达限额的 80%。",
        "Unattended use has reached 80 % of its quota.",
        """
SELECT g.seal_id, g.id || ' ' || c.period AS mark,
  jsonb_build_object('grant', g.id, 'grantee', g.grantee_id, 'used', c.used, 'quota', c.quota) AS details
FROM seal.grant_counters c JOIN seal.grants g ON g.id = c.grant_id
WHERE g.unattended AND g.withdrawn_at IS NULL AND c.used * 10 >= c.quota * 8
AND (c.period = 'total' OR c.period = CAST((CAST(:now AS timestamptz) AT TIME ZONE 'UTC' + interval '8 hours') AS date)::text)""",
    ),
    AlertRule(
        "SEAL_NEAR_EXPIRY",
        "印章将在 30 天内到期。",
        "The seal expires within thirty days.",
        """
SELECT s.id AS seal_id, CAST(s.valid_to AS date)::text AS mark, jsonb_build_object('valid_to', s.valid_to) AS details
FROM seal.seals s WHERE s.status IN ('active', 'suspended') AND s.valid_to BETWEEN :now AND :now + interval '30 days'""",
    ),
)
NAMES: dict[str, tuple[str, str]] = {rule.code: (rule.zh, rule.en) for rule in RULES}


def _statement(rule: AlertRule) -> TextClause:
    found = rule.found.replace(":now", "CAST(:now AS timestamptz)").replace(
        "CAST(CAST(:now AS timestamptz) AS timestamptz)", "CAST(:now AS timestamptz)"
    )
    return text(
        "INSERT INTO seal.alerts (id, seal_id, rule, mark, at, details, note)"  # noqa: S608 - the rules above, no input
        f" SELECT gen_random_uuid(), found.seal_id, :rule, found.mark, CAST(:now AS timestamptz), found.details, '' FROM ({found}) AS found"
        " ON CONFLICT (seal_id, rule, mark) DO NOTHING RETURNING id"
    )


_STATEMENTS = {rule.code: _statement(rule) for rule in RULES}


async def watch_uses(database: Database, clock: Clock) -> int:
    """Ask every rule; how many new alerts there are."""
    now, new = clock.now(), 0
    for code, statement in _STATEMENTS.items():
        async with database.begin() as session:
            new += len((await session.execute(statement, {"now": now, "rule": code})).all())
    return new


@dataclass(frozen=True, slots=True)
class Alert:
    """``acknowledged_by`` None: nobody has looked yet."""

    id: uuid.UUID
    seal_code: str
    rule: str
    at: dt.datetime
    details: dict[str, Any]
    acknowledged_at: dt.datetime | None
    acknowledged_by: str | None
    note: str


async def list_alerts(session: AsyncSession, actor: Actor, seal_code: str, *, everything: bool = False, limit: int = 100) -> list[Alert]:
    """A seal's alerts that nobody acknowledged, or all, the latest first. Raises ``SealNotFound``, ``AuthorityHidden``."""
    seal = await get_seal(session, seal_code)
    check_reader(actor, seal)
    query = select(AlertRow).where(AlertRow.seal_id == seal.id).order_by(AlertRow.at.desc(), AlertRow.id.desc()).limit(limit)
    if not everything:
        query = query.where(AlertRow.acknowledged_at.is_(None))
    return [
        Alert(row.id, seal.code, row.rule, row.at, row.details, row.acknowledged_at, row.acknowledged_by, row.note)
        for row in await session.scalars(query)
    ]


async def acknowledge(database: Database, clock: Clock, actor: Actor, alert_id: uuid.UUID, note: str) -> None:
    """Somebody looked. Raises :class:`AlertNotFound`, :class:`AlertAcknowledged`, ``GrantForbidden``."""
    async with refusals_audited(database, clock, "seal.alert.acknowledge", f"alert:{alert_id}", actor), database.begin() as session:
        row = await session.get(AlertRow, alert_id)
        if row is None:
            raise AlertNotFound(str(alert_id))
        check_grantor(actor, await get_application(session, row.seal_id))
        now = clock.now()
        values = {"acknowledged_at": now, "acknowledged_by": actor.id, "note": note[:500]}
        statement = update(AlertRow).where(AlertRow.id == alert_id, AlertRow.acknowledged_at.is_(None)).values(values)
        if await session.scalar(statement.returning(AlertRow.id)) is None:
            raise AlertAcknowledged(str(alert_id))
        details: dict[str, audit.JSON] = {"rule": row.rule, "note": audit.digest(note)}
        await audit.record(session, now, Event("seal.alert.acknowledge", f"seal:{row.seal_id}", Outcome.DONE, actor, details))
