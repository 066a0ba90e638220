"""The register as a feed: what others take from us, and what we take from them."""

import asyncio
import datetime as dt

import orjson
import pytest
from sqlalchemy import text

from keys.base.actor import SYSTEM, Role
from seal import national_feed as feed
from seal.changes import cancel_seal, report_seal_lost, suspend_seal
from seal.foreign_status import what_is_known
from seal.lifecycle import Status
from seal.making import apply_for_seal, make_reviewed_seal, review_seal
from seal.motives import Why
from seal.national_feed import export, export_all, read_line, take
from seal.registries import Registry, SealRegistryForbidden, SealRegistryInvalid, SealRegistryUnknown, register, registries, withdraw

OTHERS = Registry("北方市", "", ("110000",), ())


def line(**changes):
    usual = {
        "format": feed.FORMAT,
        "position": 7,
        "sealCode": "11010800000001",
        "sealName": "北方市某局",
        "sealType": "statutory",
        "orgCode": "11110000MB0000027F",
        "validStart": "2026-01-01T00:00:00Z",
        "validEnd": "2029-01-01T00:00:00Z",
        "status": "active",
        "changeTime": "2026-01-02T00:00:00Z",
        "invalidType": None,
    }
    return orjson.dumps(usual | changes) + b"\n"


async def everything(city, **bounds):
    return [one async for one in export_all(city.database, **bounds)]


# --- export --------------------------------------------------------------------------------------------------------------------


async def test_the_feed_tells_each_public_step_and_nobodys_name(city, approval_seal):
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "保管人休假")
    await report_seal_lost(city.database, city.clock, city.keeper, approval_seal.code, Why("stolen", "张三盗用"))
    await cancel_seal(city.database, city.clock, city.admin, approval_seal.code, Why("licence_withdrawn"))
    lines = await everything(city)
    assert [(one["status"], one["invalidType"]) for one in lines] == [
        ("filed", None), ("active", None), ("suspended", None), ("lost", 2), ("cancelled", 0),
    ]  # fmt: skip
    assert [one["position"] for one in lines] == sorted({one["position"] for one in lines})
    assert {one["sealCode"] for one in lines} == {approval_seal.code}
    told = orjson.dumps(lines).decode()
    assert "张三" not in told
    assert "keeper" not in told
    assert all(isinstance(read_line(orjson.dumps(one)), feed.FeedLine) for one in lines), "what we send, we would take"


async def test_the_feed_goes_on_where_somebody_stopped(city, approval_seal):
    first = await everything(city)
    city.clock.advance(hours=1)
    later = city.clock.now()
    await suspend_seal(city.database, city.clock, city.keeper, approval_seal.code, "")
    more = await everything(city, after=first[-1]["position"])
    assert [one["status"] for one in more] == ["suspended"]
    assert await everything(city, since=later) == more
    assert await everything(city, after=more[-1]["position"]) == []
    assert [len(await export(city.database, limit=2)), len(await export(city.database, after=more[0]["position"] - 1, limit=2))] == [2, 1]


async def test_what_is_not_filed_is_nobodys_business(city):
    applied = await apply_for_seal(city.database, city.clock, city.keeper, city.order())
    for reviewer in (city.reviewer, city.admin):
        await review_seal(city.database, city.clock, reviewer, applied.id)
    made = await make_reviewed_seal(city.database, city.keystore, city.clock, city.admin, applied.id)
    assert await everything(city) == []
    await cancel_seal(city.database, city.clock, city.admin, made.code, "")
    assert await everything(city) == []


async def test_no_line_is_committed_behind_one_that_was_read(city, approval_seal):
    """A move that has its number but is not committed yet is waited for: otherwise its line would be passed over for ever."""
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow_move():
        async with city.database.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": 0x5EA1FEED})
            await session.execute(
                text(
                    "INSERT INTO seal.status_changes (seal_id, move, old, new, at, actor_kind, actor_id, reason, recorded_at) "
                    "VALUES (:seal, 'suspend', 'active', 'suspended', :now, 'system', 'x', '', :now)"
                ),
                {"seal": approval_seal.id, "now": city.clock.now()},
            )
            started.set()
            await go_on.wait()

    moving = asyncio.create_task(slow_move())
    await asyncio.wait_for(started.wait(), 20)
    reading = asyncio.create_task(everything(city))
    await asyncio.sleep(0.2)
    assert not reading.done()
    go_on.set()
    await moving
    assert [one["status"] for one in await reading][-1] == "suspended"


