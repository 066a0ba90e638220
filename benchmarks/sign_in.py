"""The OpenID provider: code + PKCE + userinfo with a session and consent already there, and each endpoint by itself.

The same requests go to ours and to the peer, taking turns: confidential client (``client_secret_basic``), S256, an ES256 ID
token, opaque access tokens, refresh tokens that rotate. Ours commits to PostgreSQL and to the audit log; the peer
keeps its state in Valkey, which may lose it.
"""

import asyncio
import base64
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from api.cookies import SESSION_COOKIE
from api.demo import city
from benchmarks.bench import Bench
from benchmarks.cpu import Meter
from benchmarks.instance import STORES, Instance
from benchmarks.measure import Contender, Cost, take_turns
from benchmarks.peers import provider
from benchmarks.peers.installing import NotInstalled
from benchmarks.rows import WALL_MS, Row
from benchmarks.wire import Wire, basic, bearer
from identity.clients import NewClient, create_client
from identity.consents import grant_consent
from identity.login_policy import PASSWORD
from identity.people import find_by_username
from identity.sessions import open_session
from keys.base.actor import Role
from keys.base.clock import SystemClock
from keys.base.db import Database

PEER = "npm oidc-provider"
SCOPE = "openid profile"
COUNTS = {
    "code + PKCE + userinfo": 60,
    "client_credentials": 150,
    "refresh": 100,
    "userinfo": 200,
    "introspection": 150,
    "JWKS": 200,
    "discovery": 200,
}


@dataclass(frozen=True, slots=True)
class Party:
    """A provider with clients registered and a person logged in. ``clients``: name → (client_id, secret)."""

    base_url: str
    clients: Mapping[str, tuple[str, str]]
    cookies: Mapping[str, str]
    machine_scope: str | None
    meter: Meter


def figure(bench: Bench) -> list[Row]:
    ours = prepare(bench.instance)
    with contextlib.ExitStack() as stack:
        try:
            theirs = stack.enter_context(peer(bench))
        except NotInstalled as missing:
            return _rows(compare({"ours": ours}, bench.rounds), str(missing))
        return _rows(compare({"ours": ours, PEER: theirs}, bench.rounds), "")


def compare(parties: Mapping[str, Party], rounds: int) -> dict[str, dict[str, Cost]]:
    """Figure → party → cost."""
    visitors = {name: Visitor(party) for name, party in parties.items()}
    costs = {}
    for what, count in COUNTS.items():
        contenders = {name: Contender(visitor.operations()[what], parties[name].meter, count) for name, visitor in visitors.items()}
        costs[what] = take_turns(contenders, rounds, warm_up=20)
    return costs


def _rows(costs: Mapping[str, Mapping[str, Cost]], missing: str) -> list[Row]:
    rows = []
    for what, cost in costs.items():
        ours, theirs = cost["ours"], cost.get(PEER)
        note = missing or f"stores beside it: PostgreSQL and Valkey {ours.of(*STORES):.2f}, the peer's Valkey {theirs.of(*STORES):.2f}"
        rows.append(Row(what, ours.of("web"), PEER, theirs and theirs.of("web"), note=note))
    flow = costs["code + PKCE + userinfo"]
    ours, theirs = flow["ours"], flow.get(PEER)
    rows.insert(
        1, Row("the same, stores included", ours.total, PEER, theirs and theirs.total, note=missing or "ours is durable and audited")
    )
    rows.insert(2, Row("the same", ours.wall, PEER, theirs and theirs.wall, WALL_MS, missing or "three requests, one after another"))
    return rows


