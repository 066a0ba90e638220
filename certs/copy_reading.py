"""Reading, handing out and withdrawing annotated copies.

Whoever asked for a copy and their organisation's clients and staff see it, and whoever may read its original: the issuer and the holder see
every copy made. What has ended is listed and no longer handed out. A temporary address is good for minutes and one download: its secret
stands in the address only, the database knows its digest.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from certs.access import STAFF, may_change
from certs.copy_models import CopyRow, DownloadRow
from certs.copy_records import Copy, copies_of, drop_old_files, made, original_of, to_copy
from certs.library import Library, access_row, readable
from certs.lifecycle import Standing
from certs.standing import check_reason
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import FujieError, NotFound
from keys.base.ids import fingerprint, new_secret
from keys.evidence import audit
from keys.evidence.audit import Event

ADDRESS_LIFETIME = dt.timedelta(minutes=10)
KEPT_AFTER = dt.timedelta(days=30)
"""How long a copy's file is kept once it ended."""
ON_A_PAGE = 50


class CopyEnded(FujieError):
    """The copy is no longer worth anything: it expired, was withdrawn, or its original is not in force."""

    code = "COPY_ENDED"
    status = 410
    public = ("该加注件已失效，不再提供下载。", "This annotated copy has ended and is no longer handed out.")


class DownloadUnknown(NotFound):
    """The temporary address was used, has expired, or never was."""

    code = "DOWNLOAD_UNKNOWN"
    public = ("下载地址无效、已使用或已过期。", "The download address is not known, was used or has expired.")


@dataclass(frozen=True, slots=True)
class Seen:
    """A copy with what it and its original are worth now."""

    copy: Copy
    status: Standing
    original: Standing


def of_the_requester(copy: Copy, actor: Actor) -> bool:
    """Whoever asked for it, and those who act for the same organisation. Pure."""
    if actor.id == copy.requested_by or actor.kind is ActorKind.SYSTEM:
        return True
    acts = actor.kind is ActorKind.CLIENT or bool(actor.roles & STAFF)
    return acts and copy.organisation is not None and actor.organisation == copy.organisation


async def read_copy(library: Library, actor: Actor, copy_id: uuid.UUID) -> Seen:
    """One copy. Raises ``NotFound`` for whoever may not see it."""
    async with library.database.session() as session:
        return await _seen(session, library.clock.now(), await _visible(session, actor, copy_id))


async def _visible(session: AsyncSession, actor: Actor, copy_id: uuid.UUID) -> Copy:
    row = await session.scalar(made().where(CopyRow.id == copy_id))
    if row is None:
        raise NotFound("copy")
    copy = to_copy(row)
    if not of_the_requester(copy, actor):
        await readable(session, actor, copy.certificate_id)
    return copy


async def _seen(session: AsyncSession, now: dt.datetime, copy: Copy) -> Seen:
    original = (await original_of(session, copy)).standing(civil_date(now))
    return Seen(copy, copy.standing(now, original), original)


async def list_copies(
    library: Library, actor: Actor, *, certificate_id: uuid.UUID | None = None, after: uuid.UUID | None = None, limit: int = ON_A_PAGE
) -> tuple[tuple[Seen, ...], uuid.UUID | None]:
    """Newest first, and the last id where there are more: all of a certificate's, or those of the asker's organisation, else their own."""
    now = library.clock.now()
    async with library.database.session() as session:
        if certificate_id is not None:
            await readable(session, actor, certificate_id)
            found = await copies_of(session, certificate_id=certificate_id, after=after, limit=limit + 1)
        elif actor.organisation and (actor.kind is ActorKind.CLIENT or actor.roles & STAFF):
            found = await copies_of(session, organisation=actor.organisation, after=after, limit=limit + 1)
        else:
            found = await copies_of(session, requester=actor.id, after=after, limit=limit + 1)
        seen = tuple([await _seen(session, now, one) for one in found[:limit]])
    return seen, seen[-1].copy.id if len(found) > limit else None


async def file_of_copy(library: Library, actor: Actor, copy_id: uuid.UUID) -> bytes:
    """The sealed file; the fetch is recorded under the copy's own purpose before it is handed out.

    Raises ``NotFound``, :class:`CopyEnded`.
    """
    async with library.database.begin() as session:
        copy = await _visible(session, actor, copy_id)
        digest = await _in_force(session, library.clock.now(), copy)
        await _record_fetch(session, library, actor, copy)
    return await library.blobs.get(digest)


