"""Stamps over digests alone, for documents that must not leave their office (docs/decisions/0085).

1. material  the office fetches what it needs to build the PDF with a hole: the seal's picture as PDF operators, certificates, lists
2. ask       it sends SHA-256 and SM3 of the octets around the hole, and the ByteRange; the seal's policy answers for that SHA-256
3. sign      the GM/T 0031 stamp and the PAdES signature over them, as for any document of ours
4. record    the permit is spent, the log says that the document was never seen; a key that came before gets its first answer

What the service cannot promise here: that the two digests are of the same octets, that the document is clean, that anybody saw
it. A verifier finds the first out; the rest is the office's word, and stands so in the log and on the page.
"""

import datetime as dt
import re
import uuid
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, InvalidInput
from keys.base.ids import new_id
from keys.custody.store import KeyStore, Purpose
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.asn1 import assemble_ses_signature, build_tbs_sign
from seal.cms import Signed
from seal.document_errors import RequestKeyReused
from seal.document_models import HashStampRow
from seal.document_values import STAFF, Sealing, require_key, require_reason, require_staff
from seal.material import SealMaterial, load_material
from seal.permits import Permit, PermitExpired, PermitMismatch, Place, UseRequest, audit_refused_use, consume_permit, request_permit
from seal.reach import within_reach
from seal.reads import SealNotFound, get_seal
from seal.stamp_plans import digest_of
from seal.stamping_press import press_for
from seal.verification_stamp import Covered

SPREAD = dt.timedelta(minutes=2)
"""How far the time that the office wrote into its PDF may be from ours."""
LARGEST_FILE = 1 << 40
_ROOM = 1024
_HASH_OCTETS = 32
_RANGE = re.compile(r"\[0 ([1-9][0-9]{0,12}) ([1-9][0-9]{0,12}) ([1-9][0-9]{0,12})\]")


class DigestsUnusable(InvalidInput):
    """``extra['errors']`` names the member."""

    code = "HASH_STAMP_INVALID"
    public = ("摘要、字节范围或时间不正确。", "The digests, the byte range or the time are not as they should be.")


@dataclass(frozen=True, slots=True)
class HashOrder:
    """What is asked. ``byte_range`` spelled ``[0 a b c]`` as it stands in propertyInfo; ``signing_time``: the ``/M`` of the PDF."""

    seal_code: str
    matter_code: str
    document_kind: str | None
    sha256: bytes
    sm3: bytes
    byte_range: str
    signing_time: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True)
class HashMaterial:
    """What an office builds its hole with. ``reserved``: octets that the CMS takes at most; ``now``: what to write into ``/M``."""

    seal_code: str
    name: str
    organisation_name: str
    width_mm: float
    height_mm: float
    pdf_content: bytes
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    reserved: int
    now: dt.datetime


@dataclass(frozen=True, slots=True)
class HashStamp:
    """``cms``: DER SignedData for ``/Contents`` (PAdES with the GM/T 0031 stamp in it); ``ses``: that stamp alone."""

    id: uuid.UUID
    seal_code: str
    matter_code: str
    sha256: bytes
    signing_time: dt.datetime
    reason: str
    cms: bytes
    ses: bytes
    permit_id: uuid.UUID


async def hash_material(sealing: Sealing, actor: Actor, seal_code: str) -> HashMaterial:
    """What a stamp by hash is built with, for those whom the seal's impression may reach. Raises ``SEAL_NOT_FOUND``."""
    require_staff(actor)
    now = sealing.gate.now().replace(microsecond=0)
    async with sealing.database.begin() as session:
        if not await within_reach(session, actor, await get_seal(session, seal_code)):
            raise SealNotFound(seal_code[:14])
        material = await load_material(session, sealing.keystore, now, seal_code)
    carried = press_for(material).carried
    return HashMaterial(
        seal_code=material.code,
        name=material.name,
        organisation_name=material.organisation_name,
        width_mm=material.width_mm,
        height_mm=material.height_mm,
        pdf_content=material.pdf_content,
        certificates=material.validation.certificates,
        crls=material.validation.crls,
        reserved=len(material.seal_der) + len(material.sm_certificate) + sum(map(len, carried)) + _ROOM,
        now=now,
    )


