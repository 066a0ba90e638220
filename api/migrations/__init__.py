"""Alembic migrations of all packages' schemas, run from code: there is no ``alembic.ini`` to find."""

import asyncio
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config


def configuration(url: str) -> Config:
    """Alembic's configuration for the database at ``url`` (asyncpg driver)."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("file_template", "%%(rev)s")
    config.attributes["url"] = url
    return config


_IN_THIS_PROCESS = threading.Lock()  # Alembic keeps its environment in globals; between processes an advisory lock serves


def _upgrade(url: str) -> None:
    with _IN_THIS_PROCESS:
        command.upgrade(configuration(url), "head")


async def upgrade(url: str) -> None:
    """Bring the database at ``url`` to the newest revision; nothing happens if it is there."""
    await asyncio.to_thread(_upgrade, url)
