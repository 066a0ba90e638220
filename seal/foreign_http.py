"""Asking another registry over HTTP: one GET, no redirect, no proxy, at most 1 MB and five seconds.

The name is resolved here, once; every address it leads to must be one that may be asked (:mod:`seal.reachable`), and the connection goes to
the address that was looked at. A name that leads elsewhere the next moment gains nothing.
"""

import asyncio
import socket
from dataclasses import dataclass

import httpx2

from keys.base.streams import gathered
from keys.base.tls import web_trust
from seal.foreign_status import MAX_ANSWER, ForeignStatusUnreachable
from seal.reachable import PUBLIC, Reachable

SECONDS = 5.0
MEDIA_TYPE = "application/jose+json"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpStatus:
    """The real :class:`seal.foreign_status.StatusPort`. ``reachable``: which addresses may be asked."""

    seconds: float = SECONDS
    reachable: Reachable = PUBLIC

    async def fetch(self, url: str) -> bytes:
        """The signed answer at the address. Raises ``ForeignStatusUnreachable``."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._ask(httpx2.URL(url))
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError) as error:
            raise ForeignStatusUnreachable(type(error).__name__) from error

    async def _ask(self, url: httpx2.URL) -> bytes:
        address = await self._address(url)
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity", "Host": url.netloc.decode("ascii")}
        async with (
            httpx2.AsyncClient(timeout=self.seconds, follow_redirects=False, trust_env=False, verify=web_trust()) as client,
            # The certificate is asked for the name, not for the address.
            client.stream("GET", url.copy_with(host=address), headers=headers, extensions={"sni_hostname": url.host}) as answer,
        ):
            if answer.status_code != httpx2.codes.OK:
                raise ForeignStatusUnreachable(f"answers {answer.status_code}")
            return await gathered(answer.aiter_raw(), MAX_ANSWER, ForeignStatusUnreachable("larger than 1 MB"))

    async def _address(self, url: httpx2.URL) -> str:
        """Where the name leads, if it may be asked. Raises ``ForeignStatusUnreachable``, OSError."""
        port = url.port or _PORTS[url.scheme]
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not all(map(self.reachable.permits, addresses)):
            raise ForeignStatusUnreachable("an address that may not be asked")
        return addresses[0]
