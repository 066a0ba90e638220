"""A city and its province for tests: two databases, two hierarchies of certificates, real TLS between them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson

from api.embedded import Addresses
from api.federation_channel import MutualTls
from api.federation_listener import served
from api.federation_tls import ensure_material
from api.settings import Settings
from api.wiring import House
from certs.federation import Level, PeerMove
from certs.federation_keys import Introduction, establish, own_card, own_keys
from certs.federation_messages import PREFIX, Channel, Exchange, Incoming, Reply
from certs.federation_peers import Peer, Proposed, list_peers, move, propose
from certs.federation_signatures import sign_request
from certs.federation_sync import Turn, keep_level, put_in_order
from certs.library import Library
from identity.numbers import uscc_check_character
from identity.personal_data import open_personal_data
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, KeyStore
from keys.pki.authority import establish as establish_authorities
from keys.trust.certificates import read_bundle
from tests.certs.catalogue_people import MARKET
from tests.certs.sharing_people import Stage
from tests.conftest import BEGINNING, MIGRATED, TestClock, copy_database


def credit_code(division: str, number: str) -> str:
    first = f"11{division}{number}"
    return first + uscc_check_character(first)


def admin(name: str) -> Actor:
    return Actor(ActorKind.PERSON, name, name, None, "990100", frozenset({Role.SECURITY_ADMIN}), authenticator=2)


ANNE, BERT = admin("anne"), admin("bert")
CITY, PROVINCE = "990100", "990000"
PROVINCE_OFFICE = credit_code(PROVINCE, "MB0000019")


@dataclass
class Instance:
    """One of the two. ``settings`` and ``database`` make it enough of a house for the listener."""

    exchange: Exchange
    settings: Settings
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def database(self) -> Database:
        return self.exchange.library.database

    @property
    def stage(self) -> Stage:
        return Stage(self.exchange.library)

    async def introduce(self, name: str, divisions: tuple[str, ...], organisation: str, algorithm: Algorithm = Algorithm.P256) -> None:
        library = self.exchange.library
        given = Introduction(name, organisation, divisions, self.address)
        await establish(library.database, self.exchange.keystore, library.clock, SYSTEM, given, algorithm)

    async def card(self) -> bytes:
        async with self.database.session() as session:
            card = await own_card(session)
        return orjson.dumps(card.to_json())

    async def register(self, card: bytes, level: Level, **more: Any) -> Peer:
        """Two people agree to the instance with this card."""
        clock = self.exchange.library.clock
        proposed = await propose(self.database, clock, ANNE, Proposed(card, level, "agreement no. 7", **more))
        return await move(self.database, clock, BERT, proposed.id, PeerMove.APPROVE, "compared by telephone")

    async def turn(self) -> Turn:
        """One turn with the only peer."""
        (done,) = await keep_level(self.exchange)
        return done

    def tls_certificate(self) -> bytes:
        """DER of what this machine shows."""
        return read_bundle((self.settings.home / "federation" / "tls.pem").read_bytes())[0]

    async def signed(self, other: "Instance", name: str, content: object) -> Incoming:
        """A message of ours to the other, as it would come there."""
        path, body = f"{PREFIX}/{name}", orjson.dumps(content)
        async with self.database.session() as session:
            key = (await own_keys(session))[-1]
        sign = lambda octets: key.sign(self.exchange.keystore, octets)  # noqa: E731
        headers = sign_request(other.address + path, body, self.exchange.library.clock.now(), key.public, sign)
        return Incoming(path, headers, body, self.tls_certificate())

    async def order(self) -> None:
        """What this one's background does: its changes in order, its holders indexed."""
        await put_in_order(self.exchange)

    def watched(self) -> "tuple[Instance, Recording]":
        """The same, with what it sends kept."""
        recording = Recording(self.exchange.channel)
        return replace(self, exchange=replace(self.exchange, channel=recording)), recording

    async def peer(self) -> Peer:
        async with self.database.session() as session:
            return (await list_peers(session))[0]

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Answer until leaving. The port stays ours in between, and refuses."""
        with contextlib.closing(reserve(self.port)) as listening:
            async with served(self.exchange, cast(House, self), listening):
                yield


@dataclass
class Recording:
    """A channel that keeps what goes over it."""

    inner: Channel
    sent: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[Reply] = field(default_factory=list)

    async def post(self, peer: Peer, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append((path, dict(headers), body))
        self.answers.append(await self.inner.post(peer, path, headers, body))
        return self.answers[-1]


def reserve(port: int = 0) -> socket.socket:
    """A socket bound to a port, which nobody else is then given; connections are refused until it listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


@dataclass(frozen=True)
class Place:
    """Where one of the two lives in this test process: its databases before and after they agreed, its folder and its port."""

    name: str
    host: str
    base_url: str
    home: Path
    bound: socket.socket

    def template(self, agreed: bool) -> str:
        return f"template_{self.name}_{'agreed' if agreed else 'alone'}_{self.bound.getsockname()[1]}"

    async def instance(self, database: Database, keystore: KeyStore, clock: Clock) -> Instance:
        personal = await open_personal_data(database, keystore, clock)
        channel = MutualTls(self.home)
        exchange = Exchange(Library(database, clock, FolderBlobStore(self.home / "blobs"), personal), keystore, channel)
        channel.exchange = exchange
        return Instance(exchange, Settings(home=self.home), f"https://{self.host}:{self.bound.getsockname()[1]}")


@dataclass(frozen=True)
class Two:
    """A city and its province, prepared once a test process."""

    servers: Addresses
    city: Place
    province: Place

    @contextlib.asynccontextmanager
    async def open(self, keystore: KeyStore, clock: Clock, *, agreed: bool) -> AsyncIterator[tuple[Instance, Instance]]:
        """The two, over databases of this test alone."""
        async with contextlib.AsyncExitStack() as stack:
            opened = []
            for place in (self.city, self.province):
                url = await copy_database(self.servers, place.template(agreed), f"test_{new_code().lower()}")
                database = Database(url, pool_size=5)
                stack.push_async_callback(database.close)
                opened.append(await place.instance(database, keystore, clock))
            yield opened[0], opened[1]


def prepared(servers: Addresses, key_file: Path, folder: Path, template: str = MIGRATED) -> Two:
    """Both furnished and introduced, with hierarchies of their own; and both again, agreed. ``template``: what they are copied from."""
    places = [
        Place(name, host, f"http://127.0.0.1:{port}", folder / name, reserve())
        for name, host, port in (("city", "127.0.0.1", 8000), ("province", "localhost", 8001))
    ]
    two = Two(servers, *places)
    asyncio.run(_prepare(two, SoftwareKeyStore(key_file), TestClock(BEGINNING), template))
    return two


async def _prepare(two: Two, keystore: KeyStore, clock: Clock, template: str) -> None:
    cards = {}
    for place, given in ((two.city, ("示范市", (CITY,), MARKET)), (two.province, ("示范省", (PROVINCE,), PROVINCE_OFFICE))):
        database = Database(await copy_database(two.servers, template, place.template(False)))
        await establish_authorities(database, keystore, clock, place.base_url)
        one = await place.instance(database, keystore, clock)
        await one.stage.furnish()
        await one.introduce(*given)
        cards[place.name] = await one.card()
        await ensure_material(one.exchange, place.home)
        await database.close()
    for place, other, level in ((two.city, "province", Level.UPPER), (two.province, "city", Level.LOWER)):
        database = Database(await copy_database(two.servers, place.template(False), place.template(True)))
        await (await place.instance(database, keystore, clock)).register(cards[other], level)
        await database.close()
