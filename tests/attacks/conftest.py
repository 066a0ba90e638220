from pathlib import Path

import pytest

from tests.furnished import furnished
from tests.stamped import World

__all__ = ["furnished"]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One genuine world for all forgeries; a test that changes it makes its own."""
    folder: Path = tmp_path_factory.mktemp("world")
    return World(folder)


@pytest.fixture(scope="session")
def genuine(world: World) -> bytes:
    return world.stamped()
