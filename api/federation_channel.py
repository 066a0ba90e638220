"""The way to other instances: mutual TLS 1.3, one POST, no redirect, no proxy, a bounded answer.

Unlike addresses that others register (``seal.reachable``), an instance's address may lie in the house's own networks: the extranet of
governments is one. Two security administrators registered it, and nothing is sent before whoever answers there has proved by a
certificate of the authority on the peer's card that it is that peer.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from api.federation_tls import Material, client_context, ensure_material
from api.wiring import House
from certs.federation import PeerUnreachable
from certs.federation_messages import LARGEST_ANSWER, Exchange, Reply
from certs.federation_peers import Peer
from certs.library import Library
from keys.base.errors import FujieError
from keys.base.streams import gathered

SECONDS = 30.0
MATERIAL_SECONDS = 60.0
"""How long our certificate is taken to be the one of now."""


@dataclass(slots=True)
class MutualTls:
    """The real :class:`certs.federation_messages.Channel`."""

    home: Path
    exchange: Exchange | None = None
    _contexts: dict[tuple[object, ...], ssl.SSLContext] = field(default_factory=dict)
    _material: tuple[float, Material] | None = None

    async def post(self, peer: Peer, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The answer, whole. Raises ``PeerUnreachable``."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._post(peer, path, headers, body)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError) as error:
            raise PeerUnreachable(f"{peer.name[:40]}: {type(error).__name__}") from error

    async def _post(self, peer: Peer, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        async with (
            httpx2.AsyncClient(verify=await self._context(peer), timeout=SECONDS, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", peer.address + path, content=body, headers={**headers, "accept-encoding": "identity"}) as answer,
        ):
            body = await gathered(answer.aiter_raw(), LARGEST_ANSWER, ValueError("an answer larger than any"))
            return Reply(answer.status_code, _once(answer.headers.multi_items()), body)

    async def _context(self, peer: Peer) -> ssl.SSLContext:
        """TLS to this peer as its card stands, with our certificate of now."""
        if self.exchange is None:
            raise FujieError("the channel has no house")
        if self._material is None or time.monotonic() - self._material[0] > MATERIAL_SECONDS:
            self._material = time.monotonic(), await ensure_material(self.exchange, self.home)
        material = self._material[1]
        place = (peer.id, peer.digest, material.serial)
        if place not in self._contexts:
            kept = {key: one for key, one in self._contexts.items() if key[0] != peer.id}
            self._contexts = kept | {place: client_context(material, peer)}
        return self._contexts[place]


def _once(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Each header once, in lower case. Raises ValueError where one stands twice."""
    found = {name.lower(): value for name, value in headers}
    if len(found) != len(headers):
        raise ValueError("a header stands twice")
    return found


def exchange_of(house: House) -> Exchange:
    """What the journeys between instances need, in this house."""
    channel = MutualTls(house.settings.home)
    exchange = Exchange(Library(house.database, house.clock, house.blobs, house.personal), house.keystore, channel)
    channel.exchange = exchange
    return exchange
