"""``fujie seal`` on a real database; only the opening of the house is replaced."""

import asyncio
from types import SimpleNamespace

import orjson
import pytest
from typer.testing import CliRunner

from api.commands import seal_life, seal_register, seals
from seal import permits


@pytest.fixture
async def fujie_seal(city, monkeypatch):
    loop = asyncio.get_running_loop()
    house = SimpleNamespace(database=city.database, clock=city.clock)
    for module in (seals, seal_life, seal_register):
        monkeypatch.setattr(module, "with_house", lambda journey: asyncio.run_coroutine_threadsafe(journey(house), loop).result(20))

    async def run(*arguments):
        return await asyncio.to_thread(CliRunner().invoke, seals.app, list(arguments))

    return run


async def test_the_register_on_the_command_line(city, approval_seal, fujie_seal):
    await city.make(kind="certificate", name="电子证照专用章")
    await city.grant(approval_seal, city.approver)
    permit = await permits.request_permit(city.database, city.clock, city.use(approval_seal))
    async with city.database.begin() as session:
        await permits.consume_permit(session, city.clock.now(), permit, city.document)

    listed = await fujie_seal("list")
    assert [orjson.loads(line)["kind"] for line in listed.stdout.splitlines()] == ["approval", "certificate"]
    assert (await fujie_seal("list", "--organisation", "11990100MB0000027F")).stdout == ""

    suspended = await fujie_seal("suspend", approval_seal.code, "--reason", "停用检查")
    assert orjson.loads(suspended.stdout)["status"] == "suspended"
    resumed = await fujie_seal("resume", approval_seal.code, "--reason", "检查完毕")
    assert orjson.loads(resumed.stdout)["status_zh"] == "使用中"

    shown = orjson.loads((await fujie_seal("show", approval_seal.code)).stdout)
    assert [one["move"] for one in shown["history"]][-2:] == ["suspend", "resume"]
    assert shown["history"][-2]["reason"] == "停用检查"
    assert shown["uses"][0]["document"] == city.document.hex()

    lost = await fujie_seal("report-lost", approval_seal.code, "--reason", "丢失")
    assert orjson.loads(lost.stdout)["status"] == "lost"
    cancelled = await fujie_seal("cancel", approval_seal.code, "--reason", "注销")
    assert orjson.loads(cancelled.stdout)["status"] == "cancelled"
    again = await fujie_seal("resume", approval_seal.code, "--reason", "不行")
    assert again.exit_code == 1
    assert getattr(again.exception, "code", "") == "SEAL_MOVE_NOT_ALLOWED"


async def test_a_move_wants_a_reason(fujie_seal):
    assert (await fujie_seal("suspend", "99010000000001")).exit_code == 2
