"""Refresh tokens rotate; a used one gives the same successor for ten seconds and then ends its family."""

import asyncio
from typing import Any

from sqlalchemy import text

from identity.grant_statements import forget_old
from identity.login import log_out
from tests.portal import City


async def rotate(city: City, client: Any, secret: str | None, token: str, **fields: str) -> Any:
    return await city.token(client, secret, grant_type="refresh_token", refresh_token=token, **fields)


async def test_rotation(city: City) -> None:
    client, secret = await city.ready()
    first = await city.tokens(client, secret)
    city.clock.advance(minutes=9)
    second = (await rotate(city, client, secret, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    city.clock.advance(minutes=9)
    assert (await city.userinfo(second["access_token"])).status_code == 200
    before, after = await city.id_token(first["id_token"]), await city.id_token(second["id_token"])
    assert {name: before.claims[name] for name in ("iss", "sub", "aud", "auth_time", "acr", "sid")} == {
        name: after.claims[name] for name in ("iss", "sub", "aud", "auth_time", "acr", "sid")
    }
    assert "nonce" not in after.claims


async def test_a_used_token_gives_the_same_successor_for_ten_seconds(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    first = await city.tokens(client, secret)
    second = (await rotate(city, client, secret, first["refresh_token"])).json()
    city.clock.advance(seconds=10)
    again = (await rotate(city, client, secret, first["refresh_token"])).json()
    assert again["refresh_token"] == second["refresh_token"]
    assert (await city.userinfo(again["access_token"])).status_code == 200
    city.clock.advance(seconds=1)
    late = await rotate(city, client, secret, first["refresh_token"])
    assert (late.status_code, late.json()["error"], late.json()["code"]) == (400, "invalid_grant", "REFRESH_TOKEN_REUSED")
    for token in (second["access_token"], again["access_token"]):
        assert (await city.userinfo(token)).status_code == 401
    assert (await rotate(city, client, secret, second["refresh_token"])).json()["code"] == "GRANT_REVOKED"
    assert ("identity.token.refuse", "REFRESH_TOKEN_REUSED") in await audited()


async def test_simultaneous_refreshes_agree_on_the_successor(city: City) -> None:
    client, secret = await city.ready()
    first = await city.tokens(client, secret)
    answers = await asyncio.gather(*(rotate(city, client, secret, first["refresh_token"]) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1
    async with city.database.session() as session:
        stored = await session.scalar(text("SELECT count(*) FROM identity.oidc_refresh_tokens"))
    assert stored == 2
    assert (await rotate(city, client, secret, successors.pop())).status_code == 200


async def test_what_gives_the_successor_is_forgotten_after_the_grace(city: City) -> None:
    client, secret = await city.ready()
    token = (await city.tokens(client, secret))["refresh_token"]
    for _ in range(3):
        token = (await rotate(city, client, secret, token)).json()["refresh_token"]
        city.clock.advance(seconds=11)
    async with city.database.session() as session:
        salts = await session.scalar(text("SELECT count(successor_salt) FROM identity.oidc_refresh_tokens"))
    assert salts == 1


async def test_scope_may_shrink_for_an_access_token_and_not_grow(city: City) -> None:
    client, secret = await city.ready()
    first = await city.tokens(client, secret, scope="openid profile")
    narrow = (await rotate(city, client, secret, first["refresh_token"], scope="openid")).json()
    assert "name" not in (await city.userinfo(narrow["access_token"])).json()
    wide = await rotate(city, client, secret, narrow["refresh_token"], scope="openid real_name")
    assert wide.json()["error"] == "invalid_scope"
    whole = (await rotate(city, client, secret, narrow["refresh_token"])).json()
    assert whole["scope"] == "openid profile"


async def test_online_tokens_end_with_the_session_and_offline_ones_do_not(city: City, login: Any) -> None:
    client, secret = await city.ready()
    online = await city.tokens(client, secret)
    offline = await city.tokens(client, secret, scope="openid offline_access")
    assert await log_out(login, city.browser.cookies["fujie_session"])
    assert (await city.userinfo(online["access_token"])).status_code == 401
    assert (await rotate(city, client, secret, online["refresh_token"])).json()["code"] == "GRANT_REVOKED"
    city.clock.advance(days=29)
    renewed = await rotate(city, client, secret, offline["refresh_token"])
    assert renewed.status_code == 200
    city.clock.advance(days=30)
    assert (await rotate(city, client, secret, renewed.json()["refresh_token"])).json()["code"] == "REFRESH_TOKEN_EXPIRED"


async def test_housekeeping_keeps_what_still_matters(city: City) -> None:
    client, secret = await city.ready()
    online = await city.tokens(client, secret)
    offline = await city.tokens(client, secret, scope="openid offline_access")
    renewed = (await rotate(city, client, secret, offline["refresh_token"])).json()
    city.clock.advance(days=8)
    async with city.database.begin() as session:
        await forget_old(session, city.clock.now())
    async with city.database.session() as session:
        for table, count in (("oidc_grants", 1), ("oidc_refresh_tokens", 2), ("oidc_access_tokens", 0)):
            assert await session.scalar(text(f"SELECT count(*) FROM identity.{table}")) == count
    assert (await rotate(city, client, secret, online["refresh_token"])).json()["code"] == "REFRESH_TOKEN_UNKNOWN"
    assert (await rotate(city, client, secret, renewed["refresh_token"])).status_code == 200
    assert (await rotate(city, client, secret, offline["refresh_token"])).json()["code"] == "REFRESH_TOKEN_REUSED"


async def test_nothing_revives_when_redis_is_flushed(city: City, redis: Any) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    first = (await city.exchange(client, secret, code)).json()
    await rotate(city, client, secret, first["refresh_token"])
    city.clock.advance(seconds=11)
    await redis.flushall()
    assert (await rotate(city, client, secret, first["refresh_token"])).json()["code"] == "REFRESH_TOKEN_REUSED"
    assert (await city.exchange(client, secret, code)).json()["code"] == "CODE_REUSED"
