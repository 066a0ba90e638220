"""Annotated copies (加注件): a new sealed document made of an original for one requester, one purpose and a time.

1. recall   a key that came before gets the copy it got before
2. choose   the original: by its id, by what the holder showed or allowed, or the holder's of a type; it is in force and its file is here
3. decide   :func:`certs.sharing.decide`: may this requester have a copy of it now; something is left of the requester's quota
4. reserve  transaction 1: code, times and key; a crash leaves a reservation that the same key takes up again
5. render   the original's pages under the annotation, in a worker
6. permit   the seal's policy answers for this one document, to the copying service by a grant of the seal's keeper
7. stamp    in a worker, then stored durably under its hash
8. record   transaction 2: permit spent, agreement used up, quota counted, access, audit entry, event

A copy is verified like a certificate (:mod:`certs.copy_verification`): whatever ends its original ends it.
"""

import dataclasses
import datetime as dt
import uuid
from dataclasses import dataclass, field

import orjson
from sqlalchemy import select, update

from certs.access import speaks_for_organisation
from certs.access_rates import Use, count, require_quota
from certs.access_rights import right_of
from certs.approvals import IdempotencyKeyReused, IssuingInProgress, is_clean
from certs.archiving import newest
from certs.authorisations import Given, find_authorisation, spend
from certs.catalogue import CertificateType
from certs.consents import index_of
from certs.copy_models import CopyRow
from certs.copy_records import MADE, RESERVED, VOID, Copy, to_copy
from certs.copy_rendering import CopyJob, render_copy
from certs.copy_seals import DOCUMENT_KIND, CopySeal, copy_seal_of, service
from certs.idempotency import require_key
from certs.library import DocumentNotHeld, Library, access_row, check_purpose, own_index
from certs.lifecycle import Standing
from certs.metadata import describe, encode
from certs.outbox import write_event
from certs.reads import get_certificate, is_held_by, type_of
from certs.records import Certificate, Stage
from certs.sharing import Ask, Decision, Want, decide
from certs.sharing_facts import answers_yes, facts_of, held_of_type, matter_facts, organisation_asked_for, type_facts
from certs.sharing_reasons import SharingRefused
from certs.stages import Issuing
from identity.organisations import get_organisation
from keys.base.actor import Actor, ActorKind
from keys.base.clock import CHINA_STANDARD_TIME, civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.base.ids import new_code, new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.material import load_material
from seal.matters import get_matter
from seal.permits import Permit, Place, UseRequest, consume_permit, request_permit
from seal.policy import NotPermitted
from seal.stamping import stamp

DAYS, MOST_DAYS = 30, 366
LEASE = dt.timedelta(minutes=2)
MOST_RECIPIENT = 40
OWNER = "持证主体本人"
SERVER_ERROR = 500


class OriginalNotInForce(Conflict):
    """Only of a certificate in force are copies made: any other copy would be worth nothing from its first second."""

    code = "ORIGINAL_NOT_IN_FORCE"
    public = ("原件当前不是有效状态，不能制作加注件。", "The original is not in force: no annotated copy is made of it.")


class CopySealNotGranted(Conflict):
    """The seal that would seal the copy may not be used for it: its keeper grants that use."""

    code = "COPY_SEAL_NOT_GRANTED"
    public = (
        "颁发机构尚未授权使用印章制作加注件，请联系印章管理员。",
        "The issuer has not yet granted its seal for annotated copies. Please ask the keeper of the seal.",
    )


class NothingToCopy(NotFound):
    """It might be had, but the holder has none in force."""

    code = "NOTHING_TO_COPY"
    public = ("持证人没有可制作加注件的证照。", "The holder has no certificate of which a copy could be made.")


