"""The house, put together once: every part built from the settings, handed to whoever needs it."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from api.embedded import Addresses, HomeInUse, embedded_servers, locked_home
from api.migrations import upgrade
from api.settings import Settings
from api.trusted_time import TrustedTime, trusted_time, watched
from api.workers import ProcessWorkers
from certs.archiving import read_choice
from certs.catalogue import shipped_types
from certs.issuance import Issuing
from certs.reads import add_missing_types
from identity.personal_data import PersonalData, following, open_personal_data
from keys.base.blobs import BlobStore, FolderBlobStore
from keys.base.clock import Clock, SystemClock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.base.object_store import ObjectBlobStore
from keys.custody.errors import KeyStoreMisconfigured
from keys.custody.pkcs11 import Pkcs11KeyStore
from keys.custody.reads import require_own_keys
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import KeyStore
from keys.evidence.log import establish_log
from keys.evidence.notes import VerifierKey
from keys.evidence.witness import establish_witness
from keys.installation import keep_suite
from keys.pki.ocsp import OcspService
from keys.rotation import ensure_signing_keys
from keys.schedule import Schedule
from keys.suites import SUITES, Suite
from keys.time.guard import ClockGuard
from keys.time.source import TimestampSource
from seal.levels_obtaining import Obtaining
from seal.upgrades import Upgrading

WORK = ("certs.rendering", "certs.pictures", "seal.stamping", "seal.document_stamping", "seal.hash_stamping")
"""What the worker processes do: loaded when they start."""


@dataclass(frozen=True, slots=True)
class House:
    """What every journey may be given (``request.app.state.house``)."""

    settings: Settings
    database: Database
    redis: Redis
    keystore: KeyStore
    clock: Clock
    workers: ProcessWorkers
    personal: PersonalData
    blobs: BlobStore
    issuing: Issuing
    log_key: VerifierKey
    base_url: str
    time: TrustedTime

    @property
    def guard(self) -> ClockGuard:
        """The clock of whatever is signed: it tells no time that it does not trust."""
        return self.time.guard

    @property
    def timestamps(self) -> TimestampSource:
        """Our own authority, or the one of ``FUJIE_TSA_URL``."""
        return self.time.source

    @property
    def upgrading(self) -> Upgrading:
        """Keeping sealed files provable, by the clock that tells no time it does not trust."""
        ocsp = OcspService(self.database, self.keystore, self.guard)
        obtaining = Obtaining(self.database, self.keystore, self.guard, self.workers, self.timestamps, ocsp)
        return Upgrading(self.database, self.guard, self.blobs, obtaining, self.settings.renewal)

    @property
    def rotation(self) -> Schedule:
        """When token keys change."""
        return self.settings.rotation

    @property
    def suite(self) -> Suite:
        """The family of algorithms, which the home keeps."""
        return SUITES[self.settings.crypto]


def _addresses_file(home: Path) -> Path:
    return home / "run" / "addresses.json"


def _running_addresses(home: Path) -> Addresses:
    """Where the instance that holds ``home`` keeps its servers; readable by the folder's owner only."""
    try:
        return Addresses(**json.loads(_addresses_file(home).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise HomeInUse("another instance is starting or stopping") from error


@contextlib.contextmanager
def own_servers(settings: Settings) -> Iterator[Addresses]:
    """Lock the home and start what the settings do not name; raises HomeInUse."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked_home(settings.home))
        started = stack.enter_context(embedded_servers(settings.home, database=not settings.database_url, redis=not settings.redis_url))
        addresses = Addresses(settings.database_url or started.database_url, settings.redis_url or started.redis_url)
        file = _addresses_file(settings.home)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            json.dump({"database_url": addresses.database_url, "redis_url": addresses.redis_url}, handle)
        stack.callback(file.unlink, missing_ok=True)
        yield addresses


@contextlib.contextmanager
def shared_servers(settings: Settings) -> Iterator[Addresses]:
    """For commands: the servers of the running instance if there is one, else our own for a while."""
    if settings.database_url and settings.redis_url:
        yield Addresses(settings.database_url, settings.redis_url)
        return
    try:
        with own_servers(settings) as addresses:
            yield addresses
    except HomeInUse:
        yield _running_addresses(settings.home)


class NothingRuns(FujieError):
    """No servers are named and no instance of this home runs whose servers could be used."""

    code = "NOTHING_RUNS"
    status = 409
    public = (
        "没有可用的数据库：请先启动 fujie serve，或设置 FUJIE_DATABASE_URL 和 FUJIE_REDIS_URL。",
        "There is no database: start fujie serve first, or set FUJIE_DATABASE_URL and FUJIE_REDIS_URL.",
    )


def existing_servers(settings: Settings) -> Addresses:
    """The servers that the settings name, else those of the running instance; starts none, so that it never stands in a server's way.

    Raises :class:`NothingRuns`.
    """
    if settings.database_url and settings.redis_url:
        return Addresses(settings.database_url, settings.redis_url)
    try:
        return _running_addresses(settings.home)
    except HomeInUse as error:
        raise NothingRuns(str(settings.home)) from error


def open_keystore(settings: Settings) -> KeyStore:
    """The key store the settings name: a PKCS #11 token, or software, whose key-encryption key is made on first use.

    Nothing falls back from the one to the other. Raises the errors of :mod:`keys.custody.errors`.
    """
    if settings.pkcs11_module is not None:
        return open_token(settings, settings.pkcs11_module)
    if settings.pkcs11_token or settings.pin_files:
        raise KeyStoreMisconfigured("FUJIE_PKCS11_TOKEN or a PIN is given without FUJIE_PKCS11_MODULE")
    file = settings.key_file
    if settings.given_key_file is not None:
        return _given(settings.given_key_file, file)
    if file.exists():
        return SoftwareKeyStore(file)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return SoftwareKeyStore.create(file)


def open_blobs(settings: Settings) -> BlobStore:
    """Where files are kept: the bucket or the folder of ``FUJIE_BLOB_URL``."""
    address = settings.s3_address
    return ObjectBlobStore(address) if address else FolderBlobStore(settings.blob_folder)


def open_token(settings: Settings, module: Path) -> Pkcs11KeyStore:
    """The token named by the settings, asked at once whether it answers."""
    if not settings.pkcs11_token:
        raise KeyStoreMisconfigured("FUJIE_PKCS11_MODULE needs FUJIE_PKCS11_TOKEN, the token's label")
    if len(settings.pin_files) != 1:
        raise KeyStoreMisconfigured("give the token's PIN in exactly one of FUJIE_PKCS11_PIN_FILE (mode 0600) and FUJIE_PKCS11_PIN")
    return Pkcs11KeyStore.open(module, settings.pkcs11_token, settings.pin_files[0])


def _given(given: Path, file: Path) -> SoftwareKeyStore:
    """The key from the environment; a home that has another one of its own would be unreadable."""
    store = SoftwareKeyStore(given)
    if file.exists() and not store.same_key(SoftwareKeyStore(file)):
        raise KeyStoreMisconfigured(f"FUJIE_KEY_ENCRYPTION_KEY is not the key of {file}: this home was made with that one")
    return store


@contextlib.asynccontextmanager
async def open_house(settings: Settings, addresses: Addresses) -> AsyncIterator[House]:
    """Migrate, make what must exist once, and put the parts together."""
    await upgrade(addresses.database_url)
    clock = SystemClock()
    keystore = open_keystore(settings)
    database = Database(addresses.database_url)
    redis: Redis = Redis.from_url(addresses.redis_url)
    workers = ProcessWorkers(settings.cpu_workers or max(1, (os.cpu_count() or 1) // settings.workers), WORK)
    try:
        async with database.session() as session:
            await require_own_keys(session, keystore)
        suite = await keep_suite(database, clock, settings.crypto)
        personal = await open_personal_data(database, keystore, clock, suite)
        await ensure_signing_keys(database, keystore, clock)
        log_key = await establish_log(database, keystore, clock, settings.issuer.partition("://")[2] + "/log", suite.log)
        await establish_witness(database, keystore, clock, settings.issuer.partition("://")[2] + "/witness", suite.log)
        async with database.begin() as session:
            await add_missing_types(session, clock.now(), shipped_types())
        blobs = open_blobs(settings)
        time = trusted_time(settings, database, keystore, clock)
        issuing = Issuing(
            database=database,
            keystore=keystore,
            clock=clock,
            workers=workers,
            blobs=blobs,
            personal=personal,
            base_url=settings.issuer,
            gate=time.issuing,
            archived=read_choice(settings.archive),
        )
        async with watched(time, settings, database), following(personal, database, clock):
            yield House(settings, database, redis, keystore, clock, workers, personal, blobs, issuing, log_key, settings.issuer, time)
    finally:
        workers.close()
        await redis.aclose()
        await database.close()
