"""What an attacker would try at the provider; each attempt has its own code and leaves nothing behind."""

import asyncio
import base64
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import text

from identity.clients import rotate_secret
from identity.people import set_active
from tests.portal import CALLBACK, City, challenge_of, query_of


async def test_code_works_once_and_its_replay_revokes_what_was_issued(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    tokens = (await city.exchange(client, secret, code)).json()
    again = await city.exchange(client, secret, code)
    assert (again.status_code, again.json()["error"], again.json()["code"]) == (400, "invalid_grant", "CODE_REUSED")
    assert (await city.userinfo(tokens["access_token"])).status_code == 401
    refreshed = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.json()["code"] == "GRANT_REVOKED"
    assert ("identity.token.refuse", "CODE_REUSED") in await audited()


async def test_replay_without_the_verifier_revokes_too(city: City) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    tokens = (await city.exchange(client, secret, code)).json()
    assert (await city.exchange(client, secret, code, "x" * 43)).json()["code"] == "CODE_REUSED"
    assert (await city.userinfo(tokens["access_token"])).status_code == 401


async def test_of_twenty_simultaneous_uses_of_a_code_one_wins(city: City) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    answers = await asyncio.gather(*(city.exchange(client, secret, code) for _ in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 19}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 400} == {"CODE_REUSED"}
    async with city.database.session() as session:
        for table in ("oidc_access_tokens", "oidc_refresh_tokens"):
            assert await session.scalar(text(f"SELECT count(*) FROM identity.{table}")) == 1


async def test_expired_code(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    city.clock.advance(seconds=60)
    answer = await city.exchange(client, secret, code)
    assert (answer.json()["error"], answer.json()["code"]) == ("invalid_grant", "CODE_EXPIRED")
    assert ("identity.token.refuse", "CODE_EXPIRED") in await audited()


WEAK_CHALLENGES = [
    {"code_challenge": None, "code_challenge_method": None},
    {"code_challenge_method": "plain"},
    {"code_challenge_method": None},
    {"code_challenge": "v" * 43, "code_challenge_method": "PLAIN"},
    {"code_challenge": None},
    {"code_challenge": "short"},
    {"code_challenge": "ä" * 43},
]


@pytest.mark.parametrize("public", [False, True])
async def test_pkce_cannot_be_left_out_or_weakened(city: City, audited: Any, public: bool) -> None:
    client, _ = await city.ready(public=public)
    for changes in WEAK_CHALLENGES:
        answer = query_of((await city.authorize(client, **changes)).headers["location"])
        assert answer["error"] == "invalid_request", changes
        assert "code" not in answer
    assert (await audited()).count(("identity.authorize.refuse", "PKCE_REQUIRED")) == len(WEAK_CHALLENGES)


async def test_wrong_verifier(city: City) -> None:
    client, secret = await city.ready()
    code = await city.code(client)
    for verifier in ("w" * 43, "", challenge_of("v" * 43), "v" * 42, "v" * 44):
        answer = await city.exchange(client, secret, code, verifier)
        assert (answer.status_code, answer.json()["code"]) == (400, "PKCE_FAILED")
        assert answer.json()["error"] == "invalid_grant"
    assert (await city.exchange(client, secret, code)).status_code == 200, "a wrong guess burns nothing"


async def test_only_the_named_profile_lifts_pkce_and_is_audited(city: City, database: Any) -> None:
    client, secret = await city.ready(conformance_profile="oidcc-basic")
    code = await city.code(client, code_challenge=None, code_challenge_method=None)
    downgraded = await city.exchange(client, secret, code)
    assert downgraded.json()["code"] == "PKCE_FAILED", "a verifier without a challenge is an injected code (RFC 9700)"
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    assert (await city.token(client, secret, **fields)).status_code == 200
    async with database.session() as session:
        bodies = await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events"))
        assert sum('"conformance_profile":"oidcc-basic"' in body for body in bodies) == 2


async def test_code_of_another_client(city: City) -> None:
    client, secret = await city.ready()
    thief, thiefs_secret = await city.register()
    code = await city.code(client)
    assert (await city.exchange(thief, thiefs_secret, code)).json()["code"] == "CODE_UNKNOWN"
    assert (await city.exchange(client, secret, code)).status_code == 200, "the thief burnt nothing"


async def test_refresh_token_of_another_client(city: City) -> None:
    client, secret = await city.ready()
    thief, thiefs_secret = await city.register()
    tokens = await city.tokens(client, secret)
    stolen = await city.token(thief, thiefs_secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert stolen.json()["code"] == "REFRESH_TOKEN_UNKNOWN"
    await city.post("/oauth/revoke", thief, thiefs_secret, token=tokens["refresh_token"])
    await city.post("/oauth/revoke", thief, thiefs_secret, token=tokens["access_token"])
    assert (await city.userinfo(tokens["access_token"])).status_code == 200
    assert (await city.post("/oauth/introspect", thief, thiefs_secret, token=tokens["access_token"])).json() == {"active": False}


ALTERED = [
    "http://127.0.0.1:9999/callback/",
    "http://127.0.0.1:9999/callback?x=1",
    "http://127.0.0.1:9998/callback",
    "http://127.0.0.1:9999/CALLBACK",
    "http://127.0.0.1:9999/callback#a",
    "http://127.0.0.1:9999@evil.example/callback",
    "javascript:alert(1)",
    "https://evil.example/",
    'x"y<script>alert(1)</script>',
    "",
    None,
]


async def test_an_altered_redirect_goes_nowhere(city: City, audited: Any) -> None:
    client, _ = await city.ready()
    for uri in ALTERED:
        answer = await city.authorize(client, redirect_uri=uri)
        assert answer.status_code == 400, uri
        assert "location" not in answer.headers
        assert answer.json()["code"] == "REDIRECT_URI_MISMATCH"
        assert "<script>" not in answer.text
    assert (await audited()).count(("identity.authorize.refuse", "REDIRECT_URI_MISMATCH")) == len(ALTERED)


UNKNOWN = ["nobody", "", "a" * 5000, "\x00", "<script>", "中文", "' OR 1=1 --"]


async def test_unknown_client_goes_nowhere(city: City, audited: Any) -> None:
    for client_id in UNKNOWN:
        answer = await city.browser.get("/oauth/authorize", params={"client_id": client_id, "redirect_uri": "https://evil.example/"})
        assert (answer.status_code, answer.json()["code"]) == (400, "UNKNOWN_CLIENT"), client_id
        assert "location" not in answer.headers
    assert (await audited()).count(("identity.authorize.refuse", "UNKNOWN_CLIENT")) == len(UNKNOWN)


async def test_other_redirect_at_the_token_endpoint(city: City) -> None:
    client, secret = await city.ready()
    other = await city.exchange(client, secret, await city.code(client), redirect_uri="http://localhost:9999/callback")
    assert other.json()["code"] == "CODE_REDIRECT_URI_MISMATCH"


BAD_REQUESTS: list[tuple[dict[str, str | None], str]] = [
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_type": 'co"de\\'}, "unsupported_response_type"),
    ({"response_type": None}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
    ({"registration": "{}"}, "registration_not_supported"),
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "create"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "١"}, "invalid_request"),
    ({"claims": "{"}, "invalid_request"),
    ({"claims": '{"id_token":[]}'}, "invalid_request"),
    ({"claims": '{"id_token":{"acr":7}}'}, "invalid_request"),
    ({"id_token_hint": "eyJhbGciOiJub25lIn0.e30."}, "invalid_request"),
    ({"scope": "openid certificates:issue"}, "invalid_scope"),
    ({"scope": ""}, "invalid_scope"),
    ({"nonce": "n" * 3000}, "invalid_request"),
]


async def test_bad_requests_are_told_to_the_client(city: City) -> None:
    client, _ = await city.ready()
    for changes, error in BAD_REQUESTS:
        response = await city.authorize(client, **changes)
        assert response.status_code == 303, changes
        assert response.headers["location"].startswith(f"{CALLBACK}?")
        answer = query_of(response.headers["location"])
        assert answer["error"] == error, changes
        assert answer["state"] == "st"
        assert "code" not in answer


async def test_repeated_parameters(city: City) -> None:
    client, _ = await city.ready()
    url = str((await city.authorize(client)).request.url)
    told = await city.browser.get(f"{url}&scope=openid")
    assert query_of(told.headers["location"])["error"] == "invalid_request"
    shown = await city.browser.get(f"{url}&redirect_uri=https%3A%2F%2Fevil.example")
    assert (shown.status_code, shown.json()["code"]) == (400, "REPEATED_PARAMETER")
    twice = await city.browser.post("/oauth/token", data={"grant_type": ["a", "b"]})
    assert twice.json()["code"] == "REPEATED_PARAMETER"


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


async def test_client_authentication_answers_alike(city: City, audited: Any) -> None:
    client, secret = await city.ready()
    public, _ = await city.ready(public=True)
    fields = {"grant_type": "authorization_code", "code": "fjc_x", "redirect_uri": CALLBACK}
    attempts: list[tuple[dict[str, str], str | None]] = [
        ({}, basic(client.client_id, "wrong")),
        ({}, basic("nobody", "wrong")),
        ({}, basic(public.client_id, "anything")),
        ({}, basic(client.client_id, "")),
        ({}, "Basic !!!"),
        ({}, "Basic " + base64.b64encode(b"\xff\xfe:x").decode()),
        ({}, "Bearer x"),
        ({}, None),
        ({"client_id": client.client_id}, None),
        ({"client_id": client.client_id, "client_secret": "wrong"}, None),
        ({"client_id": "nobody", "client_secret": "wrong"}, None),
        ({"client_id": client.client_id, "client_secret": secret or ""}, basic(client.client_id, secret or "")),
        ({"client_id": public.client_id}, basic(client.client_id, secret or "")),
    ]
    async with city.new_browser() as portal:
        for extra, authorization in attempts:
            headers = {"Authorization": authorization} if authorization else {}
            answer = await portal.post("/oauth/token", data=fields | extra, headers=headers)
            assert answer.status_code == 401, (extra, authorization)
            assert answer.json() == {
                "error": "invalid_client",
                "error_description": "Client authentication failed.",
                "code": "CLIENT_AUTHENTICATION_FAILED",
            }
            assert answer.headers["www-authenticate"].startswith("Basic ")
    assert ("identity.token.refuse", "CLIENT_AUTHENTICATION_FAILED") in await audited()


async def test_failures_of_a_client_are_limited_and_good_requests_are_not(city: City) -> None:
    client, secret = await city.register(grant_types=("client_credentials",), scopes=("verify",), redirect_uris=())
    codes = Counter()
    for _ in range(62):
        codes[(await city.token(client, "wrong", grant_type="client_credentials")).status_code] += 1
    assert codes == {401: 60, 429: 2}
    limited = await city.token(client, "wrong", grant_type="client_credentials")
    assert 0 < int(limited.headers["retry-after"]) <= 60
    assert (await city.token(client, secret, grant_type="client_credentials")).status_code == 200


async def test_two_secrets_while_one_replaces_the_other(city: City) -> None:
    client, first = await city.register(grant_types=("client_credentials",), scopes=("verify",), redirect_uris=())
    async with city.database.begin() as session:
        second = await rotate_secret(session, city.clock.now(), client.client_id)
    for secret in (first, second):
        assert (await city.token(client, secret, grant_type="client_credentials")).status_code == 200
    city.clock.advance(days=14)
    assert (await city.token(client, first, grant_type="client_credentials")).status_code == 401
    assert (await city.token(client, second, grant_type="client_credentials")).status_code == 200


async def test_secrets_are_not_stored(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    tables = ("oidc_clients", "oidc_grants", "oidc_access_tokens", "oidc_refresh_tokens")
    async with city.database.session() as session:
        stored = "".join([str((await session.execute(text(f"SELECT t::text FROM identity.{table} t"))).all()) for table in tables])
        stored += str((await session.execute(text("SELECT convert_from(body, 'UTF8') FROM keys.audit_events"))).all())
    for value in (secret, tokens["access_token"], tokens["refresh_token"], tokens["id_token"]):
        assert value
        assert value not in stored
        assert value.encode().hex() not in stored


async def test_grants_a_client_may_not_use(city: City) -> None:
    client, secret = await city.ready(grant_types=("authorization_code",))
    assert "refresh_token" not in await city.tokens(client, secret)
    own = await city.token(client, secret, grant_type="client_credentials")
    assert (own.status_code, own.json()["error"]) == (400, "unauthorized_client")
    for grant in ("password", "implicit", "", "urn:ietf:params:oauth:grant-type:token-exchange"):
        assert (await city.token(client, secret, grant_type=grant)).json()["error"] == "unsupported_grant_type"


async def test_a_token_in_the_address_is_refused(city: City) -> None:
    client, secret = await city.ready()
    token = (await city.tokens(client, secret))["access_token"]
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        async with city.new_browser() as portal:
            answer = await portal.get(f"/oauth/userinfo?a=b&access_token={token}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "TOKEN_IN_ADDRESS")
        assert token not in answer.text


async def test_userinfo_takes_a_post_and_one_token(city: City) -> None:
    client, secret = await city.ready()
    token = (await city.tokens(client, secret))["access_token"]
    async with city.new_browser() as portal:
        assert (await portal.post("/oauth/userinfo", data={"access_token": token})).status_code == 200
        assert (await portal.post("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})).status_code == 200
        both = await portal.post("/oauth/userinfo", data={"access_token": token}, headers={"Authorization": f"Bearer {token}"})
        assert both.status_code == 400
        for bad in ("", "x", "<script>", token[:-1], token + "x"):
            refused = await portal.get("/oauth/userinfo", headers={"Authorization": f"Bearer {bad}"})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer ")
        assert (await portal.get("/oauth/userinfo")).status_code == 401


async def test_a_refresh_token_is_no_access_token_and_the_reverse(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    assert (await city.userinfo(tokens["refresh_token"])).status_code == 401
    swapped = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["access_token"])
    assert swapped.json()["code"] == "REFRESH_TOKEN_UNKNOWN"


async def test_tokens_end_with_their_time_and_their_account(city: City) -> None:
    client, secret = await city.ready()
    tokens = await city.tokens(client, secret)
    async with city.database.begin() as session:
        await set_active(session, city.clock.now(), city.account.id, False)
    assert (await city.userinfo(tokens["access_token"])).status_code == 401
    refused = await city.token(client, secret, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["code"] == "GRANT_REVOKED"
    async with city.database.begin() as session:
        await set_active(session, city.clock.now(), city.account.id, True)
    assert (await city.userinfo(tokens["access_token"])).status_code == 200
    city.clock.advance(minutes=10)
    assert (await city.userinfo(tokens["access_token"])).status_code == 401


MALFORMED = [
    ("application/json", b"{}"),
    ("application/x-www-form-urlencoded", b"a" * 20_000),
    ("application/x-www-form-urlencoded", b"grant_type=%ff%fe"),
    ("application/x-www-form-urlencoded", b"\xff=\xff"),
    ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % n for n in range(100))),
    ("multipart/form-data; boundary=x", b"--x--"),
]


async def test_malformed_bodies(city: City) -> None:
    cases = [(path, *case) for path in ("/oauth/token", "/oauth/introspect", "/oauth/revoke") for case in MALFORMED]
    for path, content_type, body in cases:
        answer = await city.browser.post(path, content=body, headers={"Content-Type": content_type})
        assert answer.status_code in {400, 401}
        assert answer.json()["error"] in {"invalid_request", "invalid_client"}
