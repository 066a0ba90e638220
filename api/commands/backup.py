"""``fujie backup`` and ``fujie restore``: the database and the files, never the key-encryption key."""

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api import backup as backups
from api.commands.run import settings
from api.settings import Settings
from api.wiring import open_blobs, own_servers, shared_servers
from keys.base.blobs import BlobStore
from keys.base.clock import SystemClock
from keys.base.db import Database
from keys.evidence.log import latest_checkpoint


def backup(target: Annotated[Path, typer.Argument(help="a folder that does not exist yet")]) -> None:
    """Write the database and the files to TARGET while the service runs. The key-encryption key is not in it: see `fujie keys shares`."""
    chosen = settings()
    with shared_servers(chosen) as addresses:
        if not backups.holds_tables(addresses.database_url):
            raise backups.NothingToBackUp(str(chosen.home))
        note = asyncio.run(_checkpoint(addresses.database_url))
        made = backups.back_up(addresses.database_url, _files(chosen), target.absolute(), now=SystemClock().now(), checkpoint=note)
    print(orjson.dumps(made).decode())


def restore(
    source: Annotated[Path, typer.Argument(help="what `fujie backup` wrote", exists=True, file_okay=False)],
    only_check: Annotated[bool, typer.Option("--check", help="look whether it is whole, restore nothing")] = False,
) -> None:
    """Load a backup into an empty home and an empty database; the service must not run."""
    chosen = settings()
    if only_check:
        print(orjson.dumps(backups.check(source.absolute())).decode())
        return
    with own_servers(chosen) as addresses:
        loaded = backups.restore(addresses.database_url, _files(chosen), source.absolute())
    print(orjson.dumps(loaded).decode())


def _files(chosen: Settings) -> Path | BlobStore:
    """The folder of files, or the bucket."""
    return open_blobs(chosen) if chosen.s3_address else chosen.blob_folder


async def _checkpoint(database_url: str) -> str:
    database = Database(database_url)
    try:
        async with database.session() as session:
            row = await latest_checkpoint(session)
        return row.note if row else ""
    finally:
        await database.close()
