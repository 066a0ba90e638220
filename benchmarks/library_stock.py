"""A city's library in a database: any number of certificates by COPY, with holders, words and a history of nothing.

417 organisations and 3,135 types, as the seeds' city; twenty certificates a holder; three in ten holders are organisations.
"""

import datetime as dt
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import text

from certs.words import grams_of, normalise
from identity.numbers import CodeType, mask
from identity.personal_data import PersonalData
from keys.base.db import Database
from keys.base.ids import CROCKFORD

ORGANISATIONS, TYPES, EACH = 417, 3135, 20
LOT = 20_000
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_FAMILY, _GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张", "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂"
_TRADE, _WHAT = (
    ("餐饮", "建材", "科技", "物流", "医药", "纺织", "食品", "机电"),
    ("经营许可证", "登记证书", "资格证", "备案证明", "使用证", "合格证"),
)
_CERTIFICATES = (
    "id", "stage", "status", "source", "type_code", "type_name", "number", "identifier", "duplicate", "verification_code", "issuer",
    "issuer_name", "division", "issued_on", "valid_from", "valid_to", "fields", "client_organisation", "trust_grade", "flags", "created_at",
)  # fmt: skip
_WORDS = ("certificate_id", "body", "grams")
_HOLDERS = ("certificate_id", "position", "name", "code_type", "code", "code_masked", "code_index", "code_sealed")


@dataclass(frozen=True, slots=True)
class Stock:
    """What is in: verification codes and holders (code, kind) to look for, drawn from everywhere in it."""

    rows: int
    codes: list[str]
    holders: list[tuple[str, str]]
    identifiers: list[str]
    numbers: list[str]


def resident(number: int) -> str:
    """A well-formed number of nobody, division 990100."""
    day = dt.date(1950, 1, 1) + dt.timedelta(days=number % 20_000)
    digits = f"990100{day:%Y%m%d}{number // 20_000 % 1000:03}"
    return digits + "10X98765432"[sum(int(one) * weight for one, weight in zip(digits, _WEIGHTS, strict=True)) % 11]


def uscc(number: int) -> str:
    """A well-formed credit code of nobody, division 990100."""
    code = f"91990100MA{number:07}"
    total = sum(_USCC_ALPHABET.index(one) * weight for one, weight in zip(code, _USCC_WEIGHTS, strict=True))
    return code + _USCC_ALPHABET[(31 - total % 31) % 31]


async def fill(database: Database, personal: PersonalData, rows: int, client_organisation: str, seed: int = 1) -> Stock:
    """Copy in; indexes that are not unique are built afterwards, and the trigger that queues for the search sleeps meanwhile."""
    made = _Maker(personal, client_organisation, random.Random(seed))
    async with database.engine.begin() as connection:
        dropped = await _drop_indexes(connection)
        await connection.execute(text("ALTER TABLE certs.certificates DISABLE TRIGGER queue_for_search"))
        raw = (await connection.get_raw_connection()).driver_connection
        for lot in made.lots(rows):
            for table, columns in (
                ("certificates", _CERTIFICATES),
                ("holders", _HOLDERS),
                ("search_entries", ("certificate_id", "body", "grams")),
            ):
                await raw.copy_records_to_table(table, schema_name="certs", columns=columns, records=lot[table])
        await connection.execute(text("ALTER TABLE certs.certificates ENABLE TRIGGER queue_for_search"))
        await connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        for definition in dropped:
            await connection.execute(text(definition))
    async with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for table in ("certificates", "holders", "search_entries"):
            await connection.execute(text(f"VACUUM ANALYZE certs.{table}"))
    return Stock(rows, made.codes, made.holders, made.identifiers, made.numbers)


async def _drop_indexes(connection: Any) -> list[str]:
    found = await connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'certs' AND indexdef NOT LIKE 'CREATE UNIQUE%'"
            " AND tablename IN ('certificates', 'holders', 'search_entries')"
        )
    )
    indexes = list(found)
    for name, _ in indexes:
        await connection.execute(text(f"DROP INDEX certs.{name}"))
    return [definition for _, definition in indexes]


