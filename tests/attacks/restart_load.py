"""Those who ask for certificates while everything under the house is restarted, and those who are told.

Every request is asked again under its key until it was answered; a subscriber keeps each message it was told, and some answer badly.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

from api.demo import city as demonstration
from certs.webhook_signing import check
from keys.base.clock import SystemClock
from tests.attacks.restart_house import RestartHouse
from tests.receiving import Receiver, Told

SCOPES = "certificates:issue certificates:read events:receive"
ANSWER_SECONDS = 60.0
CREATED = 201
_LOST = (httpx2.TransportError, OSError)


@dataclass
class Subscriber:
    """``trouble``: how often it answers 500, or cuts the line after it read the message. It checks every signature."""

    name: str
    chance: random.Random
    trouble: float = 0.0
    receiver: Receiver = field(init=False)
    secret: str = ""
    id: str = ""
    good: list[Told] = field(default_factory=list)
    forged: int = 0

    def __post_init__(self) -> None:
        self.receiver = Receiver(self._answer)

    def _answer(self, told: Told) -> int | None:
        try:
            check(told.headers, told.body, [self.secret], SystemClock().now())
        except Exception:
            self.forged += 1
            return 400
        if self.chance.random() < self.trouble:
            # Half of those it cuts off it has taken: whoever sends again must be known by the id.
            cut = self.chance.random() < 0.5
            if cut:
                self.good.append(told)
            return None if cut else 500
        self.good.append(told)
        return 204

    async def restart(self) -> None:
        """Gone for a moment, and back on the same port."""
        await self.receiver.__aexit__()
        await asyncio.sleep(self.chance.uniform(0.1, 2.0))
        await self.receiver.__aenter__()


@dataclass
class Asking:
    """``total`` approvals by ``clients`` at once. ``answered``: by key, what was told."""

    house: RestartHouse
    total: int
    clients: int = 8
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    other: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    _next: int = 0
    _token: dict[str, str] = field(default_factory=dict)
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self.clients)))

    async def _client(self) -> None:
        templates = list(demonstration.approvals())
        async with self.http() as http:
            while self._next < self.total:
                self._next += 1
                number = self._next
                body = templates[number % len(templates)] | {"approval_number": f"示重字〔2026〕第{number}号"}
                await self._until_answered(http, f"restart-{number}", body)

    def http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.house.city.base_url, trust_env=False, timeout=ANSWER_SECONDS)

    async def _until_answered(self, http: httpx2.AsyncClient, key: str, body: dict[str, Any]) -> None:
        while key not in self.answered:
            answer = await self.send(http, "POST", "/api/v1/approvals", body, key)
            if answer is not None and answer.status_code == CREATED:
                self.answered[key] = answer.json()
            else:
                await asyncio.sleep(random.uniform(0.2, 1.0))

    async def send(self, http: httpx2.AsyncClient, method: str, path: str, body: object, key: str) -> httpx2.Response | None:
        """An answer; None for a line that broke, and for a token that has to be asked for anew."""
        self.tries += 1
        token = self._token
        try:
            if not token:
                await self._renew(token)
                return None
            answer = await http.request(method, path, json=body, headers=token | {"Idempotency-Key": key})
        except _LOST as error:
            self.other[type(error).__name__] += 1
            return None
        if answer.status_code == 401:
            await self._renew(token)
        if answer.status_code >= 300:
            self.other[f"{answer.status_code} {_code(answer)}"] += 1
        return answer

    async def _renew(self, known: dict[str, str]) -> None:
        async with self._renewing:
            if self._token is not known:
                return
            try:
                self._token = await asyncio.to_thread(self.house.city.token, "approvals", SCOPES)
            except httpx2.HTTPError as error:
                self.other[f"token {type(error).__name__}"] += 1
                await asyncio.sleep(0.5)

    async def subscribe(self, subscriber: Subscriber) -> None:
        """Register it, with the secret it will check by."""
        async with self.http() as http:
            body = {"name": subscriber.name, "url": subscriber.receiver.url}
            answer = None
            while answer is None:
                answer = await self.send(http, "POST", "/api/v1/subscriptions", body, f"subscribe-{subscriber.name}")
            answer.raise_for_status()
            subscriber.secret, subscriber.id = answer.json()["secret"], answer.json()["id"]


def _code(answer: httpx2.Response) -> str:
    try:
        return str(answer.json().get("code", ""))
    except ValueError:
        return ""