@dataclass(frozen=True, slots=True)
class CopyWanted:
    """What is asked for. The original is named by one of ``certificate_id``, ``show_code``, ``consent``, or holder and ``type_code``.

    ``days``: how long it holds, no longer than the original; ``recipient``: whom a holder makes it for. Numbers have no ``repr``.
    """

    purpose: str
    matter_code: str = ""
    certificate_id: uuid.UUID | None = None
    type_code: str = ""
    holder_code: str = field(default="", repr=False)
    code_type: str = ""
    consent: uuid.UUID | None = None
    show_code: str = field(default="", repr=False)
    days: int = DAYS
    recipient: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    """Steps 2 and 3: the original, why it may be had, who will stand on the copy, and with which seal."""

    certificate: Certificate
    kind: CertificateType | None
    decision: Decision
    ask: Ask
    original_hash: bytes
    requester: str
    matter: str
    sealing: CopySeal


@dataclass(frozen=True, slots=True)
class _Sealed:
    """Steps 6 and 7: the permit, the SHA-256 it was given for, and that of the sealed file, which is stored."""

    permit: Permit
    unsealed: bytes
    digest: bytes


async def make_copy(issuing: Issuing, actor: Actor, wanted: CopyWanted, idempotency_key: str | None, address: str | None = None) -> Copy:
    """See the module. Raises ``PurposeRequired``, ``InvalidInput``, ``NotFound``, ``SharingRefused``, ``AuthorisationUnknown``,
    :class:`OriginalNotInForce`, :class:`CopySealNotGranted`, ``QuotaExhausted``, ``DocumentNotHeld``, ``GlyphMissing``,
    ``IdempotencyKeyRequired``, ``IdempotencyKeyReused``, ``IssuingInProgress``, and what the gate raises."""
    try:
        return await _make(issuing, actor, wanted, require_key(idempotency_key), address)
    except FujieError as error:
        await _audit_refusal(issuing, actor, wanted, error)
        raise


async def _make(issuing: Issuing, actor: Actor, wanted: CopyWanted, key: str, address: str | None) -> Copy:
    wanted = checked(wanted)
    request = issuing.personal.subject("certs.copy", orjson.dumps(dataclasses.asdict(wanted), default=str).decode())
    earlier = await _recall(issuing, actor, key, request)
    if earlier is not None:
        return earlier
    async with issuing.database.session() as session:
        case = await _case(session, issuing, actor, wanted)
    row = await _reserve(issuing, actor, wanted, case, key, request)
    try:
        return await _carry(issuing, actor, case, row, address)
    except FujieError as error:
        await _give_up(issuing, row.id, error)
        raise


def checked(wanted: CopyWanted) -> CopyWanted:
    """The wish with its texts as they will be printed. Raises ``PurposeRequired``, ``InvalidInput``. Pure."""
    recipient = wanted.recipient.strip()
    if not 1 <= wanted.days <= MOST_DAYS:
        raise InvalidInput("days", errors=[{"field": "days", "message": f"1 to {MOST_DAYS}"}])
    if len(recipient) > MOST_RECIPIENT or not is_clean(recipient):
        raise InvalidInput("recipient", errors=[{"field": "recipient", "message": f"at most {MOST_RECIPIENT} characters, one line"}])
    return dataclasses.replace(wanted, purpose=check_purpose(wanted.purpose), recipient=recipient)


async def _recall(issuing: Issuing, actor: Actor, key: str, request: bytes) -> Copy | None:
    """The copy an earlier request with this key got. Raises ``IdempotencyKeyReused``, and ``IssuingInProgress`` while it is being made."""
    async with issuing.database.session() as session:
        row = await session.scalar(select(CopyRow).where(CopyRow.requester_id == actor.id, CopyRow.request_key == key))
    if row is None:
        return None
    if row.request != request:
        raise IdempotencyKeyReused
    if row.stage == MADE:
        return to_copy(row)
    if row.lease_until is not None and row.lease_until > issuing.clock.now():
        raise IssuingInProgress(retry_after=5)
    return None


