"""The real-name check: who somebody says they are, put to the sources that know.

:func:`check_real_name` (portals) and :func:`bind_real_name` (the person's own page)
  1. *charge*    one attempt to the client or the account; none left: TOO_MANY_ATTEMPTS
  2. *form*      what the number itself says; wrong: outcome ``id_invalid``, and no source is asked
  3. *ask*       every source that covers the kind, at once, outside any transaction, within a time limit
  4. *judge*     one outcome and the identity level the facts give (``assurance``)
  5. *bind*      (own page, outcome ``match``) one number to one account, the verified name and the new level
  6. *record*    evidence and audit, in one transaction with 5

``no_record`` and ``name_differs`` are told apart, because STANDARDS §1 names them apart and a portal must tell a clerk's
typing error from a person not yet registered. That answers "does this number exist?" to whoever may ask, so asking needs the
scope ``identity:check``, is counted per client, takes equal work either way, and stands in the audit log. A person's own
page gets ten tries a day.

Evidence of a check names its claim by a keyed digest; name, number and mobile of a portal's question are kept nowhere.
"""

import asyncio
import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import structlog
from redis.asyncio import Redis
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from identity import numbers, people, throttle
from identity.assurance import LEVELS, Fact, Level, level_of
from identity.models import AccountRow, BindingRow, IdentityEvidenceRow
from identity.numbers import CodeType
from identity.personal_data import PersonalData
from identity.realname_sources import Answer, Claim, Outcome, RealNameSource, RegistrySource, normalise_name
from identity.throttle import Charge, Subject, Throttle
from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput, Throttled
from keys.base.ids import new_id
from keys.evidence import audit

log = structlog.get_logger(__name__)


class NumberAlreadyBound(Conflict):
    """The number belongs to another account; whose is not told."""

    code = "NUMBER_ALREADY_BOUND"
    public = (
        "该证件号码已绑定其他账号。如非本人操作，请到政务服务窗口办理。",
        "This number is bound to another account already. If that was not you, please come to a service window.",
    )


class AccountAlreadyBound(Conflict):
    """The account carries another number."""

    code = "ACCOUNT_ALREADY_BOUND"
    public = ("本账号已绑定另一个证件号码。", "Your account is bound to another number already.")


@dataclass(frozen=True, slots=True)
class RealName:
    """What a check stands on. ``timeout`` in seconds, for all sources together."""

    database: Database
    redis: Redis | None
    clock: Clock
    personal: PersonalData
    sources: Sequence[RealNameSource]
    timeout: float = 5.0
    levels: Mapping[int, Level] = field(default_factory=lambda: LEVELS)


def with_registry(database: Database, redis: Redis | None, clock: Clock, personal: PersonalData) -> RealName:
    """The check against the population and legal-person registries kept as tables."""
    return RealName(database, redis, clock, personal, (RegistrySource(database, personal),))


@dataclass(frozen=True, slots=True)
class RealNameResult:
    """``outcome`` of :class:`Outcome`; ``level`` 0–4; ``evidence``: per source ``{source, outcome, flags, time, reference}``."""

    outcome: Outcome
    level: int
    evidence: list[dict[str, Any]]
    check_id: uuid.UUID

    @property
    def flags(self) -> tuple[str, ...]:
        """Every flag of the evidence, once (``numbers.FLAGS`` has their sentences)."""
        return tuple(dict.fromkeys(flag for entry in self.evidence for flag in entry["flags"]))


Answers: TypeAlias = "list[tuple[str, Answer]]"

_FIELDS: dict[str, tuple[str, str]] = {
    "name": ("姓名或名称须为1至100个可见字符。", "A name has 1 to 100 printable characters."),
    "code": ("证件号码须为1至64个可见字符。", "A number has 1 to 64 printable characters."),
    "code_type": ("证件类型代码不存在。", "This code type does not exist."),
    "mobile": ("手机号码须为1开头的11位数字。", "A mobile number has 11 digits and begins with 1."),
}


def parse_claim(name: str, code: str, code_type: str, mobile: str | None = None) -> Claim:
    """A claim from what was typed. Raises :class:`InvalidInput` with ``errors`` that name fields and never hold values."""
    claim = Claim(name.strip(), numbers.normalise(code), code_type.strip(), (mobile or "").strip() or None)
    faults = {
        "name": not (0 < len(claim.name) <= 100 and claim.name.isprintable()),
        "code": not (0 < len(claim.code) <= 64 and claim.code.isprintable()),
        "code_type": claim.code_type not in set(CodeType),
        "mobile": claim.mobile is not None and not re.fullmatch(r"1[0-9]{10}", claim.mobile),
    }
    errors = [{"field": name, "message": _FIELDS[name][1], "message_zh": _FIELDS[name][0]} for name, found in faults.items() if found]
    if errors:
        raise InvalidInput("claim", errors=errors)
    return claim


