"""``fujie keys check``, ``shares`` and ``from-shares``: are the keys all there, and how the key that opens them survives a fire."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import orjson
import typer

from api.commands.house import with_house
from api.commands.run import settings
from api.wiring import House
from keys.base.errors import Conflict
from keys.checking import KeyCheck, check_keys
from keys.custody.shares import file_of_shares, shares_of_file


class KeysOnToken(Conflict):
    """There is no file of a key-encryption key: the token keeps the keys, and its maker's tools back it up."""

    code = "KEYS_ON_TOKEN"
    public = ("密钥保存在密码设备中，请使用设备厂商的备份工具。", "The keys are on a token. Please use the backup tools of its maker.")


def check() -> None:
    """Use every stored key once. Prints those that do not work and a count. Exit 0: all work; 1: not all do."""

    async def journey(house: House) -> list[KeyCheck]:
        return [one async for one in check_keys(house.database, house.keystore)]

    checks = with_house(journey)
    for one in checks:
        if not one.healthy:
            print(orjson.dumps({"key": str(one.id), "algorithm": one.algorithm, "purpose": one.purpose, "result": one.result}).decode())
    print(orjson.dumps({"keys": len(checks)} | Counter(one.result for one in checks)).decode())
    raise SystemExit(0 if all(one.healthy for one in checks) else 1)


def _key_file() -> Path:
    chosen = settings()
    if chosen.pkcs11_module is not None:
        raise KeysOnToken
    return chosen.key_file


def shares(
    threshold: Annotated[int, typer.Option(help="how many bring the key back, at least 2")],
    count: Annotated[int, typer.Option(help="how many are made, at most 16")],
) -> None:
    """Print shares of the key-encryption key (SLIP-39), one a line, for as many custodians. Each call makes a new set."""
    for share in shares_of_file(_key_file(), threshold, count):
        print(share)


def from_shares() -> None:
    """Read shares from standard input, one a line, and write the key-encryption key. It never replaces one that is there."""
    given = [line for line in typer.get_text_stream("stdin") if line.strip()]
    file = _key_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file_of_shares(given, file)
    print(orjson.dumps({"written": str(file)}).decode())
