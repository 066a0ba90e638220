"""What the provider remembers delays nothing, and what it does in one statement happens whole or not at all."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from api.pages.returning import source_of
from identity import tokens
from identity.clients import NewClient, rotate_secret, without_loopback_port
from identity.people import set_identity
from identity.realname import RealName, bind_real_name, parse_claim
from keys.base.actor import Actor, ActorKind
from keys.base.ids import fingerprint
from tests.portal import CALLBACK, City, query_of

MACHINE: dict[str, Any] = {"grant_types": ("client_credentials",), "scopes": ("verify",), "redirect_uris": ()}


async def run(city: City, statement: str, **values: Any) -> None:
    async with city.database.begin() as session:
        await session.execute(text(statement), values)


async def count(city: City, table: str) -> int:
    async with city.database.session() as session:
        return (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()


async def own_token(city: City, client: Any, secret: str | None, **fields: str) -> Any:
    return await city.token(client, secret, grant_type="client_credentials", **fields)


async def test_a_closed_client_is_closed_at_its_very_next_request(city: City) -> None:
    client, secret = await city.register(**MACHINE)
    token = (await own_token(city, client, secret)).json()["access_token"]
    assert (await city.post("/oauth/introspect", client, secret, token=token)).json()["active"] is True
    await run(city, "UPDATE identity.oidc_clients SET active = false WHERE client_id = :id", id=client.client_id)
    assert (await own_token(city, client, secret)).status_code == 401
    assert (await city.post("/oauth/introspect", client, secret, token=token)).status_code == 401
    assert await count(city, "identity.oidc_access_tokens") == 1
    await run(city, "UPDATE identity.oidc_clients SET active = true WHERE client_id = :id", id=client.client_id)
    assert (await own_token(city, client, secret)).status_code == 200


async def test_a_new_secret_works_at_once_and_a_removed_one_no_longer(city: City) -> None:
    client, first = await city.register(**MACHINE)
    assert (await own_token(city, client, first)).status_code == 200
    async with city.database.begin() as session:
        second = await rotate_secret(session, city.clock.now(), client.client_id)
    assert (await own_token(city, client, second)).status_code == 200
    assert (await own_token(city, client, first)).status_code == 200
    await run(city, "UPDATE identity.oidc_clients SET previous_secret_until = NULL WHERE client_id = :id", id=client.client_id)
    assert (await own_token(city, client, first)).status_code == 401
    assert (await own_token(city, client, second)).status_code == 200


async def test_a_remembered_secret_ends_with_its_time(city: City) -> None:
    client, first = await city.register(**MACHINE)
    async with city.database.begin() as session:
        await rotate_secret(session, city.clock.now(), client.client_id)
    assert (await own_token(city, client, first)).status_code == 200
    city.clock.advance(days=14)
    assert (await own_token(city, client, first)).status_code == 401


async def test_scopes_and_rights_that_change_count_at_once(city: City) -> None:
    client, secret = await city.register(**MACHINE)
    other, others = await city.register(**MACHINE)
    token = (await own_token(city, other, others)).json()["access_token"]
    assert (await city.post("/oauth/introspect", client, secret, token=token)).json() == {"active": False}
    assert (await own_token(city, client, secret, scope="identity:check")).json()["error"] == "invalid_scope"
    change = "UPDATE identity.oidc_clients SET may_introspect = true, scopes = '[\"identity:check\"]' WHERE client_id = :id"
    await run(city, change, id=client.client_id)
    assert (await city.post("/oauth/introspect", client, secret, token=token)).json()["active"] is True
    assert (await own_token(city, client, secret, scope="identity:check")).status_code == 200
    assert (await own_token(city, client, secret, scope="verify")).json()["error"] == "invalid_scope"


async def test_clients_that_change_while_they_ask_get_an_answer(city: City) -> None:
    """Every request of twenty is answered by one version or the other."""
    client, secret = await city.register(**MACHINE)
    touch = "UPDATE identity.oidc_clients SET name_en = name_en || 'x' WHERE client_id = :id"
    work = [own_token(city, client, secret) if n % 4 else run(city, touch, id=client.client_id) for n in range(24)]
    answers = [answer for answer in await asyncio.gather(*work) if answer is not None]
    assert Counter(answer.status_code for answer in answers) == {200: 18}


async def test_nothing_is_spent_or_issued_that_cannot_be_recorded(city: City) -> None:
    grant_types = ("authorization_code", "refresh_token", "client_credentials")
    client, secret = await city.ready(grant_types=grant_types, scopes=("openid", "verify"))
    code = await city.code(client, scope="openid")
    refresh = (await city.tokens(client, secret, scope="openid"))["refresh_token"]
    tables = ("oidc_access_tokens", "oidc_refresh_tokens", "oidc_grants")
    before = [await count(city, f"identity.{table}") for table in tables]
    await run(city, "ALTER TABLE keys.audit_events ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
    attempts = (
        lambda: city.exchange(client, secret, code),
        lambda: city.token(client, secret, grant_type="refresh_token", refresh_token=refresh),
        lambda: own_token(city, client, secret),
        lambda: city.authorize(client, scope="openid"),
    )
    for attempt in attempts:
        with pytest.raises(asyncpg.CheckViolationError):
            await attempt()
    assert [await count(city, f"identity.{table}") for table in tables] == before
    await run(city, "ALTER TABLE keys.audit_events DROP CONSTRAINT full_disk")
    assert (await city.exchange(client, secret, code)).status_code == 200
    assert (await city.token(client, secret, grant_type="refresh_token", refresh_token=refresh)).status_code == 200


async def test_a_grant_revoked_in_between_gives_no_repeated_answer(city: City) -> None:
    client, secret = await city.ready()
    refresh = (await city.tokens(client, secret))["refresh_token"]
    fields = {"grant_type": "refresh_token", "refresh_token": refresh}
    first, again = (await city.token(client, secret, **fields)).json(), (await city.token(client, secret, **fields)).json()
    assert first["refresh_token"] == again["refresh_token"]
    await run(city, "UPDATE identity.oidc_grants SET revoked_at = now()")
    assert (await city.token(client, secret, **fields)).json()["code"] == "GRANT_REVOKED"


async def test_a_token_reads_alike_on_both_ways(city: City) -> None:
    client, secret = await city.ready()
    mine = (await city.tokens(client, secret))["access_token"]
    machine, its = await city.register(**MACHINE)
    own = (await own_token(city, machine, its)).json()["access_token"]
    for token in (mine, own):
        values = {"now": city.clock.now(), "shown": fingerprint(token)}
        hot = await city.database.hot.row(tokens.FIND_TOKEN, values)
        async with city.database.session() as session:
            cold = (await session.execute(tokens.LIVE_TOKEN, values)).mappings().one()
        assert hot is not None
        assert dict(hot) == dict(cold)


async def test_a_session_is_marked_as_seen_by_the_portals_it_opens(city: City) -> None:
    client, _ = await city.ready()
    city.clock.advance(minutes=5)
    await city.code(client)
    async with city.database.session() as session:
        seen = (await session.execute(text("SELECT max(last_seen_at) FROM identity.sessions"))).scalar_one()
    assert seen == city.clock.now()


async def test_a_public_client_on_loopback_may_listen_on_any_port(city: City) -> None:
    client, _ = await city.ready(public=True, redirect_uris=(CALLBACK, "http://[::1]/cb", "http://localhost:9999/callback"))
    elsewhere = "http://127.0.0.1:51004/callback"
    answer = await city.authorize(client, redirect_uri=elsewhere)
    assert answer.headers["location"].startswith(f"{elsewhere}?")
    code = query_of(answer.headers["location"])["code"]
    assert (await city.exchange(client, None, code)).json()["code"] == "CODE_REDIRECT_URI_MISMATCH", "the token request repeats it"
    assert (await city.exchange(client, None, code, redirect_uri=elsewhere)).status_code == 200
    assert (await city.authorize(client, redirect_uri="http://[::1]:7/cb")).status_code == 303


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:51004/callback/",
        "http://127.0.0.1:51004/",
        "http://127.0.0.1:51004",
        "http://127.0.0.1:0/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:80x/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.2:9999/callback",
        "http://localhost:51004/callback",
        "https://127.0.0.1:51004/callback",
        "HTTP://127.0.0.1:51004/callback",
        "http://127.0.0.1:51004/callback#x",
        "http://127.0.0.1:51004/callback?x",
        "http://127.0.0.1:51004\\@evil.example/callback",
        "http://127.0.0.1:51004/callback\n",
        "http://127.0.0.1:٥٠/callback",
    ],
)
async def test_nothing_but_the_port_may_differ(city: City, uri: str) -> None:
    client, _ = await city.ready(public=True)
    answer = await city.authorize(client, redirect_uri=uri)
    assert (answer.status_code, answer.json()["code"]) == (400, "REDIRECT_URI_MISMATCH")


def test_a_form_may_end_at_any_port_of_such_a_client() -> None:
    assert source_of("http://127.0.0.1:9999/callback", any_port=True) == "http://127.0.0.1:*"
    assert source_of("http://127.0.0.1:9999/callback") == "http://127.0.0.1:9999"
    assert source_of("https://portal.example/callback", any_port=True) == "https://portal.example"
    assert source_of("cn.gov.app:/callback", any_port=True) == "cn.gov.app:"


async def test_a_confidential_client_keeps_its_port(city: City) -> None:
    client, _ = await city.ready()
    assert (await city.authorize(client, redirect_uri="http://127.0.0.1:51004/callback")).status_code == 400


def test_ports_are_left_out_of_loopback_addresses_only() -> None:
    assert without_loopback_port("http://[::1]:7/cb") == ("[::1]", "/cb") == without_loopback_port("http://[::1]/cb")
    assert without_loopback_port("http://portal.example:7/cb") is None
    assert NewClient("甲", "a", "990100").public is False


async def test_a_verified_name_says_when_and_by_what_and_never_the_number(city: City, realname: RealName) -> None:
    client, secret = await city.ready()
    number = "990100197003131003"
    person = Actor(ActorKind.PERSON, str(city.account.id))
    await bind_real_name(realname, person, parse_claim("钱晓明", "990100195409041017", "111"))
    city.clock.advance(minutes=1)
    checked = city.clock.now()
    await bind_real_name(realname, person, parse_claim("钱晓明", number, "111"))
    city.clock.advance(minutes=1)
    info = await city.userinfo((await city.tokens(client, secret, scope="openid real_name"))["access_token"])
    time = checked.strftime("%Y-%m-%dT%H:%M:%SZ")
    record = {
        "type": "electronic_record",
        "check_details": [{"check_method": "data", "organization": "registry"}],
        "time": time,
        "record": {"type": "population_register", "source": {"name": "registry"}},
    }
    verification = {"trust_framework": "cn_gbt_40651", "assurance_level": "2", "time": time, "evidence": [record]}
    assert info.json()["verified_claims"] == {"verification": verification, "claims": {"name": "钱晓明"}}
    assert number not in info.text


async def test_a_name_without_kept_evidence_claims_none(city: City) -> None:
    client, secret = await city.ready()
    async with city.database.begin() as session:
        await set_identity(session, city.clock.now(), city.account.id, name="钱晓明", level=4)
    info = await city.userinfo((await city.tokens(client, secret, scope="openid real_name"))["access_token"])
    assert info.json()["verified_claims"]["verification"] == {"trust_framework": "cn_gbt_40651", "assurance_level": "4"}


async def test_discovery_promises_no_claims_parameter(city: City) -> None:
    told = (await city.browser.get("/.well-known/openid-configuration")).json()
    assert told["claims_parameter_supported"] is False
