"""Backup and restore of an instance: the database, the documents' files and a manifest of their digests.

The key-encryption key is never in a backup: whoever has both has everything. It is kept apart, in shares
(``fujie keys shares``) or in the token.

:func:`back_up`
  1. the target does not exist yet; everything is written to a folder beside it that is renamed at the end
  2. *dump*      the database in one snapshot (``pg_dump``)
  3. *copy*      the files, after the database: a file without a record is harmless, a record without its file is not
  4. *describe*  the manifest: digests, counts, the log's newest checkpoint

:func:`restore`
  1. *check*     every file of the backup against the manifest, before anything is touched
  2. *refuse*    a database that holds anything of ours, a folder that holds files of others
  3. *copy*      the files
  4. *load*      the database, last and in one transaction: whoever is killed before gives the same command again
"""

import asyncio
import datetime as dt
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from api.embedded import postgres_program
from keys.base.blobs import BlobStore
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound

FORMAT = 1
_DUMP, _BLOBS, _MANIFEST = "database.dump", "blobs", "manifest.json"
_PIECE = 1024 * 1024
_SCHEMAS = ("keys", "identity", "seal", "certs")


class BackupFailed(FujieError):
    """PostgreSQL's tool ended with an error; ``detail`` is its last words."""

    code = "BACKUP_FAILED"
    public = ("备份或恢复未完成。", "The backup or restore did not complete.")


class NothingToBackUp(NotFound):
    """The database holds no table of ours: this home was never started."""

    code = "NOTHING_TO_BACK_UP"
    public = ("这里还没有可备份的数据。", "There is nothing here to back up yet.")


class BackupExists(Conflict):
    """The folder named for the backup is already there."""

    code = "BACKUP_EXISTS"
    public = ("备份目录已存在。", "The backup folder already exists.")


class BackupDamaged(InvalidInput):
    """The folder is no backup, or a file in it is missing or has other content than the manifest says."""

    code = "BACKUP_DAMAGED"
    public = ("备份不完整或已损坏，未作任何恢复。", "The backup is incomplete or damaged; nothing was restored.")


