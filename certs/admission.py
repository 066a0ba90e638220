"""Step 1 of issuing: may this approval become a certificate at all? Nothing is written but the audit of a refusal."""

import asyncio
import datetime as dt
import uuid
from dataclasses import dataclass, field

from certs.access import may_submit
from certs.approvals import (
    Approval,
    CopyUnknown,
    HolderInput,
    HolderNotFound,
    HolderNumberInvalid,
    IssuerNotAllowed,
    RegistryUnavailable,
    TypeNeedsDocument,
    TypeTakesNoDocument,
    TypeTakesNoPhotograph,
    UnknownIssuer,
    UnknownMatter,
    UnknownSeal,
    check_shape,
)
from certs.catalogue import CertificateType
from certs.circumstances import Circumstances
from certs.forms import form_of
from certs.holders import holder_index
from certs.issuing_rules import IssuingRule, read_number
from certs.lifecycle import TRANSFER_IN, MoveNotAllowed, find_move
from certs.merging import MergedItem, check_same_holders, find_merged, listed
from certs.numbers import rule_for
from certs.photographs import kept
from certs.privacy import holds_number
from certs.reads import get_certificate, issuable_type, may_issue_for
from certs.records import Certificate, Stage
from certs.stages import Issuing
from certs.transfers import awaits
from certs.type_admission import check_content, check_rights
from certs.windows import issuers_at
from identity.numbers import check, normalise
from identity.organisations import Organisation, get_organisation
from identity.personal_data import PersonalData
from identity.realname_sources import Claim, Outcome, RegistrySource
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput, NotFound
from seal.matters import get_matter
from seal.permits import UseRequest, explain_use
from seal.policy import HASH_OCTETS, Answer, NotPermitted, RuleAnswer
from seal.reads import Seal, SealNotFound, find_seal, get_seal

