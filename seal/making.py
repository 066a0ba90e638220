"""Making a seal, from the application to its first day of use (电子印章管理办法).

1. :func:`apply_for_seal`   the organisation's keeper orders; the text is tried on the fonts
2. :func:`review_seal`      two other people, one after the other, agree or refuse (:mod:`seal.reviewing`)
3. :func:`make_reviewed_seal`
   a. number it: the next code of the division
   b. draw the impression
   c. make the keys: P-256 for PAdES, SM2 for the stamp; certify both, or take what a licensed authority certified (:mod:`seal.bought`)
   d. make the SESeal and sign it with the maker's key
4. :func:`file_seal`        it is filed under its code (:mod:`seal.activation`)
5. :func:`activate_seal`    it may be used

:func:`make_seal` walks all five for an applicant and two reviewers. Each step is a transaction of its own; what was left
half-way is taken up where it stands.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import InvalidInput
from keys.base.ids import new_id
from keys.custody.reads import store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.pki.authority import issue
from keys.pki.certificate import Subject
from keys.pki.reads import certificate_ends
from seal.activation import PredecessorUnsuitable, SealExists, activate_seal, file_seal
from seal.asn1 import SealContent, assemble_seal, build_seal_info
from seal.asn1_build import DEFAULT_VERSION, ORGANISATION_SEAL, PERSONAL_SEAL, WRITTEN_VERSIONS, SignerList
from seal.bought import Need, bought_signer
from seal.changes import SealChangedMeanwhile, Step, change_status, check_mover, lock_application, refusals_audited, write_history
from seal.codes import next_code
from seal.divisions import is_division
from seal.engraving import SealPicture
from seal.imitations import require_no_imitation
from seal.impressions import Upload
from seal.kinds import KINDS, SealKind
from seal.legible import is_legible
from seal.lifecycle import Move, Status, Succession, target
from seal.looks import AS_THE_KIND, SealLook
from seal.maker import Maker, ensure_maker
from seal.models import MadeSealRow, SealRow
from seal.motives import Why, checked
from seal.naming import NameRegister, Names, mixes_scripts, require_own_name
from seal.once import Once, claimed_before, find_request
from seal.picturing import Plate, engraved, keep_impression, plate_for, plate_of
from seal.picturing import Subject as SealSubject
from seal.reads import Seal, seal_view
from seal.reviewing import ReviewedTwice, ReviewerIsApplicant, review_seal

__all__ = [
    "Place",
    "PredecessorUnsuitable",
    "ReviewedTwice",
    "ReviewerIsApplicant",
    "SealExists",
    "SealOrder",
    "activate_seal",
    "apply_for_seal",
    "file_seal",
    "make_reviewed_seal",
    "make_seal",
    "review_seal",
]


class SealOrderInvalid(InvalidInput):
    code = "SEAL_ORDER_INVALID"
    public = ("制章申请的内容不正确。", "The order for a seal is not well-formed.")


@dataclass(frozen=True, slots=True)
class SealOrder:
    """What is ordered.

    ``kind``        a value of :class:`~seal.kinds.SealKind`
    ``organisation``  USCC; ``organisation_name`` is cut on the arc; ``division`` GB/T 2260, 6 digits
    ``lower_text``  below the star; None takes the kind's own
    ``valid_to``    the certificates end with it, so the seal never outlives them
    ``document_signer``, ``seal_signer``, ``maker``  the names under which certificates of a licensed authority were accepted
                    (``fujie authority``), for the P-256 key, the SM2 key and the maker; None: certified by ours
    ``look``        shape, size, colour and texts of the picture, where they are not the kind's own
    ``impression``  an uploaded picture instead of a drawn one; a seal that bears the national emblem takes nothing else
    ``signer_list``  how the SESeal names who may stamp: whole certificates, or their SM3 digests
    ``ses_version``  structure of the SESeal: 5 (GM/T 0031-2025), or 4 (GB/T 38540-2020) for readers that know no other
    """

    name: str
    kind: str
    organisation: str
    organisation_name: str
    division: str
    lower_text: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime
    ses_version: int = DEFAULT_VERSION
    document_signer: str | None = None
    seal_signer: str | None = None
    maker: str | None = None
    look: SealLook = AS_THE_KIND
    impression: Upload | None = None
    signer_list: SignerList = SignerList.CERTIFICATES


async def make_seal(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor, order: SealOrder, *, reviewers: tuple[Actor, Actor]
) -> Seal:
    """The whole journey: ``actor`` applies, two other people review, the second of them makes, files and activates."""
    applied = await apply_for_seal(database, clock, actor, order)
    for reviewer in reviewers:
        await review_seal(database, clock, reviewer, applied.id)
    made = await make_reviewed_seal(database, keystore, clock, reviewers[1], applied.id)
    await file_seal(database, clock, reviewers[1], made.code)
    return await activate_seal(database, clock, reviewers[1], made.code)


@dataclass(frozen=True, slots=True)
class Place:
    """The seal whose place the ordered one takes once it is activated."""

    of: uuid.UUID
    succession: Succession


async def apply_for_seal(
    database: Database,
    clock: Clock,
    actor: Actor,
    order: SealOrder,
    reason: Why | str = "",
    *,
    place: Place | None = None,
    once: Once | None = None,
    register: NameRegister | None = None,
) -> Seal:
    """The organisation orders. Raises :class:`SealOrderInvalid`, ``GlyphMissing``, ``SealTextUnsuitable``, ``MayNotMoveSeal``,
    ``SealNameNotRegistered``, ``SealNameImitates``, what :func:`seal.bought.bought_signer` raises, and what is wrong with the reason.

    ``register``  where the organisation's name must stand; None: whoever calls took it from there
    """
    async with refusals_audited(database, clock, "seal.apply", f"organisation:{order.organisation[:18]}", actor):
        _check_order(order, clock.now())
        check_mover(actor, Move.APPLY, organisation=order.organisation, division=order.division)
        if register is not None:
            require_own_name(order.kind, names_of(order), await register.name_of(order.organisation))
        told = checked(reason, Move.APPLY)
        plate = await asyncio.to_thread(plate_for, subject_of(order), order.look, order.impression)
        async with database.begin() as session:
            now = clock.now()
            earlier = await find_request(session, actor, once)
            if earlier is not None:
                return seal_view(await lock_application(session, earlier))
            await require_no_imitation(session, names_of(order), place.of if place else None)
            row = _application(now, actor, order)
            if place is not None:
                row.predecessor, row.succession = place.of, place.succession
            session.add(row)
            await session.flush()
            if order.impression is not None:
                await keep_impression(session, now, actor, row.id, order.impression, plate)
            await _bought(session, now, row)
            seal = seal_view(row)
            if await claimed_before(session, now, actor, once, seal.id):
                raise SealChangedMeanwhile("the same request at the same time")
            await write_history(session, now, Step(seal, Move.APPLY, None, now, actor, told))
            return seal


async def make_reviewed_seal(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor, seal_id: uuid.UUID, reason: Why | str = "", once: Once | None = None
) -> Seal:
    """Number, draw, key, certify, sign. Raises ``MayNotMoveSeal``, ``MoveNotAllowed`` and what the PKI refuses."""
    async with refusals_audited(database, clock, "seal.make", f"seal:{seal_id}", actor):
        async with database.begin() as session:
            if await find_request(session, actor, once) is not None:
                return seal_view(await lock_application(session, seal_id))
            numbered, plate = await _number(session, actor, seal_id)
        picture = await asyncio.to_thread(engraved, plate)
        async with database.begin() as session:
            row = await lock_application(session, seal_id)
            now = clock.now()
            if await claimed_before(session, now, actor, once, seal_id):
                return seal_view(row)
            made = await change_status(session, now, numbered, Move.MAKE, actor, reason)
            await _write_made(session, keystore, now, actor, made, picture, row)
            return made


def _check_order(order: SealOrder, now: dt.datetime) -> None:
    problems = [
        (order.kind not in set(SealKind), f"kind {order.kind[:20]!r}"),
        (not is_division(order.division), "division"),
        (order.ses_version not in WRITTEN_VERSIONS, "version of the SESeal"),
        (len(order.organisation) != 18, "organisation is no USCC"),
        (not 1 <= len(order.name) <= 100 or not is_legible(order.name), "name"),
        (not is_legible(order.organisation_name + (order.lower_text or "")), "a character that hides or imitates another"),
        (any(map(mixes_scripts, names_of(order).all())), "letters of two alphabets that look alike"),
        (order.valid_from.tzinfo is None or order.valid_to.tzinfo is None, "an instant without a zone"),
    ]
    found = [word for wrong, word in problems if wrong]
    if not found and not (order.valid_from < order.valid_to and now < order.valid_to):
        found = ["the period is empty or over"]
    if found:
        raise SealOrderInvalid("; ".join(found))


def _lower_text(order: SealOrder) -> str:
    return KINDS[SealKind(order.kind)].lower_text if order.lower_text is None else order.lower_text


def names_of(order: SealOrder) -> Names:
    """The words that will be cut or shown. Raises nothing, whatever the kind."""
    look = order.look
    return Names(order.name, order.organisation_name, order.lower_text or "", look.upper, look.middle)


def subject_of(order: SealOrder) -> SealSubject:
    """Whose picture it is that the order asks for."""
    return SealSubject(order.kind, order.organisation, order.organisation_name, _lower_text(order))


def _application(now: dt.datetime, actor: Actor, order: SealOrder) -> SealRow:
    return SealRow(
        id=new_id(),
        name=order.name,
        kind=SealKind(order.kind),
        organisation=order.organisation,
        organisation_name=order.organisation_name,
        division=order.division,
        lower_text=_lower_text(order),
        ses_version=order.ses_version,
        status=target(None, Move.APPLY),
        status_since=now,
        applicant=actor.id,
        valid_from=order.valid_from.replace(microsecond=0),
        valid_to=order.valid_to.replace(microsecond=0),
        document_signer=order.document_signer,
        seal_signer=order.seal_signer,
        maker=order.maker,
        look=order.look.to_json(),
        signer_list=order.signer_list,
    )


async def _number(session: AsyncSession, actor: Actor, seal_id: uuid.UUID) -> tuple[Seal, Plate]:
    """Give the seal its code, or find the one a broken attempt gave it."""
    row = await lock_application(session, seal_id)
    check_mover(actor, Move.MAKE, organisation=row.organisation, division=row.division)
    target(Status(row.status), Move.MAKE)
    if row.code is None:
        row.code = await next_code(session, row.division)
        await session.flush()
    return seal_view(row), await plate_of(session, row)


@dataclass(frozen=True, slots=True)
class _Signing:
    """A key, its certificate and its chain, whoever issued it."""

    key: StoredKey
    certificate: bytes
    chain: tuple[bytes, ...]


_DOCUMENT = (Algorithm.P256, "seal", "document-signer")
_STAMP = (Algorithm.SM2, "seal-sm", "seal-signer-sm")


async def _bought(session: AsyncSession, now: dt.datetime, row: SealRow) -> Mapping[str, _Signing]:
    """What the order names of certificates of others, by profile; raises what :func:`bought_signer` raises."""
    whose, begin = (row.organisation, row.organisation_name), max(now, row.valid_from)
    # GM/T 0031-2025 lets a maker's certificate end before the seal does, GB/T 38540-2020 does not.
    making_end = row.valid_to if row.ses_version < DEFAULT_VERSION else now
    needs = (
        (row.document_signer, Need("document-signer", Algorithm.P256, whose, begin, row.valid_to)),
        (row.seal_signer, Need("seal-signer-sm", Algorithm.SM2, whose, begin, row.valid_to)),
        (row.maker, Need("seal-maker", Algorithm.SM2, None, now, making_end)),
    )
    found = {need.profile: await bought_signer(session, now, name, need) for name, need in needs if name is not None}
    return {profile: _Signing(one.key, one.certificate, one.chain) for profile, one in found.items()}


async def _write_made(
    session: AsyncSession, keystore: KeyStore, now: dt.datetime, actor: Actor, seal: Seal, picture: SealPicture, row: SealRow
) -> None:
    bought = await _bought(session, now, row)
    signer = bought.get("document-signer") or await _certified(session, keystore, now, actor, seal, *_DOCUMENT)
    sm = bought.get("seal-signer-sm") or await _certified(session, keystore, now, actor, seal, *_STAMP)
    for certificate in (signer.certificate, sm.certificate):
        if certificate_ends(certificate).not_after < seal.valid_to:
            raise SealOrderInvalid("the seal would outlive its certificate")
    outside = bought.get("seal-maker")
    maker = Maker(outside.key, outside.certificate) if outside else await ensure_maker(session, keystore, now)
    session.add(
        MadeSealRow(
            seal_id=seal.id,
            seal_der=ses_seal(keystore, now, seal, picture, sm.certificate, maker, row.ses_version, SignerList(row.signer_list)),
            svg=picture.svg,
            png=picture.png,
            pdf_content=picture.pdf_content,
            width_mm=picture.width_mm,
            height_mm=picture.height_mm,
            signer_key_id=signer.key.id,
            signer_certificate=signer.certificate,
            signer_chain=list(signer.chain),
            sm_key_id=sm.key.id,
            sm_certificate=sm.certificate,
            sm_chain=list(sm.chain),
        )
    )
    await session.flush()


async def _certified(
    session: AsyncSession,
    keystore: KeyStore,
    now: dt.datetime,
    actor: Actor,
    seal: Seal,
    algorithm: Algorithm,
    authority: str,
    profile: str,
) -> _Signing:
    """A new key and its certificate, which ends with the seal."""
    key = keystore.generate(algorithm, Purpose.SEALS)
    await store_key(session, key, now)
    subject = Subject(seal.name, seal.organisation_name, seal.organisation, seal.division)
    issued = await issue(
        session,
        keystore,
        now,
        authority=authority,
        profile=profile,
        subject=subject,
        public_key=key.public,
        valid_to=seal.valid_to,
        actor=actor,
    )
    return _Signing(key, issued.certificate, tuple(issued.chain))


def ses_seal(
    keystore: KeyStore,
    now: dt.datetime,
    seal: Seal,
    picture: SealPicture,
    certificate: bytes,
    maker: Maker,
    version: int = DEFAULT_VERSION,
    signer_list: SignerList = SignerList.CERTIFICATES,
) -> bytes:
    """DER(SESeal): the seal's data and picture, its SM2 certificate as the only one that may stamp, signed by the maker."""
    info = build_seal_info(
        SealContent(
            es_id=seal.code,
            name=seal.name,
            certificates=(certificate,),
            created=now,
            valid_from=seal.valid_from,
            valid_to=seal.valid_to,
            picture=picture.png,
            width_mm=round(picture.width_mm),
            height_mm=round(picture.height_mm),
            type=PERSONAL_SEAL if KINDS[seal.kind].personal else ORGANISATION_SEAL,
            signer_list=signer_list,
        ),
        version,
    )
    return assemble_seal(info, maker.certificate, keystore.sign(maker.key, info, Purpose.SEALS))