async def _case(session: AsyncSession, issuing: Issuing, actor: Actor, wanted: CopyWanted) -> _Case:
    now, library = issuing.clock.now(), Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    matter = await matter_facts(session, wanted.matter_code)
    organisation, serves = await organisation_asked_for(session, actor, matter)
    given = await _given(session, library, organisation, wanted)
    base = Ask(
        actor, organisation, Want.COPY, await type_facts(session, wanted.type_code), wanted.purpose, now, serves=serves, matter=matter,
        authorisation=given.authorisation if given else None,
    )  # fmt: skip
    certificate = await _original(session, library, base, wanted, given)
    ask = await _about(session, base, certificate, wanted.matter_code)
    decision = _decided(ask)
    await require_quota(session, now, actor, Use.COPY, certificate.type_code)
    if certificate.standing(civil_date(now)) is not Standing.IN_FORCE:
        raise OriginalNotInForce(str(certificate.id))
    if certificate.document_hash is None:
        raise DocumentNotHeld
    named = await get_matter(session, wanted.matter_code) if wanted.matter_code else None
    return _Case(
        certificate, await type_of(session, certificate), decision, ask, await newest(session, certificate.document_hash),
        await _requester(session, ask, wanted.recipient), f"{named.name}（{named.code}）" if named else "",
        await copy_seal_of(session, certificate),
    )  # fmt: skip


async def _given(session: AsyncSession, library: Library, organisation: str, wanted: CopyWanted) -> Given | None:
    if wanted.consent is None and not wanted.show_code:
        return None
    holder = index_of(library, wanted.code_type, wanted.holder_code) if wanted.holder_code else None
    return await find_authorisation(session, organisation, consent=wanted.consent, show_code=wanted.show_code, holder=holder)


async def _original(session: AsyncSession, library: Library, base: Ask, wanted: CopyWanted, given: Given | None) -> Certificate:
    """The certificate meant. For a holder and a type the rules are asked about the type first: a refusal tells nobody who holds what."""
    certificate_id = given.certificate_id if given is not None else wanted.certificate_id
    if certificate_id is not None:
        certificate = await get_certificate(session, certificate_id)
        if certificate is None or certificate.stage is not Stage.ISSUED or wanted.certificate_id not in (None, certificate.id):
            raise NotFound("certificate")
        return certificate
    if not wanted.holder_code or not wanted.type_code:
        raise InvalidInput("whose", errors=[{"field": "certificate_id", "message": "or show_code, consent, or holder_code and type"}])
    right = await right_of(session, base.now, base.organisation, wanted.type_code, Want.COPY, wanted.matter_code)
    of_type = dataclasses.replace(base, right=right)
    held = await held_of_type(session, index_of(library, wanted.code_type, wanted.holder_code), wanted.type_code)
    own = [one for one in held if decide(dataclasses.replace(of_type, certificate=facts_of(one))).permitted]
    if not own:
        _decided(of_type)
    today = civil_date(base.now)
    found = next((one for one in own if answers_yes(one, one.standing(today))), None)
    if found is None:
        raise NothingToCopy
    return found


async def _about(session: AsyncSession, base: Ask, certificate: Certificate, matter_code: str) -> Ask:
    """The question with all that is known of this certificate and this requester."""
    own = await own_index(session, base.actor)
    held = own is not None and await is_held_by(session, certificate.id, own)
    codes = {one.code for one in certificate.holders if one.code}
    speaks = base.actor.kind is ActorKind.PERSON and speaks_for(base.actor, codes)
    kind = await type_facts(session, certificate.type_code)
    right = await right_of(session, base.now, base.organisation, kind.code, Want.COPY, matter_code)
    return dataclasses.replace(base, type=kind, certificate=facts_of(certificate), right=right, is_holder=held or speaks)


def _decided(ask: Ask) -> Decision:
    decision = decide(ask)
    if not decision.permitted:
        raise SharingRefused(decision.code)
    return decision


async def _requester(session: AsyncSession, ask: Ask, recipient: str) -> str:
    """Who stands on the copy: the organisation that asks; or whom the holder makes it for."""
    if ask.is_holder and ask.matter is None:
        return f"{recipient}（{OWNER}提供）" if recipient else OWNER
    if recipient:
        raise InvalidInput("recipient", errors=[{"field": "recipient", "message": "only a holder makes copies for others"}])
    found = await get_organisation(session, ask.organisation)
    return found.name if found else ask.organisation


