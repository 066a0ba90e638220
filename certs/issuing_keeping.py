"""Keeping the rules of issuing: how numbers are written, how many certificates one holder can have, what a licence takes up.

Issuing rules are kept by those who write in the type's catalogue entry; merge rules by system administrators only, because under them one
department's licence ends another's certificates. All of them log in with two factors; every change and refusal is audited.
"""

import datetime as dt
from dataclasses import asdict

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import UnknownIssuer, is_clean
from certs.catalogue import CertificateType
from certs.catalogue_access import CatalogueForbidden, check_move, holds_office
from certs.catalogue_keeping import TypeUnknown, refusals_audited
from certs.issuing_models import IssuingRuleRow, MergeRuleRow
from certs.issuing_rules import IssuingRule, check_rule
from certs.merging import MergeRule, merged_label
from certs.numbers import to_rule
from certs.reads import get_type
from certs.type_lifecycle import TypeMove
from identity.organisations import get_organisation
from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record

MOST_CLAIM_DAYS = 365


class MergeRuleMalformed(InvalidInput):
    """``extra['errors']`` names what is wrong."""

    code = "MERGE_RULE_MALFORMED"
    public = ("整合规则的内容不正确。", "The merge rule is not well-formed.")


async def put_issuing_rule(database: Database, clock: Clock, actor: Actor, rule: IssuingRule) -> IssuingRule:
    """The rule in place of the one before. Raises ``TypeUnknown``, ``UnknownIssuer``, ``IssuingRuleMalformed``,
    ``CatalogueForbidden``, ``CatalogueSecondFactorNeeded``."""
    async with refusals_audited(database, clock, "issuing_rule", rule.type_code, actor), database.begin() as session:
        now = clock.now()
        check_move(actor, TypeMove.WRITE, await _kind(session, rule.type_code))
        if rule.issuer and await get_organisation(session, rule.issuer) is None:
            raise UnknownIssuer
        check_rule(rule)
        values = asdict(rule) | {"in_force": rule.in_force.value, "updated_at": now, "updated_by": actor.name}
        statement = insert(IssuingRuleRow).values(values)
        await session.execute(statement.on_conflict_do_update(index_elements=["type_code", "issuer"], set_=values))
        await _audit(session, now, actor, "issuing_rule", rule.type_code)
    return rule


async def drop_issuing_rule(database: Database, clock: Clock, actor: Actor, type_code: str, issuer: str) -> None:
    """Without a rule departments number as they like; what was numbered stays. Raises what :func:`put_issuing_rule` raises."""
    async with refusals_audited(database, clock, "issuing_rule", type_code, actor), database.begin() as session:
        check_move(actor, TypeMove.WRITE, await _kind(session, type_code))
        await session.execute(delete(IssuingRuleRow).where(IssuingRuleRow.type_code == type_code, IssuingRuleRow.issuer == issuer))
        await _audit(session, clock.now(), actor, "issuing_rule", type_code)


async def issuing_rules(session: AsyncSession, type_code: str) -> list[IssuingRule]:
    """The rules of a type: that of all issuers first."""
    rows = await session.scalars(select(IssuingRuleRow).where(IssuingRuleRow.type_code == type_code).order_by(IssuingRuleRow.issuer))
    return [to_rule(row) for row in rows]


async def put_merge_rule(database: Database, clock: Clock, actor: Actor, rule: MergeRule) -> MergeRule:
    """The rule in place of the one before. Raises ``TypeUnknown``, ``TypeListsNoItems``, ``UnknownIssuer``,
    :class:`MergeRuleMalformed`, ``CatalogueForbidden``, ``CatalogueSecondFactorNeeded``."""
    async with refusals_audited(database, clock, "merge_rule", rule.type_code, actor), database.begin() as session:
        now, kind = clock.now(), await _kind(session, rule.type_code)
        _check_office(actor, kind)
        await _kind(session, rule.absorbed)
        merged_label(kind)
        _check_merge(rule)
        if rule.department and await get_organisation(session, rule.department) is None:
            raise UnknownIssuer
        values = asdict(rule) | {"updated_at": now, "updated_by": actor.name}
        statement = insert(MergeRuleRow).values(values)
        await session.execute(statement.on_conflict_do_update(index_elements=["type_code", "absorbed"], set_=values))
        await _audit(session, now, actor, "merge_rule", rule.type_code)
    return rule


async def drop_merge_rule(database: Database, clock: Clock, actor: Actor, type_code: str, absorbed: str) -> None:
    """The licence takes up that type no more; what it took up stays. Raises what :func:`put_merge_rule` raises."""
    async with refusals_audited(database, clock, "merge_rule", type_code, actor), database.begin() as session:
        _check_office(actor, await _kind(session, type_code))
        await session.execute(delete(MergeRuleRow).where(MergeRuleRow.type_code == type_code, MergeRuleRow.absorbed == absorbed))
        await _audit(session, clock.now(), actor, "merge_rule", type_code)


async def merge_rules(session: AsyncSession, type_code: str) -> list[MergeRule]:
    """What a type may take up."""
    rows = await session.scalars(select(MergeRuleRow).where(MergeRuleRow.type_code == type_code).order_by(MergeRuleRow.absorbed))
    return [MergeRule(row.type_code, row.absorbed, row.department, row.claim_days, row.basis) for row in rows]


def _check_merge(rule: MergeRule) -> None:
    errors = []
    if rule.type_code == rule.absorbed:
        errors.append({"field": "absorbed", "message": "a type does not take up itself"})
    if not 1 <= rule.claim_days <= MOST_CLAIM_DAYS:
        errors.append({"field": "claim_days", "message": f"1–{MOST_CLAIM_DAYS}"})
    if not rule.basis.strip() or len(rule.basis) > 500 or not is_clean(rule.basis):
        errors.append({"field": "basis", "message": "1–500 printable characters"})
    if errors:
        raise MergeRuleMalformed("merge rule", errors=errors)


def _check_office(actor: Actor, kind: CertificateType) -> None:
    check_move(actor, TypeMove.WRITE, kind)
    if actor.kind is not ActorKind.SYSTEM and not holds_office(actor, reviews=False):
        raise CatalogueForbidden("merge rules are the city's")


async def _kind(session: AsyncSession, code: str) -> CertificateType:
    kind = await get_type(session, code)
    if kind is None:
        raise TypeUnknown(code[:21])
    return kind


async def _audit(session: AsyncSession, now: dt.datetime, actor: Actor, what: str, code: str) -> None:
    await record(session, now, Event(f"certs.type.{what}", f"certificate-type:{code}", Outcome.DONE, actor))
