import hashlib
from pathlib import Path

import pytest

from keys.base.blobs import BlobDamaged, FolderBlobStore, StoreFull


async def test_a_file_is_found_by_its_hash_and_stored_once(blobs: FolderBlobStore) -> None:
    digest = await blobs.put(b"%PDF-1.7 one")
    assert digest == hashlib.sha256(b"%PDF-1.7 one").digest()
    assert await blobs.put(b"%PDF-1.7 one") == digest
    assert await blobs.get(digest) == b"%PDF-1.7 one"
    path = blobs.path(digest)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [digest.hex()]


async def test_a_changed_or_lost_file_is_never_served(blobs: FolderBlobStore) -> None:
    digest = await blobs.put(b"the document")
    blobs.path(digest).write_bytes(b"the forgery!")
    with pytest.raises(BlobDamaged):
        await blobs.get(digest)
    assert await blobs.put(b"the document") == digest
    assert await blobs.get(digest) == b"the document"
    blobs.path(digest).unlink()
    with pytest.raises(BlobDamaged):
        await blobs.get(digest)


async def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderBlobStore(tmp_path / "blobs")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keys.base.blobs.os.fsync", full)
    with pytest.raises(StoreFull, match="No space"):
        await store.put(b"data")
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
