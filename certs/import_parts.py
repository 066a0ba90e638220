"""An uploaded import file, kept in parts until it was read: each encrypted under a key of its own import, which stands sealed in its row.

A file of stock holds the numbers of everybody in it. It is never on a disk in the plain, goes with the import that read it, and what an
interrupted upload left behind is a file nobody can open, which ``certs.orphans`` removes.
"""

import asyncio
import base64
import hashlib
import io
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from certs.ingestion_files import rows_of
from identity.personal_data import PersonalData
from keys.base.blobs import BlobStore
from keys.base.errors import FujieError
from keys.custody import algorithms, wrapping

PART = 4 << 20
MOST_OCTETS = 8 << 30


class ImportTooLarge(FujieError):
    """More than :data:`MOST_OCTETS`."""

    code = "IMPORT_TOO_LARGE"
    status = 413
    public = ("导入文件过大，最大 8 GB；请拆分后导入。", "The import file is too large; 8 GB is the limit. Please split it.")


class ImportEmpty(FujieError):
    """Nothing was sent."""

    code = "IMPORT_EMPTY"
    status = 400
    public = ("未收到导入文件。", "No file to import was received.")


class ImportPartDamaged(FujieError):
    """A part does not open under the import's key."""

    code = "IMPORT_PART_DAMAGED"
    status = 500
    public = ("导入文件已损坏，请重新上传。", "The uploaded file is damaged. Please send it again.")


@dataclass(slots=True)
class Received:
    """What was uploaded: hash of the whole, its parts, the key they are under."""

    key: bytes
    digest: bytes = b""
    octets: int = 0
    parts: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Box:
    """Opens and closes parts of one import, with the algorithm that seals personal data here."""

    personal: PersonalData
    key: bytes

    def close(self, number: int, data: bytes) -> bytes:
        return wrapping.seal(self._cipher(), data, self._context(number))

    def open(self, number: int, sealed: bytes) -> bytes:
        """Raises :class:`ImportPartDamaged`."""
        data = wrapping.unseal(self._cipher(), sealed, self._context(number))
        if data is None:
            raise ImportPartDamaged(f"part {number}")
        return data

    def _cipher(self) -> algorithms.Aead:
        return algorithms.CIPHERS[self.personal.data_key.algorithm].load(self.key)

    def _context(self, number: int) -> bytes:
        return f"certs.import.part:{number}".encode()


def fresh_key(personal: PersonalData) -> bytes:
    """A key for one import."""
    return secrets.token_bytes(algorithms.CIPHERS[personal.data_key.algorithm].octets)


def key_context(import_id: uuid.UUID) -> str:
    """What the sealed key is bound to."""
    return f"certs.import:{import_id}"


def seal_key(personal: PersonalData, import_id: uuid.UUID, key: bytes) -> bytes:
    return personal.seal(base64.b64encode(key).decode(), key_context(import_id))


def open_key(personal: PersonalData, import_id: uuid.UUID, sealed: bytes) -> bytes:
    return base64.b64decode(personal.open(sealed, key_context(import_id)))


async def receive(blobs: BlobStore, personal: PersonalData, chunks: AsyncIterator[bytes], encoding: str) -> Received:
    """Store what is sent. Raises :class:`ImportTooLarge`, :class:`ImportEmpty`; ``ImportUnreadable`` as soon as the first part tells."""
    received, whole, held = Received(fresh_key(personal)), hashlib.sha256(), bytearray()
    async for chunk in chunks:
        whole.update(chunk)
        held += chunk
        while len(held) >= PART:
            await _keep(blobs, personal, received, bytes(held[:PART]), encoding)
            del held[:PART]
    if held or not received.parts:
        await _keep(blobs, personal, received, bytes(held), encoding)
    received.digest = whole.digest()
    return received


async def _keep(blobs: BlobStore, personal: PersonalData, received: Received, data: bytes, encoding: str) -> None:
    number = len(received.parts)
    if not data:
        raise ImportEmpty
    if number == 0:
        await asyncio.to_thread(lambda: next(rows_of(io.BytesIO(data), encoding), None))
    if received.octets + len(data) > MOST_OCTETS:
        raise ImportTooLarge
    digest = await blobs.put(await asyncio.to_thread(Box(personal, received.key).close, number, data))
    received.parts.append((len(data), digest))
    received.octets += len(data)


class PartStream(io.RawIOBase):
    """The parts as one stream, read in a thread; each is asked for on the event loop ``loop`` when it is needed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, blobs: BlobStore, box: Box, digests: list[bytes]) -> None:
        super().__init__()
        self._loop, self._blobs, self._box, self._digests = loop, blobs, box, digests
        self._next, self._held, self._at = 0, b"", 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while self._at >= len(self._held):
            if self._next >= len(self._digests):
                return b""
            sealed = asyncio.run_coroutine_threadsafe(self._blobs.get(self._digests[self._next]), self._loop).result()
            self._held, self._at = self._box.open(self._next, sealed), 0
            self._next += 1
        end = len(self._held) if size < 0 else self._at + size
        data, self._at = self._held[self._at : end], end
        return data