async def stamp_digests(sealing: Sealing, actor: Actor, order: HashOrder, key: str | None, *, place: Place | None = None) -> HashStamp:
    """Stamp a document that stays where it is. The same key again: the same answer.

    Raises :class:`DigestsUnusable`, ``REQUEST_KEY_NEEDED``, ``REQUEST_KEY_REUSED``, ``REJECTION_REASON_REQUIRED`` and the policy's
    refusals.
    """
    try:
        return await _stamp(sealing, actor, order, require_key(key), place)
    except FujieError as error:
        event = Event("seal.hash_stamp", f"seal-code:{order.seal_code[:14]}", Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(sealing.database, sealing.clock.now(), event)
        raise


async def hash_stamps_of(sealing: Sealing, actor: Actor, seal_code: str, limit: int = 100) -> list[HashStamp]:
    """Stamps by hash of a seal, the newest first, for the staff of its organisation; a client sees its own."""
    query = select(HashStampRow).where(HashStampRow.seal_code == seal_code).order_by(HashStampRow.id.desc()).limit(limit)
    async with sealing.database.session() as session:
        seal = await get_seal(session, seal_code)
        if not (actor.roles & STAFF and actor.organisation == seal.organisation):
            query = query.where(HashStampRow.requester == actor.id)
        return [_view(row) for row in await session.scalars(query)]


def sign_digests(permit: Permit, order: HashOrder, material: SealMaterial, keystore: KeyStore) -> tuple[bytes, bytes]:
    """The CMS and the stamp in it. Runs in a worker. Raises :class:`PermitMismatch`, :class:`PermitExpired`, ``SEAL_UNFIT``."""
    at = order.signing_time
    if permit.seal_code != material.code or permit.document_hash != order.sha256:
        raise PermitMismatch(str(permit.id))
    if at >= permit.expires:
        raise PermitExpired(str(permit.id))
    press = press_for(material)
    tbs = build_tbs_sign(material.seal_der, at, order.sm3, order.byte_range)
    ses = assemble_ses_signature(tbs, material.sm_certificate, keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    press.require_stamp(ses, Covered(order.sm3, order.byte_range, at))
    press.require_signer(at)
    signed = Signed(press.carried, order.sha256, ses)
    return signed.content_info(keystore.sign(material.signer_key, signed.attributes(), Purpose.SEALS)), ses


async def _stamp(sealing: Sealing, actor: Actor, order: HashOrder, key: str, place: Place | None) -> HashStamp:
    organisation, now = require_staff(actor), sealing.gate.now()
    require_reason(order.reason)
    digest = digest_of(order=asdict(order) | {"signing_time": order.signing_time.isoformat()})
    earlier = await _recall(sealing, actor, key, digest)
    if earlier is not None:
        return earlier
    require_usable(order, now)
    use = UseRequest(order.seal_code, actor, order.matter_code, None, order.sha256, document_kind=order.document_kind, place=place)
    permit = await request_permit(sealing.database, sealing.gate, use)
    async with sealing.database.begin() as session:
        material = await load_material(session, sealing.keystore, now, permit.seal_code, standing=permit.standing)
    cms, ses = await sealing.workers.run(sign_digests, permit, order, material, sealing.keystore)
    row = {
        "id": new_id(), "organisation": organisation, "seal_code": order.seal_code, "matter_code": order.matter_code,
        "document_kind": order.document_kind, "requester": actor.id, "reason": order.reason.strip(), "sha256": order.sha256,
        "sm3": order.sm3, "byte_range": order.byte_range, "permit_id": permit.id, "signing_time": order.signing_time, "ses": ses,
        "cms": cms, "idempotency_key": key, "order_digest": digest,
    }  # fmt: skip
    try:
        return await _record(sealing, actor, permit, row)
    except RequestKeyReused:
        first = await _recall(sealing, actor, key, digest)
        if first is None:
            raise
        return first
    except FujieError as error:
        await audit_refused_use(sealing.database, sealing.clock.now(), permit, actor, error)
        raise


def require_usable(order: HashOrder, now: dt.datetime) -> None:
    """Pure. Raises :class:`DigestsUnusable`."""
    found = _RANGE.fullmatch(order.byte_range)
    wrong = None
    if len(order.sha256) != _HASH_OCTETS or len(order.sm3) != _HASH_OCTETS or order.sha256 == order.sm3:
        wrong = "digests"
    elif found is None or not int(found[1]) < int(found[2]) or int(found[2]) + int(found[3]) > LARGEST_FILE:
        wrong = "byte_range"
    elif order.signing_time.microsecond or abs(order.signing_time - now) > SPREAD:
        wrong = "signing_time"
    if wrong:
        raise DigestsUnusable(wrong, errors=[{"field": wrong, "message": "not as the documentation says"}])


async def _record(sealing: Sealing, actor: Actor, permit: Permit, row: dict[str, object]) -> HashStamp:
    async with sealing.database.begin() as session:
        written = await _insert(session, row)
        now = sealing.gate.now()
        await consume_permit(session, now, permit, permit.document_hash)
        details: dict[str, audit.JSON] = {
            "permit": str(permit.id), "document_seen": False, "byte_range": str(row["byte_range"]),
            "reason": audit.digest(str(row["reason"])),
        }  # fmt: skip
        await audit.record(session, now, Event("seal.hash_stamp", f"seal-code:{permit.seal_code}", Outcome.DONE, actor, details))
        return _view(written)


async def _insert(session: AsyncSession, row: dict[str, object]) -> HashStampRow:
    written: HashStampRow | None = await session.scalar(insert(HashStampRow).values(row).on_conflict_do_nothing().returning(HashStampRow))
    if written is None:
        raise RequestKeyReused
    return written


async def _recall(sealing: Sealing, actor: Actor, key: str, digest: bytes) -> HashStamp | None:
    async with sealing.database.session() as session:
        row = await session.scalar(select(HashStampRow).where(HashStampRow.requester == actor.id, HashStampRow.idempotency_key == key))
    if row is None:
        return None
    if row.order_digest != digest:
        raise RequestKeyReused
    return _view(row)


def _view(row: HashStampRow) -> HashStamp:
    return HashStamp(
        row.id, row.seal_code, row.matter_code, row.sha256, row.signing_time, row.reason, row.cms, row.ses, row.permit_id
    )  # fmt: skip
