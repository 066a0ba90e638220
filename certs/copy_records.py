"""Annotated copies as others see them, and what each is worth at an instant."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select, update

from certs.copy_models import CopyRow
from certs.lifecycle import Standing
from certs.models import CertificateRow
from certs.reads import holders_of, to_certificate
from certs.records import Certificate
from keys.base.clock import CHINA_STANDARD_TIME
from keys.base.db import AsyncSession

MADE, RESERVED, VOID = "made", "reserved", "void"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy. ``requester``: who may use it, as printed; ``requested_by``: the account or client that asked; ``held``: its file is here.

    ``original_hash``: SHA-256 of the very version of the original that it shows; ``sha256``: of the sealed copy.
    """

    id: uuid.UUID
    certificate_id: uuid.UUID
    verification_code: str
    requester: str
    organisation: str | None
    requested_by: str
    purpose: str
    matter_code: str | None
    original_hash: bytes
    sha256: bytes
    seal_code: str
    made_at: dt.datetime
    expires_at: dt.datetime
    withdrawn_at: dt.datetime | None
    withdrawn_reason: str
    held: bool

    def standing(self, now: dt.datetime, original: Standing) -> Standing:
        """What it is worth: withdrawn or over by itself, else whatever the original is worth today."""
        if self.withdrawn_at is not None and self.withdrawn_at <= now:
            return Standing.CANCELLED
        return Standing.EXPIRED if now >= self.expires_at and original is Standing.IN_FORCE else original

    def story(self, status: Standing, original: Standing) -> tuple[str, str]:
        """What ended it, in Chinese and English, where that was not its original's end; else empty texts."""
        if status is Standing.CANCELLED and self.withdrawn_at is not None:
            at = self.withdrawn_at.astimezone(CHINA_STANDARD_TIME)
            why = self.withdrawn_reason
            return f"本加注件已于 {at:%Y-%m-%d %H:%M} 撤回：{why}", f"This annotated copy was withdrawn on {at:%Y-%m-%d %H:%M}: {why}"
        if status is Standing.EXPIRED and original is Standing.IN_FORCE:
            at = self.expires_at.astimezone(CHINA_STANDARD_TIME)
            zh = f"本加注件已于 {at:%Y-%m-%d %H:%M} 到期；原件仍然有效。"
            return zh, f"This annotated copy ended on {at:%Y-%m-%d %H:%M}; its original is still in force."
        return "", ""

    def to_json(self, original: Standing) -> dict[str, object]:
        """``copy`` of a verification's answer."""
        return {
            "requester": self.requester,
            "purpose": self.purpose,
            "matter_code": self.matter_code,
            "made_at": self.made_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "withdrawn_at": self.withdrawn_at.isoformat() if self.withdrawn_at else None,
            "sha256": self.sha256.hex(),
            "original_sha256": self.original_hash.hex(),
            "original_status": original.value,
        }


def to_copy(row: CopyRow) -> Copy:
    """The view of a row."""
    return Copy(
        row.id, row.certificate_id, row.verification_code, row.requester_name, row.organisation, row.requester_id, row.purpose,
        row.matter_code, row.original_hash, row.sha256 or b"", row.seal_code, row.made_at, row.expires_at, row.withdrawn_at,
        row.withdrawn_reason, row.document_hash is not None,
    )  # fmt: skip


def made() -> Select[CopyRow]:
    """Copies that exist: those reserved or void were never handed out."""
    return select(CopyRow).where(CopyRow.stage == MADE)


async def copy_by_code(session: AsyncSession, code: str) -> Copy | None:
    """The copy with a verification code."""
    row = await session.scalar(made().where(CopyRow.verification_code == code))
    return to_copy(row) if row is not None else None


async def copy_by_digest(session: AsyncSession, sha256: bytes) -> Copy | None:
    """The copy whose sealed file has this SHA-256."""
    row = await session.scalar(made().where(CopyRow.sha256 == sha256).limit(1))
    return to_copy(row) if row is not None else None


async def original_of(session: AsyncSession, copy: Copy) -> Certificate:
    """The certificate it was made of."""
    row = await session.get_one(CertificateRow, copy.certificate_id, populate_existing=True)
    return to_certificate(row, await holders_of(session, [row.id]))


async def copies_of(
    session: AsyncSession, *, certificate_id: uuid.UUID | None = None, organisation: str | None = None, requester: str | None = None,
    after: uuid.UUID | None = None, limit: int = 50,
) -> Sequence[Copy]:  # fmt: skip
    """Copies of a certificate, for an organisation or for an account, newest first."""
    query = made().order_by(CopyRow.id.desc()).limit(limit)
    marks = {CopyRow.certificate_id: certificate_id, CopyRow.organisation: organisation, CopyRow.requester_id: requester}
    for column, value in marks.items():
        if value is not None:
            query = query.where(column == value)
    rows = await session.scalars(query if after is None else query.where(CopyRow.id < after))
    return [to_copy(row) for row in rows]


async def drop_files_of(session: AsyncSession, certificate_id: uuid.UUID) -> list[bytes]:
    """The certificate is disposed of: its copies keep neither file nor purpose. The hashes of the files nobody names any more."""
    wanted = select(CopyRow.document_hash).where(CopyRow.certificate_id == certificate_id, CopyRow.document_hash.is_not(None))
    files = [one for one in await session.scalars(wanted) if one is not None]
    erased = {"document_hash": None, "purpose": "", "requester_name": ""}
    await session.execute(update(CopyRow).where(CopyRow.certificate_id == certificate_id).values(**erased))
    return files


async def drop_old_files(session: AsyncSession, before: dt.datetime) -> int:
    """Files of copies that ended before: the library keeps them no longer, and still knows each by its SHA-256. How many."""
    old = update(CopyRow).where(CopyRow.document_hash.is_not(None), CopyRow.expires_at < before)
    return len((await session.scalars(old.values(document_hash=None).returning(CopyRow.id))).all())