# --- import --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"{", "NO_JSON"),
        (b"[]", "FORMAT_UNKNOWN"),
        (b"{}", "FORMAT_UNKNOWN"),
        (b"x" * 20_000, "LINE_TOO_LONG"),
        (line(format="fujie-seal-feed/2"), "FORMAT_UNKNOWN"),
        (line(position=0), "POSITION_MALFORMED"),
        (line(position=True), "POSITION_MALFORMED"),
        (line(position=1 << 63), "POSITION_MALFORMED"),
        (line(position="7"), "POSITION_MALFORMED"),
        (line(sealCode="1101080000000A"), "CODE_MALFORMED"),
        (line(sealCode="110108"), "CODE_MALFORMED"),
        (line(sealCode="１１０１０８０００００００１"), "CODE_MALFORMED"),
        (line(sealName="x" * 201), "TEXT_MALFORMED"),
        (line(sealName="a\u0000b"), "TEXT_MALFORMED"),
        (line(sealName=None), "TEXT_MALFORMED"),
        (line(orgCode="<script>"), "ORGANISATION_MALFORMED"),
        (line(status="applied"), "STATUS_UNKNOWN"),
        (line(status=["active"]), "STATUS_UNKNOWN"),
        (line(status="anything"), "STATUS_UNKNOWN"),
        (line(invalidType=1), "INVALID_TYPE_UNSUITABLE"),
        (line(status="lost", invalidType=1), "INVALID_TYPE_UNSUITABLE"),
        (line(status="cancelled"), "INVALID_TYPE_UNSUITABLE"),
        (line(status="cancelled", invalidType=2), "INVALID_TYPE_UNSUITABLE"),
        (line(status="cancelled", invalidType=True), "INVALID_TYPE_UNSUITABLE"),
        (line(changeTime="2026-01-02"), "INSTANT_MALFORMED"),
        (line(changeTime="yesterday"), "INSTANT_MALFORMED"),
        (line(changeTime=5), "INSTANT_MALFORMED"),
        (line(validEnd="2025-01-01T00:00:00Z"), "PERIOD_EMPTY"),
        (line()[:-3], "NO_JSON"),
    ],
)
def test_a_line_that_is_wrong_is_named(octets, why):
    assert read_line(octets) == why


@pytest.mark.parametrize("code", ["11010800000001", "1101080000001"])
def test_codes_of_both_forms_are_read(code):
    assert read_line(line(sealCode=code)).code == code


