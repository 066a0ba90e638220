"""Posting a message to a subscriber: no redirect, no proxy, ten seconds in all, and never to an address of our own networks.

The name is resolved here; every address it leads to must be one that may be asked (:mod:`seal.reachable`), and the connection goes to the
very address that was looked at. A name that leads elsewhere the next moment (DNS rebinding) gains nothing. Plain ``http`` is for networks
that the operator opened; to everybody else messages go under TLS, to the name that was registered.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from certs.delivery_rules import Answer
from certs.privacy import holds_number
from keys.base.errors import InvalidInput
from seal.reachable import PUBLIC, Reachable

SECONDS = 10.0
_LONGEST_URL = 500
_MOST_READ = 16 * 1024
_PORTS = {"http": 80, "https": 443}
_USER_AGENT = "Fujie-Webhooks/1"
Resolve = Callable[[str, int], Awaitable[list[str]]]


class WebhookAddressRefused(InvalidInput):
    """The address is none that may be told of events: malformed, without TLS, unknown, or within our own networks."""

    code = "WEBHOOK_ADDRESS_REFUSED"
    public = (
        "该地址不能接收事件：须为公网 https 地址（内网地址由运维开放），不含用户名、片段和证件号码。",
        "Events cannot be sent there: it must be a public https address (private networks are opened by the operator), without a "
        "user name, a fragment or an ID number.",
    )


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system answers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


def trusting(bundle: Path | None) -> ssl.SSLContext:
    """Whom subscribers' certificates may come from: the system's authorities, and those of ``bundle`` (PEM)."""
    context = ssl.create_default_context()
    if bundle is not None:
        context.load_verify_locations(bundle)
    return context


@dataclass(frozen=True, slots=True)
class Sender:
    """``reachable``: which addresses may be asked; ``resolve``: who says where a name leads."""

    reachable: Reachable = PUBLIC
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    resolve: Resolve = resolve
    seconds: float = SECONDS

    async def admit(self, url: str) -> str:
        """The address as it is kept. Raises :class:`WebhookAddressRefused`."""
        if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or holds_number(url):
            raise WebhookAddressRefused("form")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise WebhookAddressRefused("form") from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.fragment or port == 0:
            raise WebhookAddressRefused("form")
        try:
            await self.address(httpx2.URL(url))
        except (httpx2.InvalidURL, OSError, UnicodeError):
            raise WebhookAddressRefused("unknown host") from None
        return url

    async def address(self, url: httpx2.URL) -> str:
        """Where the name leads now, if it may be asked. Raises :class:`WebhookAddressRefused`, OSError."""
        async with asyncio.timeout(self.seconds):
            found = await self.resolve(url.host, url.port or _PORTS[url.scheme])
        if not found or not all(map(self.reachable.permits, found)):
            raise WebhookAddressRefused("address")
        if url.scheme == "http" and not all(map(self.reachable.names, found)):
            raise WebhookAddressRefused("without TLS")
        return found[0]

    @contextlib.asynccontextmanager
    async def line(self, url: str) -> AsyncIterator["Line"]:
        """A line to one subscriber for some messages: looked up once, then the same connection as long as it stands."""
        async with httpx2.AsyncClient(timeout=self.seconds, follow_redirects=False, trust_env=False, verify=self.tls) as client:
            yield Line(self, httpx2.URL(url), client)


@dataclass(slots=True)
class Line:
    """One subscriber's connection; it ends with the round that opened it."""

    sender: Sender
    url: httpx2.URL
    client: httpx2.AsyncClient
    found: str = ""

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one message; whatever goes wrong is an answer."""
        try:
            async with asyncio.timeout(self.sender.seconds):
                return await self._post(body, headers)
        except WebhookAddressRefused as error:
            return Answer(None, f"{error.code}: {error.detail}")
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, UnicodeError) as error:
            return Answer(None, type(error).__name__)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.found = self.found or await self.sender.address(self.url)
        own = {"Content-Type": "application/json", "User-Agent": _USER_AGENT, "Host": self.url.netloc.decode("ascii")}
        # The certificate is asked for the name, not for the address.
        place, names = self.url.copy_with(host=self.found), {"sni_hostname": self.url.host}
        async with self.client.stream("POST", place, content=body, headers=own | dict(headers), extensions=names) as answer:
            await _drain(answer)
            return Answer(answer.status_code, "", _seconds(answer.headers.get("retry-after")))


async def _drain(answer: httpx2.Response) -> None:
    """Read a short answer to its end, so that the connection may be used again; a long one is left alone."""
    size = 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > _MOST_READ:
            return


def _seconds(text: str | None) -> float | None:
    """``Retry-After`` in seconds; the form with a date is not heeded."""
    return float(text[:6]) if text and text.isdecimal() else None
