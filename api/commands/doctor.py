"""``fujie doctor``: is everything there that must be there? Nothing is changed."""

from collections.abc import Callable

from api.commands.run import settings
from api.embedded import EmbeddedValkey
from api.settings import Settings
from api.wiring import open_keystore, open_token
from certs.fonts import REQUIRED_FONTS, coverage
from keys.base.errors import FujieError
from keys.custody import libcrypto


def _home(chosen: Settings) -> str:
    return str(chosen.home) if chosen.home.exists() else f"{chosen.home} (not made yet)"


def _keys(chosen: Settings) -> str:
    """The token answers and takes the PIN, or the key-encryption key is private and whole. Makes nothing."""
    if chosen.pkcs11_module is not None:
        return open_token(chosen, chosen.pkcs11_module).describe()
    if chosen.given_key_file is None and not chosen.key_file.exists():
        return "software; the key-encryption key is not made yet"
    open_keystore(chosen)
    return "software; the key-encryption key is " + ("from the environment" if chosen.given_key_file else "readable by its owner only")


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
    "keys": _keys,
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
        except (OSError, FujieError, LookupError) as error:
            healthy = False
            print(f"WRONG {name}: {error}")
    raise SystemExit(0 if healthy else 1)