async def check_real_name(realname: RealName, actor: Actor, claim: Claim) -> RealNameResult:
    """A portal's question. Raises Throttled; ``source_unavailable`` is an outcome, not an error."""
    now = realname.clock.now()
    await _charge(realname, now, actor, Subject(throttle.CHECKS, realname.personal.subject("client", actor.id)), "check")
    answers = await _ask(realname, now, claim)
    async with realname.database.begin() as session:
        return await _record(session, realname, now, actor, claim, answers, None)


async def bind_real_name(realname: RealName, actor: Actor, claim: Claim) -> RealNameResult:
    """Binds the number to the account of the person who asks, if the sources agree; otherwise the result says why not.

    Raises Forbidden (not a person), InvalidInput (an organisation's code), NumberAlreadyBound, AccountAlreadyBound, Throttled.
    """
    account_id = _require_person(actor, claim)
    now = realname.clock.now()
    charge = await _charge(realname, now, actor, Subject(throttle.BINDING, account_id.bytes), "bind")
    answers = await _ask(realname, now, claim)
    try:
        async with realname.database.begin() as session:
            if _outcome(answers) is Outcome.MATCH:
                await _bind(session, realname, now, account_id, claim, answers)
            result = await _record(session, realname, now, actor, claim, answers, account_id)
    except Conflict as error:
        raise await _refused(realname, now, actor, "bind", error) from None
    if result.outcome is Outcome.MATCH:
        await Throttle(realname.database, realname.redis).give_back(charge)
    return result


def _require_person(actor: Actor, claim: Claim) -> uuid.UUID:
    if actor.kind is not ActorKind.PERSON:
        raise Forbidden("only a person binds a number")
    if not numbers.is_person(claim.code_type):
        message_zh, message = "请使用个人证件。", "Please use a document of a person."
        raise InvalidInput("code type", errors=[{"field": "code_type", "message": message, "message_zh": message_zh}])
    return uuid.UUID(actor.id)


async def _charge(realname: RealName, now: dt.datetime, actor: Actor, subject: Subject, journey: str) -> Charge:
    try:
        return await Throttle(realname.database, realname.redis).charge(now, subject)
    except Throttled as error:
        raise await _refused(realname, now, actor, journey, error) from None