class Visitor:
    """A browser and a portal's server in front of one provider."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._browser, self._back = Wire(party.base_url), Wire(party.base_url)
        self._browser.cookies.update(party.cookies)
        told = self._back.get("/.well-known/openid-configuration").json()
        self._paths = {name: urlsplit(value).path for name, value in told.items() if isinstance(value, str) and value.startswith("http")}
        self._refresh = ""

    def operations(self) -> dict[str, Callable[[int], object]]:
        """By figure. What an operation needs beforehand is made here, outside the measurement."""
        person = self.log_in("portal")["access_token"]
        self._refresh = self.log_in("refresher")["refresh_token"]
        machine = self.client_credentials(0)["access_token"]
        return {
            "code + PKCE + userinfo": lambda _: self.userinfo(self.log_in("portal")["access_token"]),
            "client_credentials": self.client_credentials,
            "refresh": self.refresh,
            "userinfo": lambda _: self.userinfo(person),
            "introspection": lambda _: self.introspect(machine),
            "JWKS": lambda _: self._back.get(self._paths["jwks_uri"]),
            "discovery": lambda _: self._back.get("/.well-known/openid-configuration"),
        }

    def log_in(self, name: str) -> dict[str, Any]:
        """Authorise, follow whatever the provider still wants to ask, exchange the code."""
        verifier = secrets.token_urlsafe(32)
        state, client_id = secrets.token_urlsafe(8), self._party.clients[name][0]
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": provider.CALLBACK,
            "scope": SCOPE,
            "state": state,
            "nonce": secrets.token_urlsafe(8),
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        answered = self._code(f"{self._paths['authorization_endpoint']}?{urlencode(query)}")
        assert answered["state"] == state, answered
        fields = {
            "grant_type": "authorization_code",
            "code": answered["code"],
            "redirect_uri": provider.CALLBACK,
            "code_verifier": verifier,
        }
        tokens = self._token(name, fields)
        assert tokens["id_token"].count(".") == 2
        return tokens

    def _code(self, path: str) -> dict[str, str]:
        """At most a few redirects; where session and consent are there already, one."""
        for _ in range(6):
            location = self._browser.get(path, expect=303).headers["location"]
            if location.startswith(provider.CALLBACK):
                return dict(parse_qsl(urlsplit(location).query))
            parts = urlsplit(location)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        raise AssertionError(f"no code: {location}")

    def _token(self, name: str, fields: Mapping[str, str]) -> dict[str, Any]:
        return self._back.form(self._paths["token_endpoint"], fields, headers=basic(*self._party.clients[name])).json()

    def client_credentials(self, _: int) -> dict[str, Any]:
        scope = self._party.machine_scope
        return self._token("machine", {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {}))

    def refresh(self, _: int) -> None:
        answer = self._token("refresher", {"grant_type": "refresh_token", "refresh_token": self._refresh})
        assert answer["refresh_token"] != self._refresh
        self._refresh = answer["refresh_token"]

    def userinfo(self, token: str) -> None:
        answer = self._back.get(self._paths["userinfo_endpoint"], headers=bearer(token)).json()
        assert {"sub", "name"} <= answer.keys(), answer

    def introspect(self, token: str) -> None:
        client = basic(*self._party.clients["machine"])
        assert self._back.form(self._paths["introspection_endpoint"], {"token": token}, headers=client).json()["active"] is True


def prepare(instance: Instance) -> Party:
    """Two clients of the benchmark's own, the citizen's consent to both, and a session."""
    return asyncio.run(_prepare(instance))


async def _prepare(instance: Instance) -> Party:
    database, now = Database(instance.addresses()["database_url"]), SystemClock().now()
    username = next(one["username"] for one in instance.demo["accounts"] if one["role"] == Role.CITIZEN)
    clients = {"machine": (instance.client("verifier")["client_id"], instance.client("verifier")["client_secret"])}
    async with database.begin() as session:
        account = await find_by_username(session, username)
        assert account is not None
        for name, grants in (("portal", ("authorization_code",)), ("refresher", ("authorization_code", "refresh_token"))):
            new = NewClient(
                name_zh="基准测试",
                name_en="Benchmark",
                division=city.DIVISION,
                redirect_uris=(provider.CALLBACK,),
                grant_types=grants,
                scopes=("openid", "profile"),
            )
            client, secret = await create_client(session, now, new)
            await grant_consent(session, now, account.id, client.client_id, client.scopes)
            clients[name] = (client.client_id, secret or "")
        cookie, _ = await open_session(session, now, account.id, PASSWORD)
    await database.close()
    return Party(instance.base_url, clients, {SESSION_COOKIE: cookie}, "verify", instance.cpu)


@contextlib.contextmanager
def peer(bench: Bench) -> Iterator[Party]:
    """Raises NotInstalled."""
    account = {"id": "0198c0de-0000-7000-8000-000000000001", "name": "卫思远"}
    with provider.running(bench.folder, account) as running:
        clients = {name: (name, provider.SECRET) for name in ("portal", "refresher", "machine")}
        yield Party(running.base_url, clients, {}, None, running.cpu)