async def _in_force(session: AsyncSession, now: dt.datetime, copy: Copy) -> bytes:
    seen = await _seen(session, now, copy)
    if seen.status is not Standing.IN_FORCE or not copy.held:
        raise CopyEnded(str(copy.id))
    return copy.sha256


async def _record_fetch(session: AsyncSession, library: Library, actor: Actor, copy: Copy) -> None:
    now = library.clock.now()
    session.add(access_row(library, actor, "copy", copy.purpose, copy.certificate_id))
    details: dict[str, audit.JSON] = {"copy": str(copy.id), "document": copy.sha256.hex()}
    await audit.record(session, now, Event("certs.copy.fetch", f"certificate:{copy.certificate_id}", audit.Outcome.DONE, actor, details))


async def withdraw_copy(library: Library, actor: Actor, copy_id: uuid.UUID, reason: str) -> Seen:
    """End a copy now: its requester, its holder, or an approver of the issuer. Withdrawn once, it stays so.

    Raises ``NotFound`` and what ``check_reason`` raises.
    """
    now, why = library.clock.now(), check_reason(reason)
    async with library.database.begin() as session:
        copy = await _visible(session, actor, copy_id)
        certificate = await original_of(session, copy)
        if not of_the_requester(copy, actor) and actor.kind is ActorKind.CLIENT and not may_change(certificate, actor):
            raise NotFound("copy")
        mine = update(CopyRow).where(CopyRow.id == copy_id, CopyRow.withdrawn_at.is_(None)).values(withdrawn_at=now, withdrawn_reason=why)
        if await session.scalar(mine.returning(CopyRow.id)) is not None:
            details: dict[str, audit.JSON] = {"copy": str(copy_id)}
            subject = f"certificate:{copy.certificate_id}"
            await audit.record(session, now, Event("certs.copy.withdraw", subject, audit.Outcome.DONE, actor, details))
        row = await session.get_one(CopyRow, copy_id, populate_existing=True)
        return await _seen(session, now, to_copy(row))


async def temporary_address(library: Library, actor: Actor, copy_id: uuid.UUID) -> tuple[str, dt.datetime]:
    """The secret of an address that gives the file once, and until when. Raises ``NotFound``, :class:`CopyEnded`."""
    now, secret = library.clock.now(), new_secret()
    async with library.database.begin() as session:
        copy = await _visible(session, actor, copy_id)
        await _in_force(session, now, copy)
        session.add(DownloadRow(token=fingerprint(secret), copy_id=copy.id, made_at=now, expires_at=now + ADDRESS_LIFETIME))
        details: dict[str, audit.JSON] = {"copy": str(copy.id)}
        subject = f"certificate:{copy.certificate_id}"
        await audit.record(session, now, Event("certs.copy.address", subject, audit.Outcome.DONE, actor, details))
    return secret, now + ADDRESS_LIFETIME


async def redeem(library: Library, actor: Actor, secret: str) -> tuple[Copy, bytes]:
    """The file behind a temporary address, used up by this. Raises :class:`DownloadUnknown`, :class:`CopyEnded`."""
    now = library.clock.now()
    async with library.database.begin() as session:
        unused = update(DownloadRow).where(DownloadRow.token == fingerprint(secret), DownloadRow.used_at.is_(None))
        copy_id = await session.scalar(unused.where(DownloadRow.expires_at > now).values(used_at=now).returning(DownloadRow.copy_id))
        row = await session.scalar(select(CopyRow).where(CopyRow.id == copy_id)) if copy_id else None
        if row is None:
            raise DownloadUnknown
        copy = to_copy(row)
        digest = await _in_force(session, now, copy)
        await _record_fetch(session, library, actor, copy)
    return copy, await library.blobs.get(digest)


async def tidy_copies(library: Library) -> int:
    """In the background: files of copies that ended long ago, and addresses that are past use. How many files."""
    now = library.clock.now()
    async with library.database.begin() as session:
        await session.execute(delete(DownloadRow).where(DownloadRow.expires_at < now - KEPT_AFTER))
        return await drop_old_files(session, now - KEPT_AFTER)
