"""The catalogue with 3,135 types: a page of the list, a search by any part of a name, an approval against its schema."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from benchmarks.bench import Bench
from benchmarks.instance import Instance
from benchmarks.rows import WALL_MS, Row
from certs.catalogue import CertificateType, Field, HolderKind, Mask
from certs.catalogue_reads import Wanted, find_types
from certs.type_lifecycle import TypeMove
from certs.type_rows import add_versions
from certs.type_schema import check_fields
from keys.base.actor import SYSTEM
from keys.base.clock import SystemClock
from keys.base.db import Database

TYPES, ASKED, CHECKED = 3_135, 600, 2_000
SEARCHES = ("许可", "经营", "卫生 许可", "permit 2", "1199010", "不存在的证照")
_SUBJECTS = ("食品", "药品", "卫生", "建筑", "排水", "道路", "燃气", "消防", "教育", "文化", "林木", "水域")
_ACTS = ("经营", "生产", "运输", "施工", "使用", "采伐", "营业")
_KINDS = ("许可证", "登记证", "备案证", "资格证书")
_FIELDS = tuple(Field(f"栏目{name}", f"KZ_{name}", True, Mask.NONE) for name in "ABCDEFGH")


def figure(bench: Bench) -> list[Row]:
    """One question after another: a page of 50 with the number of all that were found. There is no index that could be missed."""
    listed, searched = asyncio.run(_measured(bench.instance))
    return [
        _row(f"page of {TYPES:,} types", listed),
        _row(f"search in {TYPES:,} types", searched),
        Row("catalogue: an approval against its JSON Schema", _checked_ms(), "", None, WALL_MS, "8 fields, mean"),
    ]


def _row(what: str, spent: Sequence[float]) -> Row:
    ordered = sorted(spent)
    median, p99 = (ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
    return Row(f"catalogue: {what}, p99", p99, "", None, WALL_MS, f"median {median:.1f} ms, {len(ordered)} questions")


async def _measured(instance: Instance) -> tuple[list[float], list[float]]:
    database = Database(instance.addresses()["database_url"])
    now = SystemClock().now()
    async with database.begin() as session:
        await add_versions(session, now, SYSTEM, made_up(TYPES), TypeMove.SHIP, "a benchmark")
    listed, searched = await _asked(database, ("",)), await _asked(database, SEARCHES)
    await database.close()
    return listed, searched


async def _asked(database: Database, words: Sequence[str]) -> list[float]:
    spent = []
    for number in range(ASKED):
        began = time.perf_counter()
        async with database.session() as session:
            await find_types(session, Wanted(words[number % len(words)]))
        spent.append(1000 * (time.perf_counter() - began))
    return spent


def made_up(count: int) -> list[CertificateType]:
    """So many types with names as departments give them."""
    names = list(product(_SUBJECTS, _ACTS, _KINDS))
    usual = CertificateType("", "", "", HolderKind.LEGAL, False, True, None, _FIELDS)
    found = []
    for number in range(count):
        subject, act, kind = names[number % len(names)]
        code = f"11990{100 + number // 1000}MB{number // 1000:07d}A{number % 1000:03d}"
        found.append(replace(usual, code=code, name_zh=f"{subject}{act}{kind}（{number}）", name_en=f"Sample permit {number}"))
    return found


def _checked_ms() -> float:
    kind = made_up(1)[0]
    fields = {one.name: "示范市示范区临江街道鸭绿江大街128号" for one in kind.fields}
    began = time.perf_counter()
    for _ in range(CHECKED):
        check_fields(kind, fields)
    return 1000 * (time.perf_counter() - began) / CHECKED
