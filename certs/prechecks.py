"""Would this approval become a certificate? Every check of issuing is asked and answered by itself; no number is taken.

:func:`check_approval`  what each check says, and whether the seal may be used without a person
:func:`preview`         the certificate as it would be printed, marked as a preview, with neither identifier nor verification code

Whoever may send the approval may ask. Each answer is audited, because it tells whether a name and a number belong together.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from certs.admission import (
    attendance,
    check_form,
    check_numbered,
    check_paper,
    indexes_of,
    intended_use,
    issuer_of,
    kind_of,
    normalised,
    photograph,
    predecessor_of,
    refuse_numbers,
    require_known,
    seal_of,
)
from certs.approvals import Approval, HolderInput, UnknownMatter, check_shape
from certs.catalogue import CertificateType
from certs.issuing_rules import IssuingRule
from certs.legibility import GlyphMissing
from certs.merging import MergedItem, check_same_holders, find_merged, listed
from certs.metadata import encode
from certs.numbers import check_in_force, check_number, rule_for
from certs.records import Certificate
from certs.rendering import Rendered, RenderJob, render
from certs.sealing import with_supplied
from certs.stages import Issuing
from certs.type_admission import check_content, check_rights
from identity.organisations import Organisation
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import FujieError
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.matters import get_matter
from seal.permits import explain_use
from seal.reads import Seal

NO_IDENTIFIER, NO_NUMBER, NO_CODE = "／", "预览", "0" * 16
T = TypeVar("T")


class Result(StrEnum):
    """``NOTICE``: it is issued all the same, after somebody did something. ``UNKNOWN``: an earlier check failed, this one was not asked."""

    PASSED = "PASSED"
    NOTICE = "NOTICE"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


CHECKS: dict[str, tuple[str, str]] = {
    "SHAPE": ("提交内容格式正确", "What was sent is well-formed"),
    "TYPE": ("证照类型已发布、可签发", "The type is in force and issued here"),
    "ISSUER": ("颁发机构有效，且有权提交", "The issuer is registered and may be acted for"),
    "MATTER": ("事项存在", "The matter exists"),
    "SEAL": ("印章存在，且可用于该事项", "The seal exists and may be used for the matter"),
    "RIGHTS": ("类型、机构、事项与印章相符", "Type, issuer, matter and seal belong together"),
    "PREDECESSOR": ("原证照可以变更或延续", "The certificate before it can be succeeded"),
    "MERGED_ITEMS": ("合并事项符合整合目录", "The merged items are allowed by the rules"),
    "CONTENT": ("栏目与有效期符合类型要求", "Fields and dates fit the type"),
    "HOLDERS": ("持证主体与登记库相符", "The holders are known to the registry"),
    "NUMBER": ("证照编号符合规则且未被使用", "The number fits the rule and is free"),
    "CONFLICT": ("没有冲突的有效证照", "No valid certificate conflicts with it"),
    "PRINT": ("版面可以排印", "It can be printed"),
}
"""The checks in their order, with their names (zh, en)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. ``error``: why it failed, with its code, sentences and the members that are wrong."""

    check: str
    result: Result
    error: FujieError | None = None


@dataclass(frozen=True, slots=True)
class PreCheck:
    """``unattended``: the sender's own grant covers the seal; else an approver has to stamp. ``job``: what would be printed."""

    findings: tuple[Finding, ...]
    unattended: bool
    job: RenderJob | None = None

    @property
    def passes(self) -> bool:
        """Whether it would be issued, perhaps after an approver's stamp or a character's glyph."""
        return not any(one.result is Result.FAILED for one in self.findings)


