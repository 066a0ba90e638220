"""Files in S3: a real server on loopback (moto), the same promises as the folder's."""

import asyncio
import base64
import datetime as dt
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import boto3
import pytest

from keys.base.blobs import BlobDamaged, BlobGone, BlobStore, FolderBlobStore, StoreFull, StoreUnreachable
from keys.base.object_store import ObjectBlobStore, S3Address

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "secret", "region_name": "cn-north-1"}


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3_address: S3Address) -> BlobStore:
    if request.param == "folder":
        return FolderBlobStore(tmp_path / "blobs")
    return ObjectBlobStore(s3_address)


async def listed(store: BlobStore, *, retired: bool = False) -> set[bytes]:
    return {one.digest async for batch in store.stored(retired=retired) for one in batch}


async def test_a_file_is_found_by_its_hash_and_storing_it_twice_is_storing_it_once(store: BlobStore) -> None:
    first, second = await asyncio.gather(store.put(b"one"), store.put(b"one"))
    assert first == second == hashlib.sha256(b"one").digest()
    assert await store.get(first) == b"one"
    assert await listed(store) == {first}
    assert [one.size async for batch in store.stored() for one in batch] == [3]


async def test_what_is_not_there_is_gone(store: BlobStore) -> None:
    with pytest.raises(BlobGone) as refused:
        await store.get(bytes(32))
    assert refused.value.code == "DOCUMENT_GONE"
    await store.retire(bytes(32))
    await store.forget(bytes(32))


async def test_a_retired_file_is_found_and_comes_back_when_it_is_stored_again(store: BlobStore) -> None:
    digest = await store.put(b"nobody's")
    await store.retire(digest)
    assert await listed(store) == set()
    assert await listed(store, retired=True) == {digest}
    assert await store.get(digest) == b"nobody's"
    await store.put(b"nobody's")
    assert await listed(store) == {digest}
    await store.forget(digest)
    with pytest.raises(BlobGone):
        await store.get(digest)
    assert await listed(store, retired=True) == set()


async def test_a_damaged_object_is_not_handed_out_and_is_mended_by_storing_it_again(s3_address: S3Address) -> None:
    store = ObjectBlobStore(s3_address)
    digest = await store.put(b"whole")
    name = digest.hex()
    key = f"fujie/{name[:2]}/{name[2:4]}/{name}"
    client = boto3.client("s3", endpoint_url=s3_address.endpoint, **KEYS)
    client.put_object(Bucket=s3_address.bucket, Key=key, Body=b"broken")
    with pytest.raises(BlobDamaged) as refused:
        await store.get(digest)
    assert refused.value.code == "DOCUMENT_DAMAGED"
    await store.put(b"whole")
    assert await store.get(digest) == b"whole"


async def test_half_written_files_are_tidied_up_after_a_while(tmp_path: Path) -> None:
    store = FolderBlobStore(tmp_path)
    digest = await store.put(b"whole")
    part = store.path(digest).with_name(f".{digest.hex()}.0011223344556677")
    part.write_bytes(b"who")
    written = dt.datetime.fromtimestamp(part.stat().st_mtime, dt.UTC)
    assert await store.tidy(written - dt.timedelta(hours=1)) == 0
    assert await store.tidy(written + dt.timedelta(hours=1)) == 1
    assert not part.exists()
    assert await store.get(digest) == b"whole"


async def test_a_store_that_does_not_answer_is_named() -> None:
    with socket.socket() as held:  # bound and not listening: whoever connects is refused
        held.bind(("127.0.0.1", 0))
        address = S3Address("b", "", f"http://127.0.0.1:{held.getsockname()[1]}", "x", "k", "top-secret", wait=2, retries=1, patience=2)
        store = ObjectBlobStore(address)
        for journey in (store.put(b"x"), store.get(bytes(32)), store.forget(bytes(32))):
            with pytest.raises(StoreUnreachable) as refused:
                await journey
            assert (refused.value.code, refused.value.status) == ("STORE_UNREACHABLE", 503)
            assert "top-secret" not in refused.value.detail
    assert "top-secret" not in repr(address)


async def test_a_missing_bucket_is_no_lost_file(s3_endpoint: str) -> None:
    store = ObjectBlobStore(S3Address("nowhere", "", s3_endpoint, "x", "k", "s", retries=0, patience=2))
    with pytest.raises(StoreUnreachable):
        await store.get(bytes(32))


class Full(BaseHTTPRequestHandler):
    """Says what MinIO says when its disks are full."""

    seen: ClassVar[list[dict[str, str]]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = b"<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free space.</Message></Error>"
        self.send_response(507)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


async def test_a_full_store_is_named() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Full)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = S3Address("b", "", f"http://127.0.0.1:{server.server_port}", "x", "k", "s", wait=2, retries=0, patience=2)
        with pytest.raises(StoreFull) as refused:
            await ObjectBlobStore(address).put(b"x")
        assert (refused.value.code, refused.value.status) == ("STORE_FULL", 507)
        sent = Full.seen[-1]
        assert sent["if-none-match"] == "*"
        assert base64.b64decode(sent["x-amz-checksum-sha256"]) == hashlib.sha256(b"x").digest()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderBlobStore(tmp_path)

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keys.base.blobs._write_durably", full)
    with pytest.raises(StoreFull):
        await store.put(b"too much")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnreachable):
        await FolderBlobStore(tmp_path / "file" / "below").put(b"x")