async def _refused(realname: RealName, now: dt.datetime, actor: Actor, journey: str, error: FujieError) -> FujieError:
    event = audit.Event(f"identity.realname.{journey}", f"{actor.kind}:{actor.id}", audit.Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(realname.database, now, event)
    return error


async def _ask(realname: RealName, now: dt.datetime, claim: Claim) -> Answers:
    """The form's verdict where it is wrong, else the answers of all sources that cover the kind of number."""
    report = numbers.check(claim.code_type, claim.code, now)
    if not report.well_formed:
        return [("format", Answer(Outcome.ID_INVALID, flags=report.flags))]
    sources = [source for source in realname.sources if source.covers(claim.code_type)]
    answers = await asyncio.gather(*(_ask_one(source, claim, realname.timeout) for source in sources))
    named = [(source.name, answer) for source, answer in zip(sources, answers, strict=True)]
    return [
        (name, replace(answer, flags=tuple(dict.fromkeys((*report.flags, *answer.flags)))))
        for name, answer in named or [("none", Answer(Outcome.SOURCE_UNAVAILABLE))]
    ]


async def _ask_one(source: RealNameSource, claim: Claim, timeout: float) -> Answer:
    try:
        async with asyncio.timeout(timeout):
            return await source.ask(claim)
    except Exception as error:
        # The class only: a driver's message may quote what it was asked.
        log.warning("realname.source_unavailable", source=source.name, error=type(error).__name__)
        return Answer(Outcome.SOURCE_UNAVAILABLE)


def _outcome(answers: Answers) -> Outcome:
    """One outcome of all answers: a contradiction outweighs agreement, agreement outweighs silence."""
    said = {answer.outcome for _, answer in answers} | {answer.mobile for _, answer in answers}
    order = (
        Outcome.ID_INVALID,
        Outcome.NAME_DIFFERS,
        Outcome.MOBILE_DIFFERS,
        Outcome.MATCH,
        Outcome.NO_RECORD,
        Outcome.SOURCE_UNAVAILABLE,
    )
    return next(outcome for outcome in order if outcome in said)


def _facts(answers: Answers) -> frozenset[Fact]:
    """What the answers show: a contradicted name shows nothing at all, a contradicted mobile nothing beyond the registry."""
    outcome = _outcome(answers)
    if outcome in (Outcome.ID_INVALID, Outcome.NAME_DIFFERS):
        return frozenset()
    matches = sum(answer.outcome is Outcome.MATCH for _, answer in answers)
    facts = {
        Fact.WELL_FORMED: True,
        Fact.REGISTRY_MATCH: matches >= 1,
        Fact.SECOND_SOURCE_MATCH: matches >= 2 and outcome is Outcome.MATCH,
        Fact.MOBILE_MATCH: outcome is Outcome.MATCH and any(answer.mobile is Outcome.MATCH for _, answer in answers),
    }
    return frozenset(fact for fact, shown in facts.items() if shown)


async def _bind(session: AsyncSession, realname: RealName, now: dt.datetime, account_id: uuid.UUID, claim: Claim, answers: Answers) -> None:
    """One number, one account, held by the table's keys; a repeated check of the same number never lowers the level."""
    account = await session.scalar(select(AccountRow).where(AccountRow.id == account_id).with_for_update())
    if account is None or not account.active:
        raise Forbidden("no such account")
    index = realname.personal.index(claim.code_type, claim.code)
    await _bind_number(session, realname, now, account_id, claim, index)
    level = max(account.identity_level, level_of(_facts(answers), realname.levels))
    await people.set_identity(session, now, account_id, name=claim.name, level=level)


async def _bind_number(
    session: AsyncSession, realname: RealName, now: dt.datetime, account_id: uuid.UUID, claim: Claim, index: bytes
) -> None:
    bound = await session.get(BindingRow, account_id)
    if bound is not None and bound.number_index != index:
        raise AccountAlreadyBound
    if bound is not None:
        bound.checked_at = now
        return
    values = {
        "account_id": account_id,
        "code_type": claim.code_type,
        "number_index": index,
        "number_sealed": realname.personal.seal(claim.code, binding_context(account_id)),
        "number_masked": numbers.mask(claim.code),
        "bound_at": now,
        "checked_at": now,
    }
    won = await session.scalar(
        insert(BindingRow).values(values).on_conflict_do_nothing(index_elements=["number_index"]).returning(BindingRow.account_id)
    )
    if won is None:
        raise NumberAlreadyBound


def binding_context(account_id: uuid.UUID) -> str:
    """What the envelope of a bound number is bound to (for ``personal_data.reveal``)."""
    return f"identity.bindings.number:{account_id}"


async def _record(
    session: AsyncSession,
    realname: RealName,
    now: dt.datetime,
    actor: Actor,
    claim: Claim,
    answers: Answers,
    account_id: uuid.UUID | None,
) -> RealNameResult:
    outcome, level, check_id = _outcome(answers), level_of(_facts(answers), realname.levels), new_id()
    digest = realname.personal.subject("claim", f"{claim.code_type}\n{claim.code}\n{normalise_name(claim.name)}\n{claim.mobile or ''}")
    rows = [
        IdentityEvidenceRow(
            id=new_id(),
            check_id=check_id,
            account_id=account_id,
            asked_by=f"{actor.kind}:{actor.id}",
            claim_digest=digest,
            source=source,
            outcome=answer.outcome,
            mobile_outcome=answer.mobile,
            flags=list(answer.flags),
            level=level,
            checked_at=now,
        )
        for source, answer in answers
    ]
    session.add_all(rows)
    details: dict[str, audit.JSON] = {"result": outcome.value, "level": level, "claim": digest.hex(), "code_type": claim.code_type}
    agreed = audit.Outcome.DONE if outcome is Outcome.MATCH or account_id is None else audit.Outcome.REFUSED
    journey = "check" if account_id is None else "bind"
    await audit.record(session, now, audit.Event(f"identity.realname.{journey}", f"check:{check_id}", agreed, actor, details))
    return RealNameResult(outcome, level, [evidence_entry(row) for row in rows], check_id)


def evidence_entry(row: IdentityEvidenceRow) -> dict[str, Any]:
    """Evidence as callers see it; ``time`` RFC 3339, ``reference`` names the stored evidence."""
    entry: dict[str, Any] = {
        "source": row.source,
        "outcome": str(row.outcome),
        "flags": list(row.flags),
        "time": row.checked_at.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "reference": str(row.id),
    }
    return entry | ({"mobile_outcome": str(row.mobile_outcome)} if row.mobile_outcome else {})