_REGISTRY_SECONDS = 5.0
_NO_DOCUMENT = bytes(HASH_OCTETS)
# What speaks against the seal itself holds for an approver too; what speaks against the client only means that a person must stamp.
_AGAINST_THE_SEAL = frozenset(
    {"seal_is_active", "seal_is_within_its_validity", "division_covers_the_seal", "matter_is_of_the_organisation", "matter_suits_the_seal"}
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An approval that may be issued. ``unattended``: the client holds its own grant, no person need stamp.

    ``indexes``: the holders' blind indexes. ``merged``: what the certificate takes up. ``photo``: the holder's, ready to be
    kept.
    """

    approval: Approval
    kind: CertificateType
    fields: tuple[tuple[str, str], ...]
    holders: tuple[HolderInput, ...]
    issuer: Organisation
    seal: Seal
    unattended: bool
    predecessor: Certificate | None
    rule: IssuingRule
    indexes: frozenset[bytes]
    merged: tuple[MergedItem, ...] = ()
    answers: tuple[RuleAnswer, ...] = ()
    photo: bytes | None = field(default=None, repr=False)

    @property
    def circumstances(self) -> Circumstances:
        """What holds for the next approval of its kind too."""
        return Circumstances(self.kind, self.issuer, self.seal, self.rule, self.answers)

    @property
    def replaced(self) -> frozenset[uuid.UUID]:
        """The certificates whose place it takes."""
        ended = [one.absorbed.id for one in self.merged if one.absorbed is not None]
        return frozenset([*ended, self.predecessor.id] if self.predecessor is not None else ended)


async def admit(issuing: Issuing, actor: Actor, approval: Approval, known: Circumstances | None = None) -> Admitted:
    """Check everything that can be known before a number is taken. ``known``: the circumstances, where they were asked just now.

    Raises ``InvalidInput``, ``UnknownCertificateType``, ``CertificateTypeRetired``, ``UnknownIssuer``, ``IssuerNotAllowed``,
    ``UnknownMatter``, ``UnknownSeal``, ``TypeNotOfIssuer``, ``TypeNotOfMatter``, ``TypeNeedsOtherSeal``, ``NumberNotByRule``,
    ``TypeTakesNoPhotograph``, ``CopyUnknown``, ``PhotographUnusable``,
    ``TypeNotAbsorbable``, ``AbsorbedUnfit``, ``TypeListsNoItems``, ``HolderNotFound``, ``RegistryUnavailable``,
    the seal policy's ``NotPermitted``, and while nothing may be issued
    ``ClockUntrusted`` or ``TimestampsOverdue``.
    """
    check_shape(approval)
    now = issuing.gate.now()
    async with issuing.database.session() as session:
        found = known or await circumstances(session, now, actor, approval)
        kind, issuer, seal, rule = found.kind, found.issuer, found.seal, found.rule
        predecessor = await predecessor_of(session, issuer, approval)
        merged = await find_merged(session, kind, approval.absorbs)
    check_paper(kind, approval)
    check_form(kind, approval)
    check_numbered(rule, approval, issuer, predecessor)
    approval = listed(kind, approval, merged)
    refuse_numbers(approval)
    fields = check_content(kind, approval)
    holders = normalised(approval.holders, now)
    indexes = indexes_of(issuing.personal, holders)
    check_same_holders(merged, indexes)
    unattended = attendance(actor, found.answers)
    await require_known(issuing, holders)
    photo = await photograph(issuing, approval)
    return Admitted(approval, kind, fields, holders, issuer, seal, unattended, predecessor, rule, indexes, merged, found.answers, photo)


async def circumstances(session: AsyncSession, now: dt.datetime, actor: Actor, approval: Approval) -> Circumstances:
    """What holds for every approval of this type, issuer, matter and seal. Raises what :func:`admit` raises for them."""
    kind = await kind_of(session, approval)
    issuer = await issuer_of(session, actor, approval)
    if await get_matter(session, approval.matter_code) is None:
        raise UnknownMatter
    seal = await seal_of(session, issuer, approval)
    check_rights(kind, issuer=issuer.uscc, matter=approval.matter_code, seal_kind=seal.kind)
    rule = await rule_for(session, kind.code, issuer.uscc)
    return Circumstances(kind, issuer, seal, rule, await explain_use(session, now, intended_use(actor, seal, approval)))


def check_paper(kind: CertificateType, approval: Approval) -> None:
    """An issuer's own document belongs to a type that says so, and to no other. Raises ``TypeTakesNoDocument``, ``TypeNeedsDocument``."""
    if approval.paper is not None and not kind.own_documents:
        raise TypeTakesNoDocument
    if approval.paper is None and kind.own_documents:
        raise TypeNeedsDocument


def check_form(kind: CertificateType, approval: Approval) -> None:
    """A photograph and a copy are asked for only where the type's form has them: nothing is taken that is not printed.

    Raises ``TypeTakesNoPhotograph``, ``CopyUnknown``, ``TemplateMissing``.
    """
    if approval.photo is None and not approval.copy:
        return
    form = form_of(kind.code, kind.template)
    if approval.photo is not None and not form.photo:
        raise TypeTakesNoPhotograph(errors=[{"field": "photo", "message": "no place for it"}])
    if approval.copy and approval.copy not in form.copies:
        raise CopyUnknown(errors=[{"field": "copy", "message": "、".join(form.copies) or "the form has one only"}])


async def photograph(issuing: Issuing, approval: Approval) -> bytes | None:
    """The approval's photograph as it is kept and printed. Raises ``PhotographUnusable``."""
    return None if approval.photo is None else await issuing.workers.run(kept, approval.photo)


def check_numbered(rule: IssuingRule, approval: Approval, issuer: Organisation, predecessor: Certificate | None) -> None:
    """A number is given, or the rule makes one, or a predecessor's goes on; what is given is as the rule writes it.

    Raises ``InvalidInput``, ``NumberNotByRule``.
    """
    given = approval.approval_number.strip()
    if predecessor is not None and given in ("", predecessor.number):
        return
    if given and rule.pattern:
        read_number(rule, given, issuer=issuer.uscc, division=issuer.division)
    if not given and not rule.pattern:
        raise InvalidInput("no number", errors=[{"field": "approval_number", "message": "1–64 printable characters"}])


def indexes_of(personal: PersonalData, holders: tuple[HolderInput, ...]) -> frozenset[bytes]:
    """The holders' blind indexes."""
    return frozenset(holder_index(personal, one.code_type, one.code) for one in holders)


async def kind_of(session: AsyncSession, approval: Approval) -> CertificateType:
    return await issuable_type(session, approval.certificate_type)


async def issuer_of(session: AsyncSession, actor: Actor, approval: Approval) -> Organisation:
    uscc = normalise(approval.issuer or actor.organisation or "")
    issuer = await get_organisation(session, uscc)
    if issuer is None or not issuer.active:
        raise UnknownIssuer
    if may_submit(actor, issuer.uscc) or (actor.kind is ActorKind.CLIENT and await may_issue_for(session, actor.id, issuer.uscc)):
        return issuer
    if issuer.uscc not in await issuers_at(session, actor):
        raise IssuerNotAllowed
    return issuer


async def seal_of(session: AsyncSession, issuer: Organisation, approval: Approval) -> Seal:
    """The seal by its code if digits are given, else by its kind; never another organisation's."""
    if not approval.seal.isdigit():
        found = await find_seal(session, organisation=issuer.uscc, kind=approval.seal)
        if found is None:
            raise UnknownSeal
        return found
    try:
        seal = await get_seal(session, approval.seal)
    except SealNotFound:
        raise UnknownSeal from None
    if seal.organisation != issuer.uscc:
        raise UnknownSeal
    return seal


async def predecessor_of(session: AsyncSession, issuer: Organisation, approval: Approval) -> Certificate | None:
    """The certificate to be succeeded, of the same type, in a status that allows it, with no successor yet: the issuer's own, or one
    that another issuer lets pass to it.
    """
    if approval.succeeds is None:
        return None
    found = await get_certificate(session, approval.succeeds.certificate_id)
    if found is None or found.stage is not Stage.ISSUED or not await _may_succeed(session, issuer, found, approval.succeeds.move):
        raise NotFound("predecessor")
    find_move(approval.succeeds.move, found.status)
    if found.successor is not None:
        raise MoveNotAllowed("replaced already")
    if found.type_code != approval.certificate_type:
        raise InvalidInput("another type", errors=[{"field": "certificate_type", "message": "a successor is of the same type"}])
    return found


async def _may_succeed(session: AsyncSession, issuer: Organisation, found: Certificate, move: str) -> bool:
    return await awaits(session, found.id, issuer.uscc) if move == TRANSFER_IN else found.issuer == issuer.uscc


def intended_use(actor: Actor, seal: Seal, approval: Approval) -> UseRequest:
    return UseRequest(seal.code, actor, approval.matter_code, approval.certificate_type, _NO_DOCUMENT, unattended=True)


def attendance(actor: Actor, answers: tuple[RuleAnswer, ...]) -> bool:
    """Whether the seal may be used without a person; raises ``NotPermitted`` when nobody may use it for this."""
    denied = [one for one in answers if one.answer is Answer.DENY]
    hopeless = next((one for one in denied if one.rule in _AGAINST_THE_SEAL), None)
    if hopeless is not None:
        raise NotPermitted(hopeless.reason_code, hopeless.rule)
    granted = any(one.answer is Answer.GRANT for one in answers)
    return actor.kind is ActorKind.CLIENT and granted and not denied


def refuse_numbers(approval: Approval) -> None:
    """An ID number in a free text would end up in the plain: on paper, in a column, on a page."""
    texts = {name: getattr(approval, name) or "" for name in ("approval_number", "approved_by", "approved_at", "window")}
    errors = [
        {"field": name, "message": "holds an ID number"} for name, value in {**approval.fields, **texts}.items() if holds_number(value)
    ]
    errors += [
        {"field": f"holders.{position}.name", "message": "holds an ID number"}
        for position, one in enumerate(approval.holders)
        if holds_number(one.name)
    ]
    if any(holds_number(name) for name in approval.fields):
        errors = [{"field": "fields", "message": "a name holds an ID number"}]  # and is not repeated
    if errors:
        raise InvalidInput("an ID number stands in a text", errors=errors)


def normalised(holders: tuple[HolderInput, ...], now: dt.datetime) -> tuple[HolderInput, ...]:
    """Holders as they are stored; raises ``HolderNumberInvalid`` for one whose number is malformed."""
    errors: list[dict[str, object]] = []
    for position, one in enumerate(holders):
        report = check(one.code_type, one.code, now)
        if not report.well_formed:
            errors.append({"field": f"holders.{position}.code", "message": "not well-formed", "flags": list(report.flags)})
    if errors:
        raise HolderNumberInvalid(errors=errors)
    return tuple(HolderInput(one.name.strip(), normalise(one.code), one.code_type) for one in holders)


async def require_known(issuing: Issuing, holders: tuple[HolderInput, ...]) -> None:
    """Name and number of every holder whose kind the registry keeps must agree there."""
    registry = RegistrySource(issuing.database, issuing.personal)
    errors = []
    for position, one in enumerate(holders):
        if not _kept_by_registry(one.code_type):
            continue
        outcome = await _ask(registry, one)
        if outcome is not Outcome.MATCH:
            errors.append({"field": f"holders.{position}", "message": outcome.value})
    if errors:
        raise HolderNotFound(errors=errors)


def _kept_by_registry(code_type: str) -> bool:
    return code_type in ("001", "111")


async def _ask(registry: RegistrySource, holder: HolderInput) -> Outcome:
    try:
        answer = await asyncio.wait_for(registry.ask(Claim(holder.name, holder.code, holder.code_type)), _REGISTRY_SECONDS)
    except TimeoutError:
        raise RegistryUnavailable from None
    return answer.outcome
