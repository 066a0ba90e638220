"""``fujie doctor``: is everything there that must be there? Nothing is changed."""

import stat
from collections.abc import Callable

from api.commands.run import settings
from api.embedded import EmbeddedValkey, ServerDidNotStart
from api.settings import Settings
from certs.fonts import REQUIRED_FONTS, coverage
from keys.custody import libcrypto


def _home(chosen: Settings) -> str:
    return str(chosen.home) if chosen.home.exists() else f"{chosen.home} (not made yet)"


def _key_file(chosen: Settings) -> str:
    if not chosen.key_file.exists():
        return "not made yet"
    mode = stat.S_IMODE(chosen.key_file.stat().st_mode)
    if mode & 0o077:
        raise PermissionError(f"{chosen.key_file} is readable by others (mode {mode:o})")
    return "readable by its owner only"


def _servers(chosen: Settings) -> str:
    return "given by the settings" if chosen.database_url and chosen.redis_url else f"embedded ({EmbeddedValkey.binary().name})"


def _sm2(_: Settings) -> str:
    if not libcrypto.available():
        raise LookupError("no libcrypto ≥ 3 with SM2: seals cannot be made or stamped, only verified")
    return "libcrypto"


def _fonts(_: Settings) -> str:
    return f"{len(coverage(REQUIRED_FONTS.files())):,} characters"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "data folder": _home,
    "key-encryption key": _key_file,
    "servers": _servers,
    "SM2": _sm2,
    "fonts": _fonts,
}


def doctor() -> None:
    """Look at the data folder, keys, servers, SM2 and fonts. Exit 0: all well; 1: something is not."""
    chosen = settings()
    healthy = True
    for name, check in CHECKS.items():
        try:
            print(f"ok    {name}: {check(chosen)}")
        except (OSError, ServerDidNotStart, LookupError) as error:
            healthy = False
            print(f"WRONG {name}: {error}")
    raise SystemExit(0 if healthy else 1)
