"""A plain HTTP/1.1 client on one kept-alive connection: it takes little of the cores that the servers need."""

import base64
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

KEPT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` by lower-case name; of several with one name the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Unexpected(RuntimeError):
    """A server answered something else than a benchmark needs."""


def basic(client_id: str, secret: str) -> dict[str, str]:
    """RFC 6749 §2.3.1."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Wire:
    """One connection. ``cookies`` are kept and sent like a browser's, without looking at paths."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._last = 0.0
        self.cookies: dict[str, str] = {}

    def close(self) -> None:
        self._connection.close()

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None, expect: int = 200
    ) -> Answer:
        """Raises :class:`Unexpected` unless the status is ``expect``."""
        sent = dict(headers or {})
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if time.monotonic() - self._last > KEPT_SECONDS:
            self._connection.close()  # the server will have closed it, or is about to; the next request opens another
        self._connection.request(method, path, body, sent)
        response = self._connection.getresponse()
        content = response.read()
        self._last = time.monotonic()
        self._keep(response.headers.get_all("Set-Cookie") or [])
        answer = Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)
        if answer.status != expect:
            raise Unexpected(f"{method} {path.partition('?')[0]}: {answer.status} {content[:300].decode(errors='replace')}")
        return answer

    def get(self, path: str, *, headers: Mapping[str, str] | None = None, expect: int = 200) -> Answer:
        return self.send("GET", path, headers=headers, expect=expect)

    def form(self, path: str, fields: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        return self.send("POST", path, headers=sent, body=urlencode(fields).encode())

    def _keep(self, cookies: list[str]) -> None:
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
