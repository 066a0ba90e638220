"""Files in S3 or what speaks it (MinIO, Ceph, OSS …), through obstore.

An upload is one PUT with ``If-None-Match: *`` and the SHA-256 as its checksum: the store answers 200 only when the whole object is
durable and is what was sent, so nothing half-written is ever seen. Credentials come from the settings, or from the instance
(obstore asks its metadata service). Names are those of the folder: ``ab/cd/abcd…`` below the prefix.
"""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from keys.base.blobs import RETIRED, BlobDamaged, BlobGone, Stored, StoreFull, StoreUnreachable, digest_of, parse_name
from keys.base.errors import FujieError

_FULL = ("507 ", "XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "StorageFull")
_NO_BUCKET = "NoSuchBucket"
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where a bucket is. ``endpoint``: empty for AWS itself; ``access_key_id``: empty where the instance has a role.

    ``wait``: seconds for one request, ``retries``: of requests that may be repeated, within ``patience`` seconds in all.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    wait: int = 20
    retries: int = 3
    patience: int = 30


class ObjectBlobStore:
    """Content-addressed storage in a bucket; see :class:`keys.base.blobs.BlobStore`."""

    def __init__(self, address: S3Address) -> None:
        self._store = _open(address)

    async def put(self, data: bytes) -> bytes:
        digest = digest_of(data)
        async with _named_errors():
            try:
                await obstore.put_async(self._store, _key(digest), data, mode="create", use_multipart=False)
            except (AlreadyExistsError, FileExistsError):
                # It is there: written once more it is young again, and whole should it have been damaged. A PUT replaces at once.
                await obstore.put_async(self._store, _key(digest), data, use_multipart=False)
        return digest

    async def get(self, digest: bytes) -> bytes:
        data = await self._read(_key(digest))
        if data is None:
            data = await self._read(_key(digest, retired=True))
        if data is None:
            raise BlobGone(f"{digest.hex()} is gone")
        if digest_of(data) != digest:
            raise BlobDamaged(f"{digest.hex()} has other content")
        return data

    async def stored(self, *, retired: bool = False) -> AsyncIterator[list[Stored]]:
        async with _named_errors():
            async for batch in obstore.list(self._store, f"{RETIRED}/" if retired else None, chunk_size=_AT_ONCE):
                found = [_listed(one["path"], one["size"], one["last_modified"], retired=retired) for one in batch]
                yield [one for one in found if one is not None]

    async def retire(self, digest: bytes) -> None:
        async with _named_errors():
            try:
                await obstore.copy_async(self._store, _key(digest), _key(digest, retired=True), overwrite=True)
            except FileNotFoundError:
                return
            await self._delete(_key(digest))

    async def forget(self, digest: bytes) -> None:
        async with _named_errors():
            await self._delete(_key(digest))
            await self._delete(_key(digest, retired=True))

    async def tidy(self, before: dt.datetime) -> int:
        """An object is there whole or not at all."""
        return 0

    async def _read(self, key: str) -> bytes | None:
        async with _named_errors():
            try:
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
            except FileNotFoundError as missing:
                if _NO_BUCKET in str(missing):
                    raise StoreUnreachable("no such bucket") from missing
                return None

    async def _delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            return


def _open(address: S3Address) -> S3Store:
    credentials = {
        "access_key_id": address.access_key_id,
        "secret_access_key": address.secret_access_key,
        "session_token": address.session_token,
        "endpoint": address.endpoint,
        "region": address.region,
    }
    given = {name: value for name, value in credentials.items() if value}
    return S3Store(
        address.bucket,
        prefix=address.prefix or None,
        checksum_algorithm="sha256",
        disable_bulk_delete=True,  # not every store that speaks S3 has it
        client_options={
            "allow_http": address.endpoint.startswith("http://"),
            "timeout": f"{address.wait}s",
            "connect_timeout": "5s",
        },
        retry_config={"max_retries": address.retries, "retry_timeout": dt.timedelta(seconds=address.patience)},
        **given,  # type: ignore[arg-type]
    )


def _key(digest: bytes, *, retired: bool = False) -> str:
    name = digest.hex()
    return f"{RETIRED + '/' if retired else ''}{name[:2]}/{name[2:4]}/{name}"


def _listed(path: str, size: int, modified: dt.datetime, *, retired: bool) -> Stored | None:
    digest = parse_name(path.rpartition("/")[2])
    if digest is None or path.startswith(f"{RETIRED}/") is not retired:
        return None
    return Stored(digest, size, modified.astimezone(dt.UTC))


@asynccontextmanager
async def _named_errors() -> AsyncIterator[None]:
    """What the store says, by our names. Its own words name the address and the object, never a credential."""
    try:
        yield
    except FujieError:
        raise
    except (BaseError, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise (StoreFull if any(mark in said for mark in _FULL) else StoreUnreachable)(said) from error
