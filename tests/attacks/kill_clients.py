"""Those who ask for certificates while the house is being killed, and the ledger of what they were told.

A request stays *open* until an answer arrives; only an answer counts as acknowledged.
"""

import asyncio
import base64
import hashlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import asyncpg
import httpx2
import pyotp

from api.demo import city as demonstration
from api.demo.browser import Browser
from keys.base.clock import SystemClock
from tests.running import City

JSON = dict[str, Any]
ISSUE = "certificates:issue certificates:read"
ANSWER_SECONDS = 60.0
CREATED, ACCEPTED, CONFLICT, SERVER_ERROR = 201, 202, 409, 500
LOST = (httpx2.TransportError, OSError)


@dataclass(frozen=True, slots=True)
class Request:
    """One approval of one client; its approval number is as unique as its key."""

    client: str
    key: str
    body: JSON


@dataclass
class Ledger:
    """What was sent, and what was answered before the process died. Keys are Idempotency-Keys."""

    sent: dict[str, Request] = field(default_factory=dict)
    issued: dict[str, JSON] = field(default_factory=dict)
    parked: dict[str, JSON] = field(default_factory=dict)
    stamped: dict[str, JSON] = field(default_factory=dict)  # by the certificate's id
    odd: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def open(self) -> list[Request]:
        return [one for key, one in self.sent.items() if key not in self.issued and key not in self.parked]

    def note(self, request: Request, answer: httpx2.Response) -> None:
        """Book the answer; anything but 201 and 202 leaves the request open."""
        if answer.status_code == CREATED:
            self.issued[request.key] = answer.json()
        elif answer.status_code == ACCEPTED:
            self.parked[request.key] = answer.json()
        else:
            self.odd[f"{answer.status_code} {answer.json().get('code')}"] += 1

    def answer(self, key: str) -> JSON | None:
        return self.issued.get(key) or self.parked.get(key)


@dataclass
class Approver:
    """The approver behind an approving system of their own: a token for a person with two factors."""

    client_id: str
    client_secret: str
    refresh_token: str
    headers: dict[str, str] = field(default_factory=dict)

    async def renew(self, http: httpx2.AsyncClient) -> None:
        """Fresh tokens; the old refresh token is spent."""
        data = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        self._take(await http.post("/oauth/token", data=data, auth=(self.client_id, self.client_secret)))

    def _take(self, answer: httpx2.Response) -> None:
        answer.raise_for_status()
        tokens = answer.json()
        self.refresh_token = tokens["refresh_token"]
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}


