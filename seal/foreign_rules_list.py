"""How rules for a system come into force, and out of it. Two people, as for the trust list itself.

:func:`propose_rules`   a security administrator with a second factor; the authority is on the trust list
:func:`approve_rules`   another one agrees: in force from this instant, in place of those before
:func:`reject_rules`    a proposal is refused; one person
:func:`withdraw_rules`  back to what holds without rules; one person, unless the rules ask for more than is asked without them: those are
                        replaced by other rules, which takes two

Every refusal is audited in a transaction of its own.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence.audit import JSON, Event, Outcome, digest, record
from keys.trust.errors import TrustEntryUnknown, TrustSamePerson
from keys.trust.lifecycle import LIVING
from keys.trust.once import Once, claim
from keys.trust.proposals import check_actor, refusals_audited
from keys.trust.reads import list_entries
from seal.foreign_rules import STRICT, AuthorityRules, SystemRules
from seal.foreign_rules_models import ForeignRulesRow

MAX_REASON = 400


class RulesStatus(StrEnum):
    PROPOSED = "proposed"
    ACTIVE = "active"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


class RulesUnknown(NotFound):
    """There is no such set of rules."""

    code = "FOREIGN_RULES_UNKNOWN"
    public = ("没有这组互认规则。", "There are no such rules.")


class RulesDecided(Conflict):
    """The rules are not in the status that this step starts from; ``extra`` names it."""

    code = "FOREIGN_RULES_DECIDED"
    public = ("这组规则的当前状态不允许此操作。", "The present status of these rules does not allow this.")


class RulesPending(Conflict):
    """Other rules of this authority wait for a decision."""

    code = "FOREIGN_RULES_PENDING"
    public = ("该机构已有一组规则等待批准。", "Other rules of this authority wait for a decision.")


class RulesAskForMore(Conflict):
    """To end rules that ask for more than is asked without them would widen what is believed."""

    code = "FOREIGN_RULES_ASK_FOR_MORE"
    public = ("这组规则比默认更严，请另行提议规则来替换。", "These rules are stricter than none. Propose other rules in their place.")


class RulesReasonMissing(InvalidInput):
    """Why is kept with the rules."""

    code = "FOREIGN_RULES_REASON_MISSING"
    public = ("请说明理由。", "Please give a reason.")


@dataclass(frozen=True, slots=True)
class KeptRules:
    """A set of rules as people see it."""

    id: uuid.UUID
    authority: bytes
    rules: SystemRules
    status: RulesStatus
    reason: str
    proposed_by: str
    proposed_at: dt.datetime
    decided_by: str | None
    decided_at: dt.datetime | None
    decision: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "authority": self.authority.hex(),
            "rules": self.rules.to_json(),
            "status": self.status,
            "reason": self.reason,
            "proposed_by": self.proposed_by,
            "proposed_at": self.proposed_at.isoformat(),
            "decided_by": self.decided_by,
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
            "decision": self.decision,
        }


async def propose_rules(
    database: Database, clock: Clock, actor: Actor, order: AuthorityRules, reason: str, once: Once | None = None
) -> KeptRules:
    """See the module. Raises ``TrustActorRefused``, ``TrustEntryUnknown``, :class:`RulesPending`, :class:`RulesReasonMissing`."""
    async with refusals_audited(database, clock, "seal.rules.propose", _named(order.authority), actor):
        check_actor(actor)
        _require(reason)
        now, made = clock.now(), new_id()
        try:
            async with database.begin() as session:
                if earlier := await claim(session, now, actor, once, made):
                    return _view(await _row(session, earlier))
                await _require_trusted(session, order.authority)
                row = ForeignRulesRow(
                    id=made,
                    authority=order.authority,
                    rules=order.rules.to_json(),
                    status=RulesStatus.PROPOSED,
                    reason=reason,
                    proposed_by=actor.id,
                    proposed_at=now,
                )
                session.add(row)
                await session.flush()
                await _audited(session, now, actor, row, "propose", reason)
                return _view(row)
        except IntegrityError as error:
            raise RulesPending(_named(order.authority)) from error


async def approve_rules(
    database: Database, clock: Clock, actor: Actor, rules_id: uuid.UUID, reason: str, once: Once | None = None
) -> KeptRules:
    """See the module. Raises ``TrustActorRefused``, ``TrustSamePerson``, ``TrustEntryUnknown``, :class:`RulesUnknown`,
    :class:`RulesDecided`."""
    async with refusals_audited(database, clock, "seal.rules.approve", f"foreign-rules:{rules_id}", actor), database.begin() as session:
        now = clock.now()
        row = await _lock(session, actor, rules_id, reason)
        if await claim(session, now, actor, once, rules_id):
            return _view(row)
        _require_status(row, RulesStatus.PROPOSED)
        if row.proposed_by == actor.id:
            raise TrustSamePerson("approval by who proposed the rules")
        await _require_trusted(session, row.authority)
        before = await session.scalar(
            select(ForeignRulesRow)
            .where(ForeignRulesRow.authority == row.authority, ForeignRulesRow.status == RulesStatus.ACTIVE)
            .with_for_update()
        )
        if before is not None:
            await _decide(session, now, actor, before, RulesStatus.SUPERSEDED, reason)
        return await _decide(session, now, actor, row, RulesStatus.ACTIVE, reason)


async def reject_rules(
    database: Database, clock: Clock, actor: Actor, rules_id: uuid.UUID, reason: str, once: Once | None = None
) -> KeptRules:
    """Raises as :func:`approve_rules` does."""
    return await _end(database, clock, actor, rules_id, reason, once, (RulesStatus.PROPOSED, RulesStatus.REJECTED))


async def withdraw_rules(
    database: Database, clock: Clock, actor: Actor, rules_id: uuid.UUID, reason: str, once: Once | None = None
) -> KeptRules:
    """Raises as :func:`approve_rules` does, and :class:`RulesAskForMore`."""
    return await _end(database, clock, actor, rules_id, reason, once, (RulesStatus.ACTIVE, RulesStatus.WITHDRAWN))


async def _end(
    database: Database,
    clock: Clock,
    actor: Actor,
    rules_id: uuid.UUID,
    reason: str,
    once: Once | None,
    step: tuple[RulesStatus, RulesStatus],
) -> KeptRules:
    old, new = step
    async with refusals_audited(database, clock, f"seal.rules.{new}", f"foreign-rules:{rules_id}", actor), database.begin() as session:
        now = clock.now()
        row = await _lock(session, actor, rules_id, reason)
        if await claim(session, now, actor, once, rules_id):
            return _view(row)
        _require_status(row, old)
        if new is RulesStatus.WITHDRAWN and asks_for_more(SystemRules.from_json(row.rules)):
            raise RulesAskForMore(str(rules_id))
        return await _decide(session, now, actor, row, new, reason)


def asks_for_more(rules: SystemRules) -> bool:
    """Whether something that passes without rules does not pass under these."""
    return rules.timestamp_required or not (rules.algorithms >= STRICT.algorithms and rules.encodings >= STRICT.encodings)


async def list_rules(session: AsyncSession, status: RulesStatus | None = None) -> list[KeptRules]:
    """Every set of rules, oldest first; of one status where it is given."""
    query = select(ForeignRulesRow).order_by(ForeignRulesRow.proposed_at, ForeignRulesRow.id)
    return [_view(row) for row in await session.scalars(query if status is None else query.where(ForeignRulesRow.status == status))]


async def get_rules(session: AsyncSession, rules_id: uuid.UUID) -> KeptRules:
    """Raises :class:`RulesUnknown`."""
    return _view(await _row(session, rules_id))


async def rules_in_force(session: AsyncSession) -> tuple[AuthorityRules, ...]:
    """What a verdict is given."""
    return tuple(AuthorityRules(one.authority, one.rules) for one in await list_rules(session, RulesStatus.ACTIVE))


async def _row(session: AsyncSession, rules_id: uuid.UUID) -> ForeignRulesRow:
    row = await session.get(ForeignRulesRow, rules_id, populate_existing=True)
    if row is None:
        raise RulesUnknown(str(rules_id))
    return row


async def _lock(session: AsyncSession, actor: Actor, rules_id: uuid.UUID, reason: str) -> ForeignRulesRow:
    check_actor(actor)
    _require(reason)
    row = await session.scalar(select(ForeignRulesRow).where(ForeignRulesRow.id == rules_id).with_for_update())
    if row is None:
        raise RulesUnknown(str(rules_id))
    return row


def _require(reason: str) -> None:
    if not reason.strip() or len(reason) > MAX_REASON:
        raise RulesReasonMissing("a reason is required", errors=[{"field": "reason", "message": "required"}])


def _require_status(row: ForeignRulesRow, status: RulesStatus) -> None:
    if row.status != status:
        raise RulesDecided(f"{row.id} is {row.status}", status=row.status)


async def _require_trusted(session: AsyncSession, authority: bytes) -> None:
    """Rules say what may differ in what is trusted; they make nobody trusted."""
    known: Sequence[bytes] = [entry.fingerprint for entry in await list_entries(session) if entry.status in LIVING]
    if authority not in known:
        raise TrustEntryUnknown(authority.hex())


async def _decide(
    session: AsyncSession, now: dt.datetime, actor: Actor, row: ForeignRulesRow, status: RulesStatus, reason: str
) -> KeptRules:
    row.status, row.decided_by, row.decided_at, row.decision = status, actor.id, now, reason
    await session.flush()
    await _audited(session, now, actor, row, status, reason)
    return _view(row)


async def _audited(session: AsyncSession, now: dt.datetime, actor: Actor, row: ForeignRulesRow, step: str, reason: str) -> None:
    details: dict[str, JSON] = {"authority": row.authority.hex(), "rules": row.rules, "status": row.status, "reason": digest(reason)}
    await record(session, now, Event(f"seal.rules.{step}", f"foreign-rules:{row.id}", Outcome.DONE, actor, details))


def _named(authority: bytes) -> str:
    return f"trust-certificate:{authority.hex()}"


def _view(row: ForeignRulesRow) -> KeptRules:
    return KeptRules(
        id=row.id,
        authority=row.authority,
        rules=SystemRules.from_json(row.rules),
        status=RulesStatus(row.status),
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision=row.decision,
    )
