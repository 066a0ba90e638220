"""A city and its province for tests: two databases, two hierarchies of certificates, real TLS between them."""

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from api.federation_channel import MutualTls
from api.federation_listener import served
from api.settings import Settings
from api.wiring import House
from certs.federation import Level, PeerMove
from certs.federation_keys import Introduction, establish, own_card
from certs.federation_messages import Exchange
from certs.federation_peers import Peer, Proposed, list_peers, move, propose
from certs.federation_sync import Turn, keep_level
from certs.library import Library
from identity.numbers import uscc_check_character
from identity.personal_data import open_personal_data
from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.blobs import FolderBlobStore
from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.store import Algorithm, KeyStore
from tests.certs.sharing_people import Stage


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
    listening: socket.socket
    address: str

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
        return cast(bytes, __import__("orjson").dumps(card.to_json()))

    async def register(self, other: "Instance", level: Level, **more: Any) -> Peer:
        """Two people agree."""
        clock = self.exchange.library.clock
        proposed = await propose(self.database, clock, ANNE, Proposed(await other.card(), level, "agreement no. 7", **more))
        return await move(self.database, clock, BERT, proposed.id, PeerMove.APPROVE, "compared by telephone")

    async def turn(self) -> Turn:
        """One turn with the only peer."""
        (done,) = await keep_level(self.exchange)
        return done

    async def peer(self) -> Peer:
        async with self.database.session() as session:
            return (await list_peers(session))[0]

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Answer until leaving; the address stays ours in between."""
        with contextlib.closing(self.listening.dup()) as listening:
            async with served(self.exchange, cast(House, self), listening):
                yield


async def make_instance(database: Database, keystore: KeyStore, clock: Clock, home: Path, host: str) -> Instance:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    channel = MutualTls(home)
    personal = await open_personal_data(database, keystore, clock)
    exchange = Exchange(Library(database, clock, FolderBlobStore(home / "blobs"), personal), keystore, channel)
    channel.exchange = exchange
    settings = Settings(home=home)
    return Instance(exchange, settings, listening, f"https://{host}:{listening.getsockname()[1]}")


def of_division(actor: Actor, organisation: str) -> Actor:
    return replace(actor, organisation=organisation)
