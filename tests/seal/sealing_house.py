"""A city in which documents are sealed: rebuilder, workers, files, and people with grants."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from api.workers import ProcessWorkers
from keys.base.actor import Actor, Role
from keys.base.blobs import FolderBlobStore
from keys.pki.authority import trust_bundle
from seal.document_requests import request_sealing, upload
from seal.document_values import Sealing, SealingOrder, SealLine, SealRequest
from seal.reads import Seal
from seal.rebuilding import Limits, Rebuilder
from seal.trust import Trust
from tests.seal import hostile_pdfs as hostile
from tests.seal.conftest import City


class Direct:
    """Workers that work here and now: no other process, the same functions."""

    async def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


@dataclass
class House:
    city: City
    sealing: Sealing
    seal: Seal
    counter: list[int] = field(default_factory=list)

    @property
    def clerk(self) -> Actor:
        return self.city.person("clerk", Role.WINDOW_CLERK)

    def line(self, seal: Seal | None = None, matter: str | None = None, *places: dict[str, Any]) -> SealLine:
        usual = {"kind": "point", "page": 1, "x_mm": 150.0, "y_mm": 240.0}
        return SealLine((seal or self.seal).code, matter or self.city.matter, places or (usual,))

    def key(self) -> str:
        self.counter.append(1)
        return f"key-{len(self.counter)}"

    async def uploaded(self, actor: Actor | None = None, pdf: bytes | None = None, name: str = "notice.pdf") -> uuid.UUID:
        return (await upload(self.sealing, actor or self.clerk, pdf or document(), name)).id

    async def requested(self, actor: Actor | None = None, **changes: Any) -> SealRequest:
        actor = actor or self.clerk
        changes.setdefault("document_id", await self.uploaded(actor))
        usual: dict[str, Any] = {"title": "关于停水的通知", "document_kind": None, "seals": (self.line(),)}
        return await request_sealing(self.sealing, actor, SealingOrder(**(usual | changes)), self.key())


@cache
def document(pages: int = 1) -> bytes:
    return hostile.document(pages=pages)


@pytest.fixture(scope="session")
def rebuilder() -> Iterator[Rebuilder]:
    one = Rebuilder(Limits(octets=4 << 20, pages=40, seconds=20, memory=512 << 20))
    yield one
    one.close()


@pytest.fixture
async def house(city: City, approval_seal: Seal, rebuilder: Rebuilder, tmp_path: Path) -> House:
    sealing = Sealing(city.database, city.keystore, city.clock, city.clock, Direct(), FolderBlobStore(tmp_path / "blobs"), rebuilder)
    await city.grant(approval_seal, city.approver)
    await city.grant(approval_seal, city.client, unattended=True, quota_day=20_000)
    return House(city, sealing, approval_seal)


async def trust_of(house: House) -> Trust:
    """The roots of the demonstration's authorities."""
    async with house.city.database.session() as session:
        return Trust.from_pem((await trust_bundle(session)).encode())


__all__ = ["Direct", "House", "ProcessWorkers", "document", "house", "rebuilder", "trust_of"]
