"""What the service puts right by itself when it starts."""

from pathlib import Path
from typing import Any

from api.serve import keep_roots
from keys.base.clock import SystemClock
from keys.pki.authority import establish
from seal.trust import Trust
from tests.pages_house import ISSUER, open_test_house


async def test_a_restored_house_finds_its_roots(database: Any, redis_url: str, keystore: Any, workers: Any, tmp_path: Path) -> None:
    """A backup holds no ``trust.pem``: without it nothing would verify after the disaster drill."""
    async with open_test_house(database, redis_url, keystore, SystemClock(), workers, tmp_path) as house:
        file = house.settings.trust_file
        await keep_roots(house)
        assert not file.exists()  # a house before its ceremony has no roots
        await establish(database, keystore, house.clock, ISSUER)
        await keep_roots(house)
        assert len(Trust.from_pem(file.read_bytes()).certificates) == 2
        assert file.stat().st_mode & 0o777 == 0o600


async def test_chosen_roots_stay(database: Any, redis_url: str, keystore: Any, workers: Any, tmp_path: Path) -> None:
    async with open_test_house(database, redis_url, keystore, SystemClock(), workers, tmp_path) as house:
        await establish(database, keystore, house.clock, ISSUER)
        house.settings.trust_file.write_text("chosen by hand")
        await keep_roots(house)
        assert house.settings.trust_file.read_text() == "chosen by hand"
