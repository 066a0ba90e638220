"""Stamping a document after a plan: any places, any number of seals one after another, one permit each.

1. the permit must be for this document, as it is now, and still good
2. find out what the document is: unsigned, prepared for this seal, signed by others, or closed to seals
3. write the revision the plan asks for (:mod:`seal.joint_writing`), a hole left for the signature
4. make the GM/T 0031 stamp over the octets around the hole, and judge it as any verifier will
5. make the PAdES signature over the same octets (not in the profile ``GM.sm2seal``)
6. fill the hole

Runs in a worker process: synchronous, no clock, no database. The keys stay in the key store. Whatever is refused leaves nothing
half-stamped: the caller has its document, and an error with a code.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from keys.custody.store import KeyStore, Purpose
from keys.pki.material import ValidationMaterial
from seal.asn1 import assemble_ses_signature, build_tbs_sign
from seal.cms import Signed
from seal.increment import Increment
from seal.joint_dictionary import Terms, organisation_name
from seal.joint_document import Standing, State, standing_of
from seal.joint_fields import Field, FieldName, extent, head_of, names, pictures_of_field
from seal.joint_pictures import Size, pictures_of
from seal.joint_writing import Ink, Prepared, add_to, fill, open_with
from seal.material import SealMaterial
from seal.pdf_reading import UNREADABLE, Foreign, Plain, Reading
from seal.pdf_syntax import NotPlain
from seal.permits import Permit, PermitExpired, PermitMismatch
from seal.placing import MAX_TOTAL, Certification, LaterSeal, Profile, StampPlan
from seal.placing_errors import FieldNotPrepared, FieldUnfit, OnePlaceOnly, PlanContradictory
from seal.placing_geometry import PageViews
from seal.revision import Hollow, NotStampable
from seal.stamping import Fingerprints, Stamped
from seal.stamping_press import Press, TimeRoom, press_for
from seal.verification_stamp import Covered

__all__ = ["NotStampable", "Stamped", "foreseen", "stamp_document"]

MAX_LATER = 99
_ROOM = 1024  # what a CMS holds beside certificates and seal
_SAME_POINTS = 0.01


@dataclass(frozen=True, slots=True)
class _Task:
    """One stamping: the document and what was read of it, the seal, what is asked, the instant."""

    document: bytes
    digest: bytes
    standing: Standing
    press: Press
    plan: StampPlan
    signing_time: dt.datetime
    time_room: TimeRoom

    @property
    def validation(self) -> ValidationMaterial:
        """For the DSS: the seal's own, and of the authority that will time-stamp its signature."""
        both = (self.material.validation, self.time_room.validation)
        return ValidationMaterial(
            tuple(dict.fromkeys(der for one in both for der in one.certificates)),
            tuple(dict.fromkeys(der for one in both for der in one.crls)),
        )

    @property
    def material(self) -> SealMaterial:
        return self.press.material

    @property
    def size(self) -> Size:
        return Size(self.material.width_mm, self.material.height_mm)

    @property
    def ink(self) -> Ink:
        return Ink.of(self.material.pdf_content, self.size)

    def increment(self) -> Increment:
        return Increment(self.document, self.standing.reading, self.digest)

    def terms(self, certification: Certification, locked: Sequence[str]) -> Terms:
        room = len(self.material.seal_der) + len(self.material.sm_certificate) + self.time_room.octets + _ROOM
        if self.plan.profile is Profile.PADES:
            room += sum(map(len, self.press.carried))
        return Terms(
            signing_time=self.signing_time,
            organisation=organisation_name(self.material.organisation_name),
            certification=certification,
            locked=tuple(name.encode() for name in locked),
            profile=self.plan.profile,
            reserved=room,
        )


def stamp_document(
    permit: Permit,
    document: bytes,
    material: SealMaterial,
    plan: StampPlan,
    keystore: KeyStore,
    signing_time: dt.datetime,
    time_room: TimeRoom | None = None,
) -> Stamped:
    """The document with one more seal, after the plan. ``signing_time`` is taken to the whole second.

    ``time_room``: for a time stamp of this seal's signature (:func:`seal.levels.with_signature_timestamp`).

    Raises :class:`PermitMismatch`, :class:`PermitExpired`, :class:`NotStampable` (what :mod:`seal.placing_errors` names among them),
    :class:`seal.stamping.SealUnfit`.
    """
    signing_time = signing_time.astimezone(dt.UTC).replace(microsecond=0)
    base = hashlib.sha256(document)
    _require_permit(permit, base.digest(), material, signing_time)
    task, hollow = _planned(document, base.digest(), material, plan, signing_time, time_room)
    prints = Fingerprints(hollow, len(document), base)
    return prints.filled(_message(task, hollow, prints, keystore), awaits_time=time_room is not None)


def foreseen(document: bytes, material: SealMaterial, plan: StampPlan, signing_time: dt.datetime) -> bytes:
    """The document as :func:`stamp_document` will make it, its signature still zeros: what an approver is shown.

    Raises :class:`NotStampable`. Takes no permit, because nothing is sealed by it, and no key.
    """
    signing_time = signing_time.astimezone(dt.UTC).replace(microsecond=0)
    _, hollow = _planned(document, hashlib.sha256(document).digest(), material, plan, signing_time)
    return bytes(hollow.octets)


def _planned(
    document: bytes, digest: bytes, material: SealMaterial, plan: StampPlan, signing_time: dt.datetime, time_room: TimeRoom | None = None
) -> tuple[_Task, Hollow]:
    """The revision with its hole, whichever reader understands the document."""
    try:
        try:
            return _prepare(document, Plain(document), digest, material, plan, signing_time, time_room)
        except NotPlain:
            return _prepare(document, Foreign(document), digest, material, plan, signing_time, time_room)
    except UNREADABLE as error:
        raise NotStampable(type(error).__name__) from error


