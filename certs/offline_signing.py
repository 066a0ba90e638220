"""At issuing: a place in a status list for every certificate, and the offline code of those whose type says so.

Both are made once, in the transaction that reserves the certificate, and kept: however often it is printed, the code is the same.
"""

import secrets
import uuid

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from certs.catalogue import CertificateType, Mask
from certs.code_keys import signing_key
from certs.code_models import ORDINALS, StatusEntryRow
from certs.offline_code import FULL_NAME, CodeHolder, OfflineCode, OfflineCodeTooLong, StatusReference, encode_offline
from certs.privacy import hide_numbers, mask_fields
from certs.records import Certificate, Holder
from certs.token_status import ENTRIES
from identity.numbers import mask_holder
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.ids import CROCKFORD
from keys.custody.store import KeyStore, Purpose

FILL = ENTRIES * 4 // 5
"""So many of a list's places are given before the next list begins: a random place is then free after few tries."""
_COMMON = frozenset({"ZZMC", "ZZBH", "ZZBS", "ZZBFJG", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "CZZT", "CZZTDM", FULL_NAME})


async def give_place(session: AsyncSession, keystore: KeyStore, certificate: Certificate, kind: CertificateType | None) -> str | None:
    """A place in a list, and the text of the offline code where the type has one. The certificate's row exists already.

    ``kind`` is None for a scan of a type that is not in the catalogue.

    A code too long to print is left out: the certificate still has its address code.
    """
    place = await _allot(session, certificate)
    if kind is None or not kind.offline_fields:
        return None
    key = await signing_key(session, keystore, certificate.created_at)
    code = offline_code(certificate, kind, place)
    try:
        text = encode_offline(code, key.algorithm, key.kid, lambda message: keystore.sign(key.key, message, Purpose.CODES))
    except OfflineCodeTooLong:
        return None
    row = await session.get_one(StatusEntryRow, certificate.id)
    row.offline_text = text
    await session.flush([row])
    return text


async def has_place(session: AsyncSession, certificate_id: uuid.UUID) -> bool:
    """Whether it was given one already."""
    return await session.scalar(select(StatusEntryRow.index).where(StatusEntryRow.certificate_id == certificate_id)) is not None


async def offline_text(session: AsyncSession, certificate: Certificate) -> str | None:
    """The text that was signed when the certificate was reserved; None where it has none."""
    statement = select(StatusEntryRow.offline_text).where(StatusEntryRow.certificate_id == certificate.id)
    return (await session.execute(statement)).scalar_one_or_none()


async def _allot(session: AsyncSession, certificate: Certificate) -> StatusReference:
    """A random free place of the list that is being filled: neighbours in it have nothing to do with each other."""
    ordinal = select(ORDINALS.next_value()).scalar_subquery()
    while True:
        index = secrets.randbelow(ENTRIES)
        statement = (
            insert(StatusEntryRow)
            .values(certificate_id=certificate.id, list=cast(func.div(ordinal - 1, FILL), Integer) + 1, index=index)
            .on_conflict_do_nothing(index_elements=["list", "index"])
            .returning(StatusEntryRow.list)
        )
        given = (await session.execute(statement)).scalar_one_or_none()
        if given is not None:
            return StatusReference(given, index)


def offline_code(certificate: Certificate, kind: CertificateType, place: StatusReference) -> OfflineCode:
    """What the code of this certificate says. Pure."""
    full = FULL_NAME in kind.offline_fields
    return OfflineCode(
        identifier=certificate.identifier,
        name=certificate.type_name,
        number=hide_numbers(certificate.number),
        issuer=certificate.issuer_name,
        issued_on=certificate.issued_on or civil_date(certificate.created_at),
        valid_from=certificate.valid_from,
        valid_to=certificate.valid_to,
        holders=tuple(_holder(one, full=full) for one in certificate.holders),
        status=place,
        verification_code=certificate.verification_code or CROCKFORD[0] * 16,
        fields=_added(certificate, kind),
    )


def _holder(holder: Holder, *, full: bool) -> CodeHolder:
    name = holder.name if full else mask_holder(holder.code_type, holder.name)
    return CodeHolder(name, holder.code or holder.code_masked)


def _added(certificate: Certificate, kind: CertificateType) -> tuple[tuple[str, str], ...]:
    """The type's own fields that its code tells, in that order, masked as a stranger sees them; one that is hidden is left out."""
    shown = mask_fields(certificate.fields, kind)
    names = {one.short: one.name for one in kind.fields if one.mask is not Mask.HIDDEN}
    wanted = [names[short] for short in kind.offline_fields if short not in _COMMON and short in names]
    return tuple((name, hide_numbers(shown[name])) for name in wanted if name in shown)
