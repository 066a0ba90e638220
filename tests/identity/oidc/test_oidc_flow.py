"""Logging in at a portal, from the request to the refresh."""

import json
import uuid

import pytest

from identity.login_policy import PASSWORD_AND_OTP
from tests.portal import CALLBACK, ISSUER, City, query_of


async def test_code_flow_gives_what_was_asked(city: City, audited) -> None:
    client, secret = await city.ready()
    response = await city.authorize(client)
    assert response.status_code == 303
    assert response.headers["location"].startswith(f"{CALLBACK}?")
    answer = query_of(response.headers["location"])
    assert answer["state"] == "st"
    assert answer["iss"] == ISSUER

    exchanged = await city.exchange(client, secret, answer["code"])
    assert exchanged.status_code == 200, exchanged.text
    assert exchanged.headers["cache-control"] == "no-store"
    tokens = exchanged.json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 600
    assert tokens["scope"] == "openid profile"
    assert tokens["refresh_token"]

    token = await city.id_token(tokens["id_token"])
    assert token.header["alg"] == "ES256"
    assert token.claims["iss"] == ISSUER
    assert token.claims["sub"] == str(city.account.id)
    assert token.claims["aud"] == token.claims["azp"] == client.client_id
    assert token.claims["nonce"] == "no"
    assert token.claims["acr"] == "urn:fujie:acr:aal1"
    assert token.claims["amr"] == ["pwd"]
    assert token.claims["exp"] > token.claims["iat"] > token.claims["auth_time"]
    assert {"at_hash", "sid"} <= token.claims.keys()

    info = await city.userinfo(tokens["access_token"])
    assert info.json() == {"sub": str(city.account.id), "name": "钱先生", "updated_at": int(city.account.updated_at.timestamp())}
    actions = [action for action, _ in await audited()]
    assert actions[-2:] == ["identity.authorize.issue_code", "identity.token.issue"]


async def test_rs256_where_the_client_is_registered_so(city: City) -> None:
    client, secret = await city.ready(id_token_alg="RS256")
    tokens = await city.tokens(client, secret)
    assert (await city.id_token(tokens["id_token"])).header["alg"] == "RS256"


async def test_secret_in_the_body_and_public_client(city: City) -> None:
    client, secret = await city.ready()
    answer = await city.token(
        client,
        None,
        client_secret=secret or "",
        grant_type="authorization_code",
        code=await city.code(client),
        redirect_uri=CALLBACK,
        code_verifier="v" * 43,
    )
    assert answer.status_code == 200
    public, none = await city.ready(public=True)
    assert none is None
    assert (await city.tokens(public, None))["access_token"]


async def test_real_name_is_released_to_its_scope_only(city: City) -> None:
    client, secret = await city.ready()
    plain = await city.userinfo((await city.tokens(client, secret))["access_token"])
    assert "identity_assurance_level" not in plain.json()
    named = await city.userinfo((await city.tokens(client, secret, scope="openid real_name"))["access_token"])
    assert named.json() == {"sub": str(city.account.id), "identity_assurance_level": 0}


async def test_without_a_session_to_the_login_and_back(city: City) -> None:
    client, _ = await city.register()
    response = await city.authorize(client)
    assert response.headers["location"].startswith("/login?next=%2Foauth%2Fauthorize%3F")
    following = query_of(response.headers["location"])["next"]
    await city.log_in()
    await city.consent(client)
    resumed = await city.browser.get(following)
    assert query_of(resumed.headers["location"])["code"]


async def test_a_request_too_long_to_come_back_to_is_refused_at_once(city: City) -> None:
    client, _ = await city.register()
    answer = query_of((await city.authorize(client, state="s" * 2048, nonce="n" * 2048)).headers["location"])
    assert (answer["error"], answer["state"]) == ("invalid_request", "s" * 2048)


async def test_posted_request(city: City) -> None:
    client, _ = await city.ready()
    got = await city.authorize(client)
    posted = await city.browser.post("/oauth/authorize", data=dict(got.request.url.params))
    assert query_of(posted.headers["location"])["code"]


async def test_consent_is_asked_once_and_again_for_more(city: City) -> None:
    client, _ = await city.register()
    await city.log_in()
    assert (await city.authorize(client)).headers["location"].startswith("/consent?next=")
    await city.consent(client, ("openid", "profile"))
    assert "code" in query_of((await city.authorize(client)).headers["location"])
    more = await city.authorize(client, scope="openid profile real_name")
    assert more.headers["location"].startswith("/consent?next=")