async def _reserve(issuing: Issuing, actor: Actor, wanted: CopyWanted, case: _Case, key: str, request: bytes) -> CopyRow:
    now, certificate = issuing.gate.now(), case.certificate
    async with issuing.database.begin() as session:
        mine = select(CopyRow).where(CopyRow.requester_id == actor.id, CopyRow.request_key == key).with_for_update()
        row = await session.scalar(mine)
        if row is None:
            row = CopyRow(id=new_id(), verification_code=new_code(), requester_id=actor.id, request_key=key, withdrawn_reason="")
            session.add(row)
        elif row.lease_until is not None and row.lease_until > now:
            raise IssuingInProgress(retry_after=5)
        row.certificate_id, row.stage, row.original_hash = certificate.id, RESERVED, case.original_hash
        row.requester_kind, row.organisation, row.requester_name = actor.kind.value, case.ask.organisation or None, case.requester
        row.purpose, row.matter_code, row.basis = wanted.purpose, wanted.matter_code or None, case.decision.code
        row.seal_code, row.request, row.lease_until = case.sealing.seal_code, request, now + LEASE
        row.made_at, row.expires_at = now.replace(microsecond=0), expiry(now, wanted.days, certificate.valid_to)
        details: dict[str, JSON] = {"copy": str(row.id), "reason": case.decision.code}
        await audit.record(session, now, Event("certs.copy.reserve", f"certificate:{certificate.id}", audit.Outcome.INTENT, actor, details))
    return row


def expiry(now: dt.datetime, days: int, valid_to: dt.date | None) -> dt.datetime:
    """The end of the last civil day, never past the original's. Pure."""
    last = civil_date(now) + dt.timedelta(days=days)
    last = min(last, valid_to) if valid_to is not None else last
    return dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), CHINA_STANDARD_TIME).astimezone(dt.UTC) - dt.timedelta(minutes=1)


def copy_job(issuing: Issuing, case: _Case, row: CopyRow, original: bytes) -> CopyJob:
    """What is printed, wholly from the record and the original."""
    certificate, code = case.certificate, row.verification_code
    more: dict[str, str | list[str] | None] = {
        "JZJZZSJ": row.made_at.isoformat(), "JZJZZZ": case.sealing.organisation_name, "JZJZZSY": row.purpose,
        "JZJYXQJZSJ": row.expires_at.isoformat(), "KZ_JZJSYZ": row.requester_name, "KZ_JZJHYM": code,
        "KZ_YJZY": row.original_hash.hex(), "KZ_YJZYSF": "SHA-256",
    }  # fmt: skip
    return CopyJob(
        original=original, original_hash=row.original_hash, title_zh=certificate.type_name, number=certificate.number,
        identifier=certificate.identifier, requester=row.requester_name, purpose=row.purpose, matter=case.matter, made_at=row.made_at,
        expires_at=row.expires_at, maker=case.sealing.organisation_name, verify_url=f"{issuing.base_url}/v/{code}",
        verification_code=code, metadata=encode(describe(certificate, case.kind) | more),
    )  # fmt: skip


async def _carry(issuing: Issuing, actor: Actor, case: _Case, row: CopyRow, address: str | None) -> Copy:
    original = await issuing.blobs.get(row.original_hash)
    rendered = await issuing.workers.run(render_copy, copy_job(issuing, case, row, original), issuing.fonts)
    unsealed = bytes.fromhex(rendered.sha256)
    permit = await _permit(issuing, case, unsealed, address)
    async with issuing.database.begin() as session:
        material = await load_material(session, issuing.keystore, issuing.gate.now(), permit.seal_code, standing=permit.standing)
    at = issuing.gate.now().replace(microsecond=0)
    stamped = await issuing.workers.run(stamp, permit, rendered.pdf, material, rendered.seal_place, issuing.keystore, at)
    digest = await issuing.blobs.put(stamped.pdf)
    return await _record(issuing, actor, case, row, _Sealed(permit, unsealed, digest))


