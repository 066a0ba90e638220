"""The time stamp of a certificate: over the SHA-256 of its sealed file, asked for when it is recorded, obtained afterwards.

Whoever has the file and the token proves with any RFC 3161 tool that the file existed then; nothing of it has to be taken apart.
"""

import datetime as dt
import uuid

from certs.library import Library, readable
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.time.queue import enqueue, kept_of


class TimestampNotHeld(NotFound):
    """The certificate was not issued here, or not yet."""

    code = "TIMESTAMP_NOT_HELD"
    public = ("该证照没有时间戳。", "There is no time stamp of this certificate.")


class TimestampPending(NotFound):
    """The certificate waits for its time stamp: it comes within seconds, or once the time-stamping authority is back."""

    code = "TIMESTAMP_PENDING"
    public = ("时间戳尚在生成，请稍后再取。", "The time stamp is still being made. Please ask again shortly.")


async def enqueue_timestamp(session: AsyncSession, now: dt.datetime, certificate_id: uuid.UUID, document_hash: bytes) -> None:
    """A place in the queue, in the transaction that makes the certificate exist."""
    await enqueue(session, now, _subject(certificate_id), document_hash)


async def timestamp_of(library: Library, actor: Actor, certificate_id: uuid.UUID) -> bytes:
    """The TimeStampToken, DER, for whoever may read the certificate.

    Raises ``NotFound``, :class:`TimestampNotHeld`, :class:`TimestampPending` (``retry_after`` in seconds).
    """
    async with library.database.session() as session:
        await readable(session, actor, certificate_id)
        kept = await kept_of(session, _subject(certificate_id))
    if kept is None:
        raise TimestampNotHeld
    if kept.token is None:
        raise TimestampPending(retry_after=5)
    return kept.token


def _subject(certificate_id: uuid.UUID) -> str:
    return f"certificate:{certificate_id}"