async def test_others_seals_are_taken_in_and_what_is_wrong_is_left_out(city, approval_seal):
    await register(city.database, city.clock, SYSTEM, Registry("北方市", "", ("110000", "990100"), ()))
    lines = [
        line(position=1, status="filed"),
        line(position=2),
        b"\n",
        line(position=3, sealCode="33010000000001"),
        b"not json\n",
        line(position=4, sealCode=approval_seal.code),
        line(position=5, sealCode="9901000000001"),
        line(position=6, sealCode="1101080000009"),
        line(position=7, status="lost", invalidType=2, changeTime="2026-05-01T00:00:00Z"),
    ]
    done = await take(city.database, city.clock, SYSTEM, "北方市", lines)
    flagged = [(4, "OUTSIDE_ITS_DIVISIONS"), (5, "NO_JSON"), (6, "CODE_IS_OURS"), (7, "CODE_IS_OURS")]
    assert ([(one.line, one.why) for one in done.flags], done.taken, done.position) == (flagged, 4, 7)
    again = await take(city.database, city.clock, SYSTEM, "北方市", lines)
    assert (again.taken, again.known, len(again.flags)) == (0, 4, 4)
    async with city.database.session() as session:
        known = await what_is_known(session, "11010800000001")
        assert known is not None
        wanted = {"2026-01-01": None, "2026-02-01": Status.ACTIVE, "2026-06-01": Status.LOST}
        for day, status in wanted.items():
            step = known.at(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00"))
            assert (step.status if step else None) is status
        assert known.at(dt.datetime(2026, 6, 1, tzinfo=dt.UTC)).invalid_type == 2
        assert await session.scalar(text("SELECT count(*) FROM seal.foreign_statuses")) == 4
        assert await what_is_known(session, "33010000000001") is None


async def test_an_import_that_broke_off_goes_on_where_it_stopped(city, monkeypatch):
    await register(city.database, city.clock, SYSTEM, OTHERS)
    monkeypatch.setattr(feed, "BATCH", 2)
    lines = [line(position=number, sealCode=f"110108{number:08d}") for number in range(1, 6)]

    def broken():
        yield from lines[:3]
        raise ConnectionError("cable")

    with pytest.raises(ConnectionError):
        await take(city.database, city.clock, SYSTEM, "北方市", broken())
    async with city.database.session() as session:
        assert await session.scalar(text("SELECT position FROM seal.feed_imports")) == 2
        assert await session.scalar(text("SELECT count(*) FROM seal.foreign_seals")) == 2
    done = await take(city.database, city.clock, SYSTEM, "北方市", lines)
    assert (done.known, done.taken, done.position) == (2, 3, 5)


async def test_two_registries_do_not_share_a_code(city):
    await register(city.database, city.clock, SYSTEM, OTHERS)
    await register(city.database, city.clock, SYSTEM, Registry("另一系统", "", ("110108",), ()))
    await take(city.database, city.clock, SYSTEM, "北方市", [line()])
    done = await take(city.database, city.clock, SYSTEM, "另一系统", [line(), line(sealCode="1101080000001")])
    assert [one.why for one in done.flags] == ["CODE_IS_ANOTHERS", "CODE_IS_ANOTHERS"]


async def test_a_feed_of_a_registry_that_nobody_registered(city):
    with pytest.raises(SealRegistryUnknown):
        await take(city.database, city.clock, SYSTEM, "nobody", [line()])


# --- registries ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"divisions": ()},
        {"divisions": ("11",)},
        {"url": "ftp://a.example"},
        {"url": "http://user:password@a.example", "roots": (b"x",)},
        {"url": "http://a.example/?q=1", "roots": (b"x",)},
        {"url": "http://a.example:99999999", "roots": (b"x",)},
        {"url": "http://a.example"},
    ],
)
async def test_a_registration_that_is_wrong_is_refused(city, wrong):
    with pytest.raises(SealRegistryInvalid):
        await register(
            city.database, city.clock, SYSTEM, Registry(**{"name": "x", "url": "", "divisions": ("110000",), "roots": ()} | wrong)
        )


async def test_only_a_security_administrator_with_two_factors_registers(city):
    for actor in (city.keeper, city.person("weak", Role.SECURITY_ADMIN, authenticator=1), city.client):
        with pytest.raises(SealRegistryForbidden):
            await register(city.database, city.clock, actor, OTHERS)
    await register(city.database, city.clock, city.admin, OTHERS)
    await withdraw(city.database, city.clock, city.admin, OTHERS.name)
    with pytest.raises(SealRegistryUnknown):
        await withdraw(city.database, city.clock, city.admin, OTHERS.name)
    async with city.database.session() as session:
        assert await registries(session) == ()
        query = "SELECT count(*) FROM keys.audit_events WHERE action LIKE 'seal.registry.%' AND outcome = 'refused'"
        assert await session.scalar(text(query)) == 4


async def test_what_a_withdrawn_registry_said_counts_no_more(city):
    await register(city.database, city.clock, SYSTEM, OTHERS)
    await take(city.database, city.clock, SYSTEM, OTHERS.name, [line()])
    async with city.database.begin() as session:
        assert await what_is_known(session, "11010800000001") is not None
    await withdraw(city.database, city.clock, SYSTEM, OTHERS.name)
    async with city.database.session() as session:
        assert await what_is_known(session, "11010800000001") is None