@pytest.mark.parametrize(
    ("logged_in", "consented", "error"),
    [(False, False, "login_required"), (True, False, "consent_required"), (True, True, None)],
)
async def test_prompt_none_never_asks(city: City, logged_in: bool, consented: bool, error: str | None) -> None:
    client, _ = await city.register()
    if logged_in:
        await city.log_in()
    if consented:
        await city.consent(client)
    answer = query_of((await city.authorize(client, prompt="none")).headers["location"])
    assert answer.get("error") == error
    assert answer["iss"] == ISSUER
    assert answer["state"] == "st"
    assert ("code" in answer) is (error is None)


@pytest.mark.parametrize("demand", [{"prompt": "login"}, {"max_age": "0"}, {"prompt": "select_account"}])
async def test_a_fresh_login_is_asked_exactly_once(city: City, demand: dict[str, str]) -> None:
    client, secret = await city.ready()
    first = await city.authorize(client, **demand)
    assert first.headers["location"].startswith("/login?next=")
    following = query_of(first.headers["location"])["next"]

    city.clock.advance(seconds=5)
    unchanged = await city.browser.get(following)
    assert unchanged.headers["location"].startswith("/login?next="), "the old session does not do"

    await city.log_in()
    city.clock.advance(seconds=5)
    fresh = await city.browser.get(following)
    code = query_of(fresh.headers["location"])["code"]
    token = await city.id_token((await city.exchange(client, secret, code)).json()["id_token"])
    assert token.claims["auth_time"] == int(city.clock.now().timestamp()) - 5

    other_request = await city.authorize(client, state="another", arrival=query_of(following)["arrival"], **demand)
    assert other_request.headers["location"].startswith("/login?next="), "the marker is bound to its request"


async def test_prompt_consent_asks_once(city: City) -> None:
    client, _ = await city.ready()
    asked = await city.authorize(client, prompt="consent")
    assert asked.headers["location"].startswith("/consent?next=")
    following = query_of(asked.headers["location"])["next"]
    city.clock.advance(seconds=1)
    await city.consent(client)
    assert "code" in query_of((await city.browser.get(following)).headers["location"])


async def test_max_age_counts_from_the_login(city: City) -> None:
    client, _ = await city.ready()
    assert "code" in query_of((await city.authorize(client, max_age="60")).headers["location"])
    city.clock.advance(seconds=61)
    assert (await city.authorize(client, max_age="60")).headers["location"].startswith("/login?next=")


async def test_essential_acr_steps_up_or_tells_the_client(city: City) -> None:
    client, _ = await city.ready()
    demand = '{"id_token":{"acr":{"essential":true,"values":["urn:fujie:acr:aal2"]}}}'
    asked = await city.authorize(client, claims=demand)
    following = query_of(asked.headers["location"])["next"]
    city.clock.advance(seconds=1)
    await city.log_in()
    weak = query_of((await city.browser.get(following)).headers["location"])
    assert weak["error"] == "unmet_authentication_requirements"
    await city.log_in(PASSWORD_AND_OTP)
    assert "code" in query_of((await city.browser.get(following)).headers["location"])
    assert "code" in query_of((await city.authorize(client, acr_values="urn:fujie:acr:aal3")).headers["location"]), "voluntary"


async def test_another_persons_hint_asks_for_that_person(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    assert "code" in query_of((await city.authorize(client, id_token_hint=tokens["id_token"], prompt="none")).headers["location"])
    other = json.dumps({"id_token": {"sub": {"value": str(uuid.uuid4())}}})
    answer = query_of((await city.authorize(client, claims=other, prompt="none")).headers["location"])
    assert answer["error"] == "login_required"


async def test_denied_consent_is_told_to_the_client(city: City) -> None:
    client, _ = await city.ready()
    answer = query_of((await city.authorize(client, decision="deny")).headers["location"])
    assert answer["error"] == "access_denied"
    assert "code" not in answer


async def test_client_acting_for_itself(city: City) -> None:
    client, secret = await city.register(
        grant_types=("client_credentials",), scopes=("certificates:issue", "verify", "openid"), redirect_uris=()
    )
    answer = (await city.token(client, secret, grant_type="client_credentials")).json()
    assert answer["scope"] == "certificates:issue verify"
    assert "refresh_token" not in answer
    assert "id_token" not in answer
    narrow = (await city.token(client, secret, grant_type="client_credentials", scope="verify")).json()
    assert narrow["scope"] == "verify"
    wide = await city.token(client, secret, grant_type="client_credentials", scope="identity:check")
    assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")
    assert (await city.userinfo(answer["access_token"])).status_code == 403