@dataclass(slots=True)
class _Draft:
    """What the checks have found out so far."""

    issuing: Issuing
    actor: Actor
    approval: Approval
    now: dt.datetime
    kind: CertificateType | None = None
    issuer: Organisation | None = None
    seal: Seal | None = None
    predecessor: Certificate | None = None
    rule: IssuingRule | None = None
    merged: tuple[MergedItem, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    holders: tuple[HolderInput, ...] = ()
    indexes: frozenset[bytes] = field(default_factory=frozenset)
    unattended: bool = False
    photo: bytes | None = None
    job: RenderJob | None = None


class _NotAsked(Exception):
    """An earlier check failed on which this one rests."""


async def check_approval(issuing: Issuing, actor: Actor, approval: Approval) -> PreCheck:
    """Ask every check. Raises what keeps everything from being issued (``ClockUntrusted``, ``TimestampsOverdue``) and failures of ours."""
    draft = _Draft(issuing, actor, approval, issuing.gate.now())
    findings = [await _asked(name, step, draft) for name, step in _STEPS.items()]
    found = PreCheck(tuple(findings), draft.unattended, draft.job)
    failed: list[JSON] = [f"{one.check}:{one.error.code}" for one in findings if one.error]
    details: dict[str, JSON] = {
        "approval": issuing.personal.subject("certs.approval_number", approval.approval_number).hex(), "failed": failed,
        "holders": [one.hex() for one in sorted(draft.indexes)],
    }  # fmt: skip
    outcome = audit.Outcome.DONE if found.passes else audit.Outcome.REFUSED
    await audit.record_alone(issuing.database, issuing.clock.now(), Event("certs.issue.check", "approval", outcome, actor, details))
    return found


async def preview(issuing: Issuing, actor: Actor, approval: Approval) -> tuple[PreCheck, Rendered | None]:
    """The checks, and the unsealed PDF of a preview where it can be printed."""
    found = await check_approval(issuing, actor, approval)
    if found.job is None:
        return found, None
    return found, await issuing.workers.run(render, found.job, issuing.fonts)


Step = Callable[[_Draft], Awaitable[None]]


async def _asked(name: str, step: Step, draft: _Draft) -> Finding:
    try:
        await step(draft)
    except _NotAsked:
        return Finding(name, Result.UNKNOWN)
    except GlyphMissing as missing:  # it waits for the glyph, and is issued then
        return Finding(name, Result.NOTICE, missing)
    except FujieError as error:
        if error.status >= 500 and name != "HOLDERS":
            raise
        return Finding(name, Result.FAILED, error)
    return Finding(name, Result.PASSED)


async def _shape(draft: _Draft) -> None:
    check_shape(draft.approval)
    refuse_numbers(draft.approval)


async def _type(draft: _Draft) -> None:
    async with draft.issuing.database.session() as session:
        draft.kind = await kind_of(session, draft.approval)
    check_paper(draft.kind, draft.approval)


async def _issuer(draft: _Draft) -> None:
    async with draft.issuing.database.session() as session:
        draft.issuer = await issuer_of(session, draft.actor, draft.approval)


async def _matter(draft: _Draft) -> None:
    async with draft.issuing.database.session() as session:
        if await get_matter(session, draft.approval.matter_code) is None:
            raise UnknownMatter


async def _seal(draft: _Draft) -> None:
    issuer = _known(draft.issuer)
    async with draft.issuing.database.session() as session:
        draft.seal = await seal_of(session, issuer, draft.approval)
        answers = await explain_use(session, draft.now, intended_use(draft.actor, draft.seal, draft.approval))
    draft.unattended = attendance(draft.actor, answers)


async def _rights(draft: _Draft) -> None:
    kind, issuer, seal = _known(draft.kind), _known(draft.issuer), _known(draft.seal)
    check_rights(kind, issuer=issuer.uscc, matter=draft.approval.matter_code, seal_kind=seal.kind)


async def _predecessor(draft: _Draft) -> None:
    issuer = _known(draft.issuer)
    async with draft.issuing.database.session() as session:
        draft.predecessor = await predecessor_of(session, issuer, draft.approval)


async def _merged(draft: _Draft) -> None:
    kind = _known(draft.kind)
    async with draft.issuing.database.session() as session:
        draft.merged = await find_merged(session, kind, draft.approval.absorbs)
    draft.approval = listed(kind, draft.approval, draft.merged)


async def _content(draft: _Draft) -> None:
    kind = _known(draft.kind)
    fields = check_content(kind, draft.approval)
    check_form(kind, draft.approval)
    draft.photo = await photograph(draft.issuing, draft.approval)
    draft.fields = fields


async def _holders(draft: _Draft) -> None:
    holders = normalised(draft.approval.holders, draft.now)
    draft.holders, draft.indexes = holders, indexes_of(draft.issuing.personal, holders)
    check_same_holders(draft.merged, draft.indexes)
    await require_known(draft.issuing, holders)


async def _number(draft: _Draft) -> None:
    kind, issuer, given = _known(draft.kind), _known(draft.issuer), draft.approval.approval_number.strip()
    if not draft.indexes:
        raise _NotAsked
    async with draft.issuing.database.session() as session:
        draft.rule = await rule_for(session, kind.code, issuer.uscc)
        check_numbered(draft.rule, draft.approval, issuer, draft.predecessor)
        if given:
            await check_number(session, draft.rule, issuer.uscc, given, draft.indexes, but=_replaced(draft))


async def _conflict(draft: _Draft) -> None:
    rule, issuer = _known(draft.rule), _known(draft.issuer)
    async with draft.issuing.database.begin() as session:  # its lock ends with the transaction
        await check_in_force(session, civil_date(draft.now), rule, issuer.uscc, draft.indexes, but=_replaced(draft))


async def _print(draft: _Draft) -> None:
    kind, issuer = _known(draft.kind), _known(draft.issuer)
    if not draft.fields or not draft.holders:
        raise _NotAsked
    made = preview_job(draft.issuing.base_url, kind, issuer, draft.approval, draft.fields, draft.holders, draft.now)
    job = replace(made, photo=draft.photo)
    try:
        await draft.issuing.workers.run(render, job, draft.issuing.fonts)
    except GlyphMissing as missing:
        job = await with_supplied(draft.issuing.database, uuid.UUID(int=0), job, missing)
        await draft.issuing.workers.run(render, job, draft.issuing.fonts)
    draft.job = job


def preview_job(
    base_url: str, kind: CertificateType, issuer: Organisation, approval: Approval, fields: tuple[tuple[str, str], ...],
    holders: tuple[HolderInput, ...], now: dt.datetime,
) -> RenderJob:  # fmt: skip
    """What would be printed. Its codes lead nowhere: no certificate has this identifier or this verification code. Pure."""
    return RenderJob(
        type_code=kind.code, title_zh=kind.name_zh, title_en=kind.name_en, number=approval.approval_number.strip() or NO_NUMBER,
        identifier=NO_IDENTIFIER, holders=tuple(one.name for one in holders), fields=fields, issuer=issuer.name, issued_on=civil_date(now),
        valid_from=approval.valid_from, valid_to=approval.valid_to, verify_url=f"{base_url}/v/{NO_CODE}", verification_code=NO_CODE,
        metadata=encode({}), timestamp=now, template=kind.template, copy=approval.copy,
    )  # fmt: skip


def _known(value: T | None) -> T:
    if value is None:
        raise _NotAsked
    return value


def _replaced(draft: _Draft) -> list[uuid.UUID]:
    ended = [one.absorbed.id for one in draft.merged if one.absorbed is not None]
    return [*ended, draft.predecessor.id] if draft.predecessor is not None else ended


_STEPS: dict[str, Step] = dict(
    zip(
        CHECKS,
        (_shape, _type, _issuer, _matter, _seal, _rights, _predecessor, _merged, _content, _holders, _number, _conflict, _print),
        strict=True,
    )
)
