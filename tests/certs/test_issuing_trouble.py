"""Trouble of ours in the middle of issuing: the store is full or away, the template is broken. Named, nothing lost, mended later."""

import dataclasses
import socket
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from certs.applications import Application, apply_for, read_application
from certs.issuance import approve, sweep
from certs.records import Stage
from certs.rendering import RenderFailed
from keys.base.blobs import StoreUnreachable
from keys.base.errors import FujieError
from keys.base.object_store import ObjectBlobStore, S3Address
from tests.certs.test_issuing import audit_trail


class Broken:
    """Workers in which the template of a type cannot be set; all else is done by the real ones."""

    def __init__(self, workers: Any, type_code: str) -> None:
        self._workers, self._type_code = workers, type_code

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if work.__name__ == "render" and arguments[0].type_code == self._type_code:
            raise RenderFailed("sewage_discharge_permit.typ: unclosed delimiter")
        return await self._workers.run(work, *arguments)


class Down:
    """An S3 that was there when issuing began, and is away when the sealed file comes."""

    def __init__(self) -> None:
        with socket.socket() as held:  # bound and never listening: whoever connects is refused
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        self._store = ObjectBlobStore(S3Address("b", "", f"http://127.0.0.1:{port}", "x", "k", "s", wait=2, retries=0, patience=2))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_s3_goes_away_in_the_middle_and_comes_back(city: Any, clock: Any, s3_address: S3Address) -> None:
    away = dataclasses.replace(city.issuing, blobs=Down())
    with pytest.raises(StoreUnreachable) as refusal:
        await approve(away, city.client, city.approval(), "key")
    assert (refusal.value.code, refusal.value.status) == ("STORE_UNREACHABLE", 503)
    assert (await audit_trail(city.issuing.database, "certs.issue.approve"))[-1] == ("failed", "STORE_UNREACHABLE")
    for _ in range(3):
        clock.advance(seconds=600)
        assert await sweep(away) == 0, "it waits for the store, and is not given up"
    back = dataclasses.replace(city.issuing, blobs=ObjectBlobStore(s3_address))
    clock.advance(seconds=1200)
    assert await sweep(back) == 1
    outcome = await approve(back, city.client, city.approval(), "key")
    async with city.issuing.database.session() as session:
        found = (await session.execute(text("SELECT id, stage, document_hash FROM certs.certificates"))).all()
    assert [(row.id, row.stage) for row in found] == [(outcome.id, "issued")]
    assert (await back.blobs.get(found[0].document_hash)).startswith(b"%PDF")


async def test_a_broken_template_holds_up_its_own_type_only(city: Any, clock: Any) -> None:
    sewage = city.approval(0).certificate_type
    broken = dataclasses.replace(city.issuing, workers=Broken(city.issuing.workers, sewage))
    everything = Application("一件事0001", "开店一件事", tuple(city.approval(n) for n in range(3)))
    standing = await apply_for(broken, city.client, everything, "key")
    assert [(one.stage, one.failure) for one in standing.items] == [
        (Stage.RESERVED, "RENDER_FAILED"), (Stage.ISSUED, None), (Stage.ISSUED, None),
    ]  # fmt: skip
    assert await audit_trail(city.issuing.database, "certs.application.item") == [("failed", "RENDER_FAILED")]
    clock.advance(seconds=60)
    assert await sweep(city.issuing) == 1, "the template was mended"
    standing = await read_application(city.issuing.database, city.client, standing.id)
    assert standing.settled
    assert [one.stage for one in standing.items] == [Stage.ISSUED] * 3


async def test_a_full_store_is_named_and_what_waited_is_issued_once_there_is_room(
    city: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("keys.base.blobs.os.fsync", full)
        with pytest.raises(FujieError) as refusal:
            await approve(city.issuing, city.client, city.approval(), "key")
    assert refusal.value.code == "STORE_FULL"
    clock.advance(seconds=600)
    assert await sweep(city.issuing) == 1