def _prepare(
    document: bytes,
    reading: Reading,
    digest: bytes,
    material: SealMaterial,
    plan: StampPlan,
    signing_time: dt.datetime,
    time_room: TimeRoom | None,
) -> tuple[_Task, Hollow]:
    task = _Task(document, digest, standing_of(document, reading), press_for(material), plan, signing_time, time_room or TimeRoom(0))
    return task, _hollow(task)


def _require_permit(permit: Permit, digest: bytes, material: SealMaterial, signing_time: dt.datetime) -> None:
    if permit.seal_code != material.code or permit.document_hash != digest:
        raise PermitMismatch(str(permit.id))
    if signing_time >= permit.expires:
        raise PermitExpired(str(permit.id))


def _hollow(task: _Task) -> Hollow:
    if task.standing.state is State.UNSIGNED:
        return _first(task)
    if task.plan.later:
        raise PlanContradictory("later seals are declared by the first")
    prepared = _prepared(task)
    if prepared:
        return _filled(task, prepared)
    return _further(task)


def _first(task: _Task) -> Hollow:
    plan, material = task.plan, task.material
    if plan.field is not None:
        raise FieldNotPrepared("an unsigned document has no prepared field")
    if plan.later and plan.certification is Certification.P1:
        raise PlanContradictory("P 1 permits no later seal")
    if len(plan.later) > MAX_LATER:
        raise PlanContradictory(f"more than {MAX_LATER} later seals")
    views = PageViews(task.standing.reader)
    pictures = pictures_of(task.document, views, plan.placements, task.size)
    seal = Prepared(names(1, None, len(pictures)), material.name, pictures)
    later = [_declared(task.document, views, ordinal, one) for ordinal, one in enumerate(plan.later, 2)]
    if len(pictures) + sum(len(one.pictures) for one in later) > MAX_TOTAL:
        raise PlanContradictory(f"more than {MAX_TOTAL} pictures of seals")
    own = task.validation
    terms = task.terms(plan.certification, seal.names[1:])
    return open_with(task.increment(), seal, later, task.ink, (own.certificates, own.crls), terms)


def _declared(document: bytes, views: PageViews, ordinal: int, seal: LaterSeal) -> Prepared:
    pictures = pictures_of(document, views, seal.placements, Size(seal.width_mm, seal.height_mm))
    try:
        own = names(ordinal, seal.seal_code, len(pictures))
    except ValueError as error:
        raise PlanContradictory(str(error)) from error
    return Prepared(own, seal.title, pictures)


def _prepared(task: _Task) -> list[Field]:
    """The empty field the plan means, with its further pictures; none where a new field is to be made."""
    fields = task.standing.fields
    if task.plan.field is not None:
        own = pictures_of_field(fields, task.plan.field)
        if not own or not own[0].is_signature:
            raise FieldNotPrepared(f"no field {task.plan.field[:40]}")
        if own[0].filled:
            raise FieldUnfit("the field is already signed")
        return _for_this_seal(task, own)
    named = [(field.name, FieldName.read(field.name)) for field in fields if field.name and field.is_signature and not field.filled]
    meant = next((name for name, read in named if read and read.code == task.material.code), None)
    return pictures_of_field(fields, meant) if meant else []


def _for_this_seal(task: _Task, own: list[Field]) -> list[Field]:
    read = FieldName.read(own[0].name or "")
    if read is not None and read.code not in (None, task.material.code):
        raise FieldNotPrepared("the field was prepared for another seal")
    return own


def _filled(task: _Task, fields: list[Field]) -> Hollow:
    if task.plan.placements:
        raise PlanContradictory("the places of a prepared seal were declared by the first")
    reading = task.standing.reading
    dressed = [(field, head_of(task.document, reading, field)) for field in fields]
    if any(abs(one - other) > _SAME_POINTS for one, other in zip(extent(head for _, head in dressed), task.size.points, strict=True)):
        raise FieldUnfit("the place was prepared for a seal of another size")
    terms = task.terms(Certification.NONE, [field.name or "" for field in fields[1:]])
    return fill(task.increment(), dressed, task.ink, task.standing.store, task.standing.missing(task.validation), terms)


def _further(task: _Task) -> Hollow:
    if task.standing.state is State.CERTIFIED:
        raise FieldNotPrepared("certified, and no field is prepared for this seal")
    pictures = pictures_of(task.document, PageViews(task.standing.reader), task.plan.placements, task.size)
    if len(pictures) > 1:
        raise OnePlaceOnly(f"{len(pictures)} pictures")
    seal = Prepared(names(task.standing.next_ordinal(), None, 1), task.material.name, pictures)
    return add_to(task.increment(), seal, task.ink, task.standing.missing(task.validation), task.terms(Certification.NONE, ()))


def _message(task: _Task, hollow: Hollow, prints: Fingerprints, keystore: KeyStore) -> bytes:
    """What fills the hole: the SignedData with the stamp in it, or the stamp alone."""
    material, at = task.material, task.signing_time
    covered = Covered(prints.sm3(), hollow.byte_range, at)
    tbs = build_tbs_sign(material.seal_der, at, covered.digest, covered.property_info)
    ses = assemble_ses_signature(tbs, material.sm_certificate, keystore.sign(material.sm_key, tbs, Purpose.SEALS))
    task.press.require_stamp(ses, covered)
    if task.plan.profile is Profile.GM:
        return ses
    task.press.require_signer(at)
    signed = Signed(task.press.carried, prints.sha256(), ses)
    return signed.content_info(keystore.sign(material.signer_key, signed.attributes(), Purpose.SEALS))
