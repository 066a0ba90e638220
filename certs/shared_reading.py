"""Other departments find, ask and fetch: with purpose and matter, and with the holder's agreement where the type's class takes it.

1. purpose    why, at most 200 characters; logged
2. name       whom it is about: the holder's number; or a request the holder allowed; or a code the holder shows
3. facts      type, matter, for whom the asker asks, the holder's certificates of the type
4. decide     :func:`certs.sharing.decide`, for the type and for each certificate; what no certificate is permitted of is refused in the
              words of the type, so that a refusal is the same whether or not the holder has one
5. read       the file, before anything is used up: a damaged file costs the holder no second consent
6. record     agreement used up, quota counted, access, audit entry: one transaction, committed before anything is handed out
7. answer     yes or no; the record; or the file
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from certs.access_rates import Use, count
from certs.access_rights import right_of
from certs.archiving import newest
from certs.authorisations import Given, find_authorisation, spend
from certs.catalogue import CertificateType
from certs.consents import index_of
from certs.library import DocumentNotHeld, Library, access_row, check_purpose
from certs.library_models import HolderSearchRow
from certs.reads import type_of
from certs.records import Certificate
from certs.sharing import Ask, Decision, MatterFacts, TypeFacts, Want, decide
from certs.sharing_facts import answers_yes, facts_of, held_of_type, matter_facts, organisation_asked_for, type_facts, types_facts
from certs.sharing_reasons import SharingRefused
from identity.organisations import get_organisation
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, InvalidInput, NotFound
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

KINDS = {Want.DATA: "answer", Want.RECORD: "record", Want.FILE: "file"}
"""What an access of each kind is called in the holder's list; annotated copies are made elsewhere (``certs.sharing.Want.COPY``)."""
USES = {Want.DATA: Use.FIND, Want.RECORD: Use.RECORD, Want.FILE: Use.FILE}
"""As what a requester's quota counts it."""


class NothingToShare(NotFound):
    """It might be had, but the holder has none."""

    code = "NOTHING_TO_SHARE"
    public = ("持证主体没有该类型的证照。", "The holder has no certificate of this type.")


