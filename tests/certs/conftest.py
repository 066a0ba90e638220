"""What the tests of certificates stand on."""

from pathlib import Path

import pytest

from certs.blobs import FolderBlobStore
from certs.catalogue import shipped_types
from certs.reads import put_types
from identity.personal_data import PersonalData, open_personal_data
from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.store import KeyStore


@pytest.fixture
async def personal(database: Database, keystore: KeyStore, clock: Clock) -> PersonalData:
    return await open_personal_data(database, keystore, clock)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobStore:
    return FolderBlobStore(tmp_path / "blobs")


@pytest.fixture
async def catalogue(database: Database, clock: Clock) -> None:
    async with database.begin() as session:
        await put_types(session, clock.now(), shipped_types())