@lru_cache(200_000)
def _grams(part: str) -> tuple[int, ...]:
    return tuple(grams_of(normalise(part)))


class _Maker:
    """Rows, and a sample of what can be looked for."""

    def __init__(self, personal: PersonalData, client: str, chance: random.Random) -> None:
        self._personal, self._client, self._chance = personal, client, chance
        self._sealed = b"\x01" + personal.data_key.id.bytes + bytes(46)  # as long as an envelope, and of a key that stands
        self._issuers = [(uscc(9_000_000 + one), f"示范市第{one}局") for one in range(ORGANISATIONS)]
        self._types = [(f"11990100MB0000{one:04}R{one % 1000:03}", f"{_TRADE[one % 8]}{one}{_WHAT[one % 6]}") for one in range(TYPES)]
        self.codes: list[str] = []
        self.holders: list[tuple[str, str]] = []
        self.identifiers: list[str] = []
        self.numbers: list[str] = []
        self._indexes: dict[int, bytes] = {}

    def lots(self, rows: int) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
        for first in range(0, rows, LOT):
            lot: dict[str, list[tuple[Any, ...]]] = {"certificates": [], "holders": [], "search_entries": []}
            for number in range(first, min(rows, first + LOT)):
                self._row(number, rows, lot)
            yield lot

    def _row(self, number: int, rows: int, lot: dict[str, list[tuple[Any, ...]]]) -> None:
        chance = self._chance
        at = dt.datetime(2016, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=number * 150)
        # The order of ids is the order of issuing; the holders' certificates lie scattered among all.
        identity = uuid.UUID(int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0x2 << 62 | chance.getrandbits(60))
        issuer, issuer_name = self._issuers[chance.randrange(ORGANISATIONS)]
        kind, kind_name = self._types[chance.randrange(TYPES)]
        code = "".join(chance.choices(CROCKFORD, k=16))
        begins = at.date()
        serial, identifier = f"示〔{begins.year}〕{number:08}号", f"1.2.156.3005.2.{kind}.{issuer}.{number:011}.001.0"
        holder = number % max(1, rows // EACH)
        code_type, holder_code, name = self._who(holder)
        client = self._client if number // 7 % 2 else None
        status = "01" if number % 50 else "04"
        fields = orjson.dumps({"经营场所": f"示范市示范区第{number % 997}街{number % 89}号"}).decode()
        lot["certificates"].append(
            (identity, "issued", status, "issued", kind, kind_name, serial, identifier, False, code, issuer, issuer_name, "990100", begins,
             begins, begins + dt.timedelta(days=3650) if number % 3 else None, fields, client, "A", "[]", at)
        )  # fmt: skip
        natural, index = code_type == "111", self._index(holder, code_type, holder_code)
        shown = mask(holder_code) if natural else holder_code
        plain, sealed = (None, self._sealed) if natural else (holder_code, None)
        lot["holders"].append((identity, 0, name, code_type, plain, shown, index, sealed))
        parts = [kind_name, serial, identifier, issuer_name, name, *([] if natural else [holder_code])]
        grams = {gram for part in parts for gram in _grams(part)}  # no gram spans two lines
        lot["search_entries"].append((identity, "\n".join(map(normalise, parts)), sorted(grams)))
        if number % max(1, rows // 2000) == 0:
            self.codes.append(code)
            self.holders.append((holder_code, code_type))
            self.identifiers.append(identifier)
            self.numbers.append(serial)

    def _index(self, holder: int, code_type: str, code: str) -> bytes:
        if holder not in self._indexes:
            self._indexes[holder] = self._personal.index(code_type, code)
        return self._indexes[holder]

    def _who(self, number: int) -> tuple[str, str, str]:
        if number % 10 < 3:
            return (
                CodeType.USCC.value,
                uscc(number),
                f"示范市{_GIVEN[number % 23]}{_FAMILY[number % 24]}{_TRADE[number % 8]}{number}有限公司",
            )
        return "111", resident(number), f"{_FAMILY[number % 24]}{_GIVEN[number // 24 % 23]}{_GIVEN[number // 552 % 23]}"


__all__ = ["Stock", "fill", "resident", "uscc"]