@dataclass(frozen=True, slots=True)
class Query:
    """Who, what, for what. The holder's number and the code shown have no ``repr``. ``certificate_id`` chooses among several."""

    matter_code: str
    purpose: str
    want: Want = Want.DATA
    type_code: str = ""
    holder_code: str = field(default="", repr=False)
    code_type: str = ""
    consent: uuid.UUID | None = None
    show_code: str = field(default="", repr=False)
    certificate_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What is handed out. ``holds``: a valid one, of trust grade A or B, without a flag; the rest only where more than that was wanted."""

    decision: Decision
    type_code: str
    holds: bool
    certificate: Certificate | None = None
    kind: CertificateType | None = None
    file: bytes | None = None


@dataclass(frozen=True, slots=True)
class Findable:
    """A type the matter asks for: whether the holder has a valid one (None: may not be told), what more may be had and if not why not.

    ``certificates`` are listed only where their record may be had.
    """

    type_code: str
    papers: tuple[str, ...]
    holds: bool | None
    decisions: dict[Want, Decision]
    certificates: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """Steps 2 and 3."""

    ask: Ask
    holder: bytes
    candidates: tuple[Certificate, ...]


async def share(library: Library, actor: Actor, query: Query) -> Shared:
    """See the module. Raises ``PurposeRequired``, ``InvalidInput``, ``AuthorisationUnknown``, ``SharingRefused``, ``QuotaExhausted``,
    :class:`NothingToShare`, ``DocumentNotHeld``, ``BlobDamaged``."""
    now = library.clock.now()
    try:
        purpose = check_purpose(query.purpose)
        if query.want not in KINDS:
            raise InvalidInput("want", errors=[{"field": "want", "message": "data, record or file"}])
        async with library.database.session() as session:
            case = await _case(session, library, actor, query, purpose, now)
            chosen, decision = _choose(case, now)
            document = await _document(session, chosen) if query.want is Want.FILE else None
            kind = await type_of(session, chosen) if chosen is not None else None
        file = await library.blobs.get(document) if document is not None else None
        await _record(library, actor, case, chosen, decision, now)
    except FujieError as error:
        await _refused(library, actor, query, query.want.value, error, now)
        raise
    return _handed_out(case, chosen, decision, kind, file, now)


def _handed_out(
    case: _Case, chosen: Certificate | None, decision: Decision, kind: CertificateType | None, file: bytes | None, now: dt.datetime
) -> Shared:
    holds = chosen is not None and _valid(chosen, now)
    if case.ask.want is Want.DATA:
        return Shared(decision, case.ask.type.code, holds)
    if chosen is None:
        raise NothingToShare
    return Shared(decision, case.ask.type.code, holds, chosen, kind, file)


async def _case(session: AsyncSession, library: Library, actor: Actor, query: Query, purpose: str, now: dt.datetime) -> _Case:
    matter = await matter_facts(session, query.matter_code)
    organisation, serves = await organisation_asked_for(session, actor, matter)
    holder = index_of(library, query.code_type, query.holder_code) if query.holder_code or query.code_type else None
    given = await _given(session, organisation, query, holder)
    if given is None and holder is None:
        raise InvalidInput("whom", errors=[{"field": "holder_code", "message": "or consent, or show_code"}])
    about = holder if holder is not None else given.holder if given is not None else b""
    code = query.type_code or (given.authorisation.type_code if given is not None else "")
    ask = Ask(
        actor, organisation, query.want, await type_facts(session, code), purpose, now, serves=serves, matter=matter,
        authorisation=given.authorisation if given else None,
        right=await right_of(session, now, organisation, code, query.want, query.matter_code),
    )  # fmt: skip
    wanted = given.certificate_id if given is not None else query.certificate_id
    candidates = await held_of_type(session, about, code)
    return _Case(ask, about, tuple(one for one in candidates if wanted in (None, one.id)))


async def _given(session: AsyncSession, organisation: str, query: Query, holder: bytes | None) -> Given | None:
    if query.consent is None and not query.show_code:
        return None
    return await find_authorisation(session, organisation, consent=query.consent, show_code=query.show_code, holder=holder)


def _valid(certificate: Certificate, now: dt.datetime) -> bool:
    return answers_yes(certificate, certificate.standing(civil_date(now)))


def _choose(case: _Case, now: dt.datetime) -> tuple[Certificate | None, Decision]:
    """The best of those that may be had: valid before the rest, then the newest. Raises ``SharingRefused``."""
    of_type = decide(case.ask)
    decided = [(one, decide(replace(case.ask, certificate=facts_of(one)))) for one in case.candidates]
    permitted = [(one, decision) for one, decision in decided if decision.permitted]
    if permitted:
        return min(permitted, key=lambda pair: not _valid(pair[0], now))
    if not of_type.permitted:
        raise SharingRefused(of_type.code)
    return None, of_type


async def _document(session: AsyncSession, chosen: Certificate | None) -> bytes | None:
    if chosen is None:
        return None
    if chosen.document_hash is None:
        raise DocumentNotHeld
    return await newest(session, chosen.document_hash)


async def _record(library: Library, actor: Actor, case: _Case, chosen: Certificate | None, decision: Decision, now: dt.datetime) -> None:
    """Step 6. A question that finds nothing is recorded too: the holder sees who asked about them."""
    ask = case.ask
    asker = replace(actor, organisation=ask.organisation)
    async with library.database.begin() as session:
        name = await get_organisation(session, ask.organisation)
        if chosen is not None or ask.want is Want.DATA:
            await spend(session, now, asker, decision.spends, name.name if name else "")
        await count(session, now, asker, USES[ask.want], ask.type.code)
        access = access_row(library, asker, KINDS[ask.want], ask.purpose, chosen.id if chosen else None)
        session.add(access)
        if chosen is None:
            await session.flush()
            session.add(HolderSearchRow(access_id=access.id, holder_index=case.holder))
        details: dict[str, JSON] = {
            "purpose": audit.digest(ask.purpose), "matter": ask.matter.code if ask.matter else "", "type": ask.type.code,
            "organisation": ask.organisation, "reason": decision.code, "authorisation": str(decision.spends.id) if decision.spends else "",
            "holder": case.holder.hex(),
        }  # fmt: skip
        subject = f"certificate:{chosen.id}" if chosen else f"matter:{ask.matter.code if ask.matter else ''}"
        await audit.record(session, now, Event(f"certs.share.{ask.want}", subject, audit.Outcome.DONE, actor, details))


async def _refused(library: Library, actor: Actor, query: Query, action: str, error: FujieError, now: dt.datetime) -> None:
    reason = error.reason if isinstance(error, SharingRefused) else error.code
    subject, details = f"matter:{query.matter_code[:64]}", {"reason": reason}
    await audit.record_alone(
        library.database, now, Event(f"certs.share.{action}", subject, audit.Outcome.REFUSED, actor, dict(details), error.code)
    )


async def find_for_matter(library: Library, actor: Actor, query: Query) -> tuple[Findable, ...]:
    """What the matter asks for and what of it may be had of this holder, type by type, before anything is fetched.

    It is a question like any other: recorded, and seen by the holder. Raises ``PurposeRequired``, ``InvalidInput``, ``SharingRefused``.
    """
    now = library.clock.now()
    try:
        purpose, holder = check_purpose(query.purpose), index_of(library, query.code_type, query.holder_code)
        async with library.database.begin() as session:
            matter = await matter_facts(session, query.matter_code)
            if matter is None:
                raise SharingRefused("MATTER_MISSING")
            organisation, serves = await organisation_asked_for(session, actor, matter)
            base = Ask(actor, organisation, Want.DATA, TypeFacts("", None), purpose, now, serves=serves, matter=matter)
            _require_asker(base)
            found = await _found(session, base, matter, holder)
            await count(session, now, replace(actor, organisation=organisation), Use.FIND)
            access = access_row(library, replace(actor, organisation=organisation), "search", purpose, None)
            session.add(access)
            await session.flush()
            session.add(HolderSearchRow(access_id=access.id, holder_index=holder))
            details: dict[str, JSON] = {"purpose": audit.digest(purpose), "holder": holder.hex(), "organisation": organisation}
            await audit.record(session, now, Event("certs.share.find", f"matter:{matter.code}", audit.Outcome.DONE, actor, details))
    except FujieError as error:
        await _refused(library, actor, query, "find", error, now)
        raise
    return found


_OF_THE_ASKER = frozenset(
    {"REQUESTER_UNKNOWN", "REQUESTER_NOT_STAFF", "REQUESTER_OF_OTHER_ORGANISATION", "PURPOSE_MISSING", "MATTER_OF_OTHER_ORGANISATION"}
)


def _require_asker(base: Ask) -> None:
    """Whatever the type, the matter is the asker's; raises ``SharingRefused``."""
    wrong = next((one.reason_code for one in decide(base).answers if one.reason_code in _OF_THE_ASKER), None)
    if wrong is not None:
        raise SharingRefused(wrong)


async def _found(session: AsyncSession, base: Ask, matter: MatterFacts, holder: bytes) -> tuple[Findable, ...]:
    codes = list(dict.fromkeys(code for paper in matter.papers for code in sorted(paper.types)))
    kinds = await types_facts(session, codes)
    found = []
    for code in codes:
        held = await held_of_type(session, holder, code)
        found.append(_findable(replace(base, type=kinds[code]), matter, held))
    return tuple(found)


def _findable(ask: Ask, matter: MatterFacts, held: Sequence[Certificate]) -> Findable:
    """Pure. The decisions are those of the type, or those of a certificate that is the asker's own; those lists never differ otherwise."""
    asked = {want: replace(ask, want=want) for want in Want}
    decisions = {want: decide(one) for want, one in asked.items()}
    mine = {
        want: [one for one in held if decide(replace(question, certificate=facts_of(one))).permitted] for want, question in asked.items()
    }
    told = mine[Want.DATA]
    holds = any(_valid(one, ask.now) for one in told) if told or decisions[Want.DATA].permitted else None
    papers = tuple(paper.code for paper in matter.papers if ask.type.code in paper.types)
    return Findable(ask.type.code, papers, holds, decisions, tuple(mine[Want.RECORD]))