class RestoreWouldOverwrite(Conflict):
    """The database already holds something, or the folder of files some that are not in the backup."""

    code = "RESTORE_WOULD_OVERWRITE"
    public = ("目标中已有数据，未作任何恢复。", "There is data where the backup would go; nothing was restored.")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. ``database`` is the SHA-256 of the dump; ``files`` how many documents, ``octets`` their size in all.

    ``files_digest`` is the SHA-256 of their sorted names, which are their own SHA-256. ``checkpoint`` is the signed note of the
    log when the dump began; ``""`` while the log is empty.
    """

    format: int
    made_at: str
    database: str
    files: int
    octets: int
    files_digest: str
    checkpoint: str


def back_up(database_url: str, blobs: Path | BlobStore, target: Path, *, now: dt.datetime, checkpoint: str) -> Manifest:
    """See the module's steps. Raises :class:`BackupExists`, :class:`BackupFailed`."""
    if target.exists():
        raise BackupExists(str(target))
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    _make_folder(draft / _BLOBS)
    _run("pg_dump", database_url, "--format=custom", "--no-owner", "--no-privileges", f"--file={draft / _DUMP}")
    names = _take_out(blobs, draft / _BLOBS)
    octets = sum(path.stat().st_size for path in _files(draft / _BLOBS))
    manifest = Manifest(FORMAT, now.isoformat(), _digest(draft / _DUMP), len(names), octets, _names_digest(names), checkpoint)
    (draft / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    _make_durable(draft)
    draft.rename(target)
    _sync(target.parent)
    return manifest


def check(source: Path) -> Manifest:
    """The manifest of a whole backup; :class:`BackupDamaged` when anything in it is not as the manifest says."""
    manifest = _read_manifest(source)
    names = [path.name for path in _files(source / _BLOBS)]
    if manifest.format != FORMAT:
        raise BackupDamaged(f"format {manifest.format}")
    if len(names) != manifest.files or _names_digest(names) != manifest.files_digest:
        raise BackupDamaged("files are missing, or there are others")
    if not (source / _DUMP).is_file() or _digest(source / _DUMP) != manifest.database:
        raise BackupDamaged("the database dump has other content")
    for path in _files(source / _BLOBS):
        if path != _place(source / _BLOBS, path.name) or _digest(path) != path.name:
            raise BackupDamaged(f"file {path.name} has other content")
    return manifest


def restore(database_url: str, blobs: Path | BlobStore, source: Path) -> Manifest:
    """See the module's steps. Raises :class:`BackupDamaged`, :class:`RestoreWouldOverwrite`, :class:`BackupFailed`."""
    manifest = check(source)
    if any(not _place(source / _BLOBS, name).is_file() for name in _names(blobs)):
        raise RestoreWouldOverwrite("the store of files")
    if holds_tables(database_url):
        raise RestoreWouldOverwrite("the database")
    _bring_in(source / _BLOBS, blobs)
    _run("pg_restore", database_url, "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(source / _DUMP))
    return manifest


def _names(blobs: Path | BlobStore) -> list[str]:
    """Every file that is kept, by its SHA-256."""
    if isinstance(blobs, Path):
        return [path.name for path in _files(blobs)]
    return asyncio.run(_listed(blobs))


async def _listed(store: BlobStore) -> list[str]:
    return [one.digest.hex() async for batch in store.stored() for one in batch]


def _take_out(blobs: Path | BlobStore, folder: Path) -> list[str]:
    """Copy every file into the backup; their names. What a bucket hands out is compared with its hash on the way."""
    if isinstance(blobs, Path):
        return [_copy(path, blobs, folder) for path in _files(blobs)]
    return asyncio.run(_download(blobs, folder))


async def _download(store: BlobStore, folder: Path) -> list[str]:
    names = await _listed(store)
    for name in names:
        data, place = await store.get(bytes.fromhex(name)), _place(folder, name)
        _make_folder(place.parent)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    return names


def _bring_in(folder: Path, blobs: Path | BlobStore) -> None:
    """Copy every file of the backup into the store, durably."""
    if not isinstance(blobs, Path):
        asyncio.run(_upload(folder, blobs))
        return
    _make_folder(blobs)
    for path in _files(folder):
        _copy(path, folder, blobs)
    _make_durable(blobs)


async def _upload(folder: Path, store: BlobStore) -> None:
    for path in _files(folder):
        await store.put(path.read_bytes())


def _read_manifest(source: Path) -> Manifest:
    try:
        content: dict[str, Any] = json.loads((source / _MANIFEST).read_text())
        return Manifest(**content)
    except (OSError, ValueError, TypeError) as error:
        raise BackupDamaged(f"{source / _MANIFEST} is not a manifest") from error


def _files(folder: Path) -> Iterator[Path]:
    """The stored documents; a name that starts with a dot is a file still being written."""
    return (path for path in sorted(folder.glob("??/??/*")) if path.is_file() and not path.name.startswith("."))


def _place(folder: Path, name: str) -> Path:
    """Where the document of that SHA-256 belongs (:mod:`keys.base.blobs`)."""
    return folder / name[:2] / name[2:4] / name


def _copy(path: Path, origin: Path, target: Path) -> str:
    place = target / path.relative_to(origin)
    _make_folder(place.parent)
    shutil.copyfile(path, place)
    place.chmod(0o600)
    return path.name


def _make_folder(folder: Path) -> None:
    """The folder and those above it that are missing, for their owner only (``parents=True`` forgets the mode)."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _names_digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _make_durable(folder: Path) -> None:
    """Everything below ``folder`` is on the disk, names too."""
    for path in (folder, *folder.rglob("*")):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holds_tables(database_url: str) -> bool:
    """Whether the database holds any table of ours."""
    listed = ", ".join(f"'{name}'" for name in _SCHEMAS)
    query = f"SELECT count(*) FROM pg_tables WHERE schemaname IN ({listed})"  # noqa: S608 - constants of this module
    return _run("psql", database_url, "--no-psqlrc", "--tuples-only", "--no-align", "-c", query).strip() != "0"


def _run(program: str, database_url: str, *arguments: str) -> str:
    """Run a tool of PostgreSQL against the database. The password goes by the environment, never by the command line."""
    command, environment = postgres_program(program)
    where = connection_parameters(database_url)
    wanted = "--dbname=" + where["PGDATABASE"]
    finished = subprocess.run(  # noqa: S603
        [*command, wanted, *arguments], capture_output=True, env=environment | where, check=False
    )
    if finished.returncode != 0:
        raise BackupFailed(f"{program}: {finished.stderr.decode(errors='replace')[-500:]}")
    return finished.stdout.decode()


def connection_parameters(database_url: str) -> dict[str, str]:
    """libpq's environment variables for a SQLAlchemy URL (asyncpg's ``host`` may be a socket folder in the query)."""
    parts = urlsplit(database_url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found = {
        "PGHOST": query.get("host") or parts.hostname or "",
        "PGPORT": query.get("port") or str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        "PGSSLMODE": query.get("ssl", ""),
    }
    return {name: value for name, value in found.items() if value}