async def _permit(issuing: Issuing, case: _Case, unsealed: bytes, address: str | None) -> Permit:
    sealing = case.sealing
    use = UseRequest(
        seal_code=sealing.seal_code, actor=service(sealing), matter_code=sealing.matter_code, certificate_type=case.certificate.type_code,
        document_hash=unsealed, unattended=True, document_kind=DOCUMENT_KIND, place=Place(None, address),
    )  # fmt: skip
    try:
        return await request_permit(issuing.database, issuing.gate, use)
    except NotPermitted as error:
        raise CopySealNotGranted(error.code) from error


async def _record(issuing: Issuing, actor: Actor, case: _Case, row: CopyRow, sealed: _Sealed) -> Copy:
    now, certificate, ask, digest = issuing.clock.now(), case.certificate, case.ask, sealed.digest
    library = Library(issuing.database, issuing.clock, issuing.blobs, issuing.personal)
    asker = dataclasses.replace(actor, organisation=ask.organisation or actor.organisation)
    async with issuing.database.begin() as session:
        values = {"stage": MADE, "sha256": digest, "document_hash": digest, "lease_until": None}
        mine = update(CopyRow).where(CopyRow.id == row.id, CopyRow.stage == RESERVED).values(**values).returning(CopyRow)
        made = await session.scalar(mine.execution_options(populate_existing=True))
        if made is None:
            raise IssuingInProgress(retry_after=1)
        await consume_permit(session, now, sealed.permit, sealed.unsealed)
        await spend(session, now, asker, case.decision.spends, row.requester_name)
        await count(session, now, actor, Use.COPY, certificate.type_code)
        session.add(access_row(library, asker, "copy", row.purpose, certificate.id))
        payload: dict[str, JSON] = {"id": str(certificate.id), "identifier": certificate.identifier, "copy": str(row.id)}
        write_event(session, now, "certificate.copied", certificate.id, payload)
        await audit.record(session, now, _done(certificate, row, actor, digest))
        return to_copy(made)


def _done(certificate: Certificate, row: CopyRow, actor: Actor, digest: bytes) -> Event:
    details: dict[str, JSON] = {
        "copy": str(row.id), "original": row.original_hash.hex(), "document": digest.hex(), "purpose": audit.digest(row.purpose),
        "expires_at": row.expires_at.isoformat(), "reason": row.basis,
    }  # fmt: skip
    return Event("certs.copy.record", f"certificate:{certificate.id}", audit.Outcome.DONE, actor, details)


async def _give_up(issuing: Issuing, copy_id: uuid.UUID, error: FujieError) -> None:
    """A refusal frees the key; a failure of ours gives the lease back, so that the same key may try again at once."""
    async with issuing.database.begin() as session:
        mine = update(CopyRow).where(CopyRow.id == copy_id, CopyRow.stage == RESERVED)
        refused = error.status < SERVER_ERROR and not isinstance(error, IssuingInProgress)
        values = {"stage": VOID, "request_key": f"void {copy_id}"} if refused else {}
        await session.execute(mine.values(**values, lease_until=None, failure=error.code))


async def _audit_refusal(issuing: Issuing, actor: Actor, wanted: CopyWanted, error: FujieError) -> None:
    reason = error.reason if isinstance(error, SharingRefused) else error.code
    subject = f"certificate:{wanted.certificate_id}" if wanted.certificate_id else f"matter:{wanted.matter_code[:64]}"
    outcome = audit.Outcome.REFUSED if error.status < SERVER_ERROR else audit.Outcome.FAILED
    event = Event("certs.copy", subject, outcome, actor, {"reason": reason}, error.code)
    await audit.record_alone(issuing.database, issuing.clock.now(), event)


def speaks_for(actor: Actor, holders: set[str]) -> bool:
    """Whether a person speaks for an organisation that holds it."""
    return speaks_for_organisation(actor) and actor.organisation in holders
