"""Discovery, keys, introspection, revocation and log-out."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api.routes.oidc import routes
from identity.authorize import deny_redirect, pending_request
from identity.clients import InvalidInput, NewClient, check_new_client, problem_with_uri
from identity.id_tokens import recognise
from identity.logout import log_out_confirmed
from identity.provider import open_provider
from tests.portal import CALLBACK, ISSUER, City, query_of

BYE = "http://127.0.0.1:9999/bye"


async def test_discovery_is_honest(city: City) -> None:
    document = (await city.browser.get("/.well-known/openid-configuration")).json()
    assert document == (await city.browser.get("/.well-known/oauth-authorization-server")).json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256", "RS256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    paths = {route.path for route in routes}
    named = {value.removeprefix(ISSUER) for name, value in document.items() if name.endswith(("_endpoint", "jwks_uri"))}
    assert named <= paths
    assert len(named) == 7


async def test_keys_are_public_halves_only(city: City) -> None:
    response = await city.browser.get("/oauth/jwks")
    assert response.headers["access-control-allow-origin"] == "*"
    keys = response.json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    assert all(not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys() for key in keys)


async def test_scripts_of_other_sites_may_read_what_brings_no_cookie(city: City) -> None:
    for path in ("/oauth/token", "/oauth/userinfo", "/oauth/jwks", "/.well-known/openid-configuration"):
        answer = await city.browser.options(path, headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
        assert "access-control-allow-credentials" not in answer.headers
    for path in ("/oauth/authorize", "/oauth/logout", "/oauth/introspect"):
        answer = await city.browser.options(path, headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in answer.headers


async def test_introspection(city: City) -> None:
    client, secret = await city.ready()
    server, servers_secret = await city.register(
        grant_types=("client_credentials",), scopes=("verify",), redirect_uris=(), may_introspect=True
    )
    tokens = await city.tokens(client, secret)
    for asker, its_secret in ((client, secret), (server, servers_secret)):
        seen = (await city.post("/oauth/introspect", asker, its_secret, token=tokens["access_token"])).json()
        assert seen["active"] is True
        assert seen["sub"] == str(city.account.id)
        assert seen["client_id"] == client.client_id
        assert seen["scope"] == "openid profile"
        assert seen["exp"] - seen["iat"] == 600
    own = (await city.post("/oauth/introspect", client, secret, token=tokens["refresh_token"])).json()
    assert own["active"] is True
    assert (await city.post("/oauth/introspect", server, servers_secret, token=tokens["refresh_token"])).json() == {"active": False}
    assert (await city.post("/oauth/introspect", client, secret, token="fja_unknown")).json() == {"active": False}
    assert (await city.post("/oauth/introspect", client, secret)).status_code == 400
    public, _ = await city.register(public=True)
    async with city.new_browser() as portal:
        refused = await portal.post("/oauth/introspect", data={"client_id": public.client_id, "token": tokens["access_token"]})
    assert refused.status_code == 401
    city.clock.advance(minutes=10)
    assert (await city.post("/oauth/introspect", server, servers_secret, token=tokens["access_token"])).json() == {"active": False}


async def test_revoking_an_access_token_leaves_the_family(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    assert (await city.post("/oauth/revoke", client, secret, token=tokens["access_token"])).status_code == 200
    assert (await city.userinfo(tokens["access_token"])).status_code == 401
    assert (await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])).status_code == 200
    assert ("identity.token.revoke", None) in await audited()


async def test_revoking_a_refresh_token_ends_the_family(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    hint = "access_token"  # a wrong one
    revoked = await city.post("/oauth/revoke", client, secret, token=tokens["refresh_token"], token_type_hint=hint)
    assert revoked.status_code == 200
    assert (await city.userinfo(tokens["access_token"])).status_code == 401
    again = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.json()["code"] == "GRANT_REVOKED"
    assert (await city.post("/oauth/revoke", client, secret, token="unknown")).status_code == 200


async def test_logout_with_a_hint_asks_nothing(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    offline = await city.tokens(client, secret, scope="openid offline_access")
    query = urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": BYE, "state": "s&t"})
    city.clock.advance(hours=1)  # the hint may have expired
    answer = await city.browser.get(f"/oauth/logout?{query}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{BYE}?state=s%26t"
    assert 'fujie_session=""' in answer.headers["set-cookie"]
    for token in (tokens, offline):
        assert (await city.userinfo(token["access_token"])).status_code == 401
    refused = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["code"] == "GRANT_REVOKED"
    kept = await city.token(client, secret, grant_type="refresh_token", refresh_token=offline["refresh_token"])
    assert kept.status_code == 200
    assert (await city.authorize(client)).headers["location"].startswith("/login?")
    assert ("identity.logout.end", None) in await audited()


async def test_posted_logout_without_cookie_ends_the_hinted_session(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    async with city.new_browser() as other_site:
        answer = await other_site.post("/oauth/logout", data={"id_token_hint": tokens["id_token"]})
    assert answer.headers["location"] == "/logout?done=1"
    assert (await city.authorize(client)).headers["location"].startswith("/login?")


async def test_logout_without_a_hint_is_confirmed_first(city: City) -> None:
    client, _ = await city.ready()
    asked = {"client_id": client.client_id, "post_logout_redirect_uri": BYE, "state": "x"}
    answer = await city.browser.get(f"/oauth/logout?{urlencode(asked)}")
    assert answer.headers["location"].startswith("/logout?next=%2Foauth%2Flogout%3F")
    assert "set-cookie" not in answer.headers
    assert "code" in query_of((await city.authorize(client)).headers["location"]), "nothing has ended yet"
    house = city.app.state.house
    provider = open_provider(house.database, house.redis, house.keystore, house.clock, ISSUER)
    target = await log_out_confirmed(provider, asked, city.browser.cookies["fujie_session"])
    assert target == f"{BYE}?state=x"
    assert (await city.authorize(client)).headers["location"].startswith("/login?")


async def test_logout_goes_only_where_it_is_registered(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    for address in ("https://evil.example/", f"{BYE}/", f"{BYE}?a=1", CALLBACK):
        query = urlencode({"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": address})
        answer = await city.browser.get(f"/oauth/logout?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "POST_LOGOUT_REDIRECT_URI_MISMATCH")
    assert (await city.userinfo(tokens["access_token"])).status_code == 200


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return f"{parts[0]}.{parts[1]}."


async def test_forged_hints(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    genuine = await city.id_token(tokens["id_token"])
    kid = genuine.header["kid"]
    keys = (await city.browser.get("/oauth/jwks")).json()
    body, signature = tokens["id_token"].rsplit(".", 1)
    # HMAC keyed with the published key: the classic confusion of algorithms.
    confused = jwt.encode({"alg": "HS256", "kid": kid, "typ": "JWT"}, dict(genuine.claims), OctKey.import_key(json.dumps(keys["keys"][0])))
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = last[last.index(signature[-1]) ^ 1]
    forgeries = [
        unsigned(genuine.claims, {"alg": "none", "typ": "JWT"}),
        unsigned(genuine.claims, {"alg": "none", "kid": kid, "typ": "JWT"}),
        unsigned(genuine.claims, {"alg": "ES256", "kid": kid, "typ": "JWT"}),
        confused,
        f"{body}.{signature}=",
        f"{body}.{signature[:-1]}{twin}",
        f"{body}.{'A' * len(signature)}",
        f"{body[:-1]}{'A' if body[-1] != 'A' else 'B'}.{signature}",
        "x",
        "a.b.c",
    ]
    assert recognise(keys, "JWT", tokens["id_token"]) is not None
    assert recognise(keys, "arrival+jwt", tokens["id_token"]) is None
    for forgery in forgeries:
        assert recognise(keys, "JWT", forgery) is None, forgery
        answer = await city.browser.get(f"/oauth/logout?{urlencode({'id_token_hint': forgery})}")
        assert (answer.status_code, answer.json()["code"]) == (400, "BAD_LOGOUT_HINT")
    assert (await city.userinfo(tokens["access_token"])).status_code == 200


async def test_hint_of_another_client(city: City) -> None:
    client, secret = await city.ready()
    other, _ = await city.register()
    tokens = await city.tokens(client, secret)
    query = urlencode({"id_token_hint": tokens["id_token"], "client_id": other.client_id})
    assert (await city.browser.get(f"/oauth/logout?{query}")).json()["code"] == "BAD_LOGOUT_HINT"


async def test_pages_learn_who_asks_and_for_what(city: City) -> None:
    client, _ = await city.register()
    house = city.app.state.house
    provider = open_provider(house.database, house.redis, house.keystore, house.clock, ISSUER)
    following = query_of((await city.authorize(client, ui_locales="zh-CN")).headers["location"])["next"]
    pending = await pending_request(provider, following)
    assert pending is not None
    assert (pending.client.name_zh, pending.scopes, pending.ui_locales) == ("水务门户", ("openid", "profile"), "zh-CN")
    for other in ("/", "/account", "https://evil.example/oauth/authorize", "/oauth/authorize", following.replace("S256", "plain")):
        assert await pending_request(provider, other) is None
    denied = await city.browser.get(deny_redirect(following))
    assert query_of(denied.headers["location"])["error"] == "access_denied"


@pytest.mark.parametrize(
    ("uri", "good"),
    [
        ("https://portal.example/cb", True),
        ("http://127.0.0.1:9999/cb", True),
        ("http://[::1]:9999/cb", True),
        ("com.example.app:/cb", True),
        ("http://portal.example/cb", False),
        ("https://portal.example/cb#x", False),
        ("https://u@portal.example/cb", False),
        ("https://*.example/cb", False),
        ("https:///cb", False),
        ("https://[", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("/cb", False),
        ("https://portal.example/\r\nSet-Cookie:x", False),
    ],
)
def test_addresses_that_may_be_registered(uri: str, good: bool) -> None:
    assert (problem_with_uri(uri) is None) is good


@pytest.mark.parametrize(
    "changes",
    [
        {"scopes": ("openid", "root")},
        {"grant_types": ("password",)},
        {"id_token_alg": "none"},
        {"conformance_profile": "anything"},
        {"redirect_uris": ()},
        {"public": True, "grant_types": ("client_credentials",)},
    ],
)
def test_contradictory_registrations(changes: dict[str, Any]) -> None:
    good = {"name_zh": "门户", "name_en": "Portal", "division": "990100", "redirect_uris": (CALLBACK,)}
    check_new_client(NewClient(**good))
    with pytest.raises(InvalidInput):
        check_new_client(NewClient(**good | changes))