async def approver_of(city: City) -> Approver:
    """Register the approving system and log the approver in with password and one-time code."""
    callback = f"{city.base_url}/callback-of-nobody"
    made = await asyncio.to_thread(
        city.fujie, "client", "create", "审批终端", "Approving terminal", "--division", "990100", "--redirect-uri", callback,
        "--scope", "openid", "--scope", "offline_access", "--scope", "certificates:issue",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    client = httpx2.Response(200, content=made.stdout).json()
    verifier = "v" * 64
    address = httpx2.URL(
        f"{city.base_url}/oauth/authorize",
        params={
            "response_type": "code", "client_id": client["client_id"], "redirect_uri": callback, "state": "s",
            "scope": "openid offline_access certificates:issue", "code_challenge": _challenge(verifier), "code_challenge_method": "S256",
            "prompt": "consent",
        },
    )  # fmt: skip
    account = city.account("approver")
    async with Browser(city.base_url) as browser:
        await browser.visit(str(address))
        # The story used this step's code; the next one is good already and was never used.
        code = pyotp.TOTP(account["totp_secret"]).at(SystemClock().now(), counter_offset=1)
        await browser.log_in(account["username"], account["password"], code)
        page = await browser.submit("/consent", decision="allow")
    found = parse_qs(page.url.query.decode())
    assert "code" in found, f"{page.status_code} {page.url}"
    approver = Approver(client["client_id"], client["client_secret"], "")
    async with httpx2.AsyncClient(base_url=city.base_url, trust_env=False, timeout=ANSWER_SECONDS) as http:
        data = {"grant_type": "authorization_code", "code": found["code"][0], "redirect_uri": callback, "code_verifier": verifier}
        approver._take(await http.post("/oauth/token", data=data, auth=(approver.client_id, approver.client_secret)))
    return approver


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Load:
    """All clients of one round. ``run`` goes on until the connection breaks or ``quiet`` is set."""

    city: City
    ledger: Ledger
    approver: Approver
    chance: random.Random
    round: int
    database_url: str
    clients: int = 4
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    templates: list[JSON] = field(default_factory=lambda: list(demonstration.approvals()))
    _numbers: int = 0

    async def run(self) -> None:
        headers = {name: self.city.token(name, ISSUE) for name in ("approvals", "window")}
        async with httpx2.AsyncClient(base_url=self.city.base_url, trust_env=False, timeout=ANSWER_SECONDS) as http:
            jobs = [self._repeat(http, lambda http: self._approve(http, "approvals", headers)) for _ in range(self.clients)]
            jobs.append(self._repeat(http, lambda http: self._approve(http, "window", headers)))
            jobs.append(self._repeat(http, self._stamp))
            await asyncio.gather(*jobs)

    async def _repeat(self, http: httpx2.AsyncClient, step: Callable[[httpx2.AsyncClient], Awaitable[None]]) -> None:
        while not self.quiet.is_set():
            try:
                await step(http)
            except LOST:
                return

    async def _approve(self, http: httpx2.AsyncClient, client: str, headers: dict[str, dict[str, str]]) -> None:
        request = self._next(client)
        self.ledger.sent[request.key] = request
        begun = time.monotonic()
        await send(http, self.ledger, request, headers[client])
        self.ledger.seconds.append(time.monotonic() - begun)

    def _next(self, client: str) -> Request:
        self._numbers += 1
        key = f"kill-{self.round}-{self._numbers}"
        # Only the market bureau's seal has an approver: what the window brings is food licences.
        template = self.templates[1] if client == "window" else self.chance.choice(self.templates)
        return Request(client, key, template | {"approval_number": f"示杀字〔2026〕第{self.round}-{self._numbers}号"})

    async def _stamp(self, http: httpx2.AsyncClient) -> None:
        """Stamp what waits; now and then twice at once, since people click twice."""
        waiting = [one["id"] for one in self.ledger.parked.values() if one["id"] not in self.ledger.stamped]
        if not waiting:
            await asyncio.sleep(0.02)
            return
        certificate = self.chance.choice(waiting)
        body = {"document_hash": await self._unsealed(certificate)}
        times = 2 if self.chance.random() < 0.3 else 1
        calls = [http.post(f"/api/v1/certificates/{certificate}/stamp", json=body, headers=self.approver.headers) for _ in range(times)]
        for answer in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(answer, BaseException):
                if not isinstance(answer, LOST):
                    raise answer
            elif answer.status_code == CREATED:
                self.ledger.stamped[certificate] = answer.json()
            else:
                self.ledger.odd[f"stamp {answer.status_code} {answer.json().get('code')}"] += 1

    async def _unsealed(self, certificate: str) -> str:
        """The hash that the approver's page would show."""
        query = "SELECT unsealed_hash FROM certs.issuings WHERE certificate_id = $1::text::uuid"
        try:
            connection = await asyncpg.connect(self.database_url)
            try:
                found = await connection.fetchval(query, certificate)
            finally:
                connection.terminate()
        except Exception as error:  # whatever the driver says while its server dies under it
            raise httpx2.TransportError("the database is gone") from error
        return bytes(found).hex()


async def send(http: httpx2.AsyncClient, ledger: Ledger, request: Request, headers: dict[str, str]) -> httpx2.Response:
    answer = await http.post("/api/v1/approvals", json=request.body, headers=headers | {"Idempotency-Key": request.key})
    ledger.note(request, answer)
    return answer
