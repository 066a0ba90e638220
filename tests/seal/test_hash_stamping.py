"""Documents that stay in their office: the client library of the documentation, the service, and outsiders' eyes on the result."""

import base64
import datetime as dt
import hashlib
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from keys.base.errors import FujieError
from seal.changes import suspend_seal
from seal.hash_stamping import HashOrder, hash_material, hash_stamps_of, stamp_digests
from seal.verdict import Indication
from seal.verification import verify
from tests.conftest import require_command
from tests.seal import hostile_pdfs as hostile
from tests.seal.sealing_house import House, house, rebuilder, trust_of
from tests.stamped import certificate_page

__all__ = ["house", "rebuilder"]
ROOT = Path(__file__).parents[2]


def client_library() -> Any:
    spec = importlib.util.spec_from_file_location("seal_by_hash", ROOT / "docs" / "clients" / "seal_by_hash.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["seal_by_hash"] = module
    spec.loader.exec_module(module)
    return module


LIBRARY = client_library()


def material_json(material: Any) -> dict[str, Any]:
    return {
        "width_mm": material.width_mm, "height_mm": material.height_mm, "reserved": material.reserved, "now": material.now.isoformat(),
        "organisation_name": material.organisation_name, "pdf_content": base64.b64encode(material.pdf_content).decode(),
        "certificates": [base64.b64encode(one).decode() for one in material.certificates],
        "crls": [base64.b64encode(one).decode() for one in material.crls],
    }  # fmt: skip


async def hole_for(house: House, pdf: bytes) -> Any:
    material = await hash_material(house.sealing, house.city.client, house.seal.code)
    return LIBRARY.make_hole(pdf, material_json(material), 0, 150, 240)


def order_for(house: House, hole: Any, **changes: Any) -> HashOrder:
    usual = HashOrder(
        house.seal.code, house.city.matter, None, bytes.fromhex(hole.digest("sha256")), bytes.fromhex(hole.digest("sm3")), hole.byte_range,
        hole.signing_time, "内部文件",
    )  # fmt: skip
    return replace(usual, **changes)


async def refusal(awaitable: Any) -> str:
    with pytest.raises(FujieError) as caught:
        await awaitable
    return caught.value.code


@pytest.mark.parametrize("page", ["typeset", "plain"])
async def test_a_document_that_was_never_here_is_sealed_and_verifies(house: House, tmp_path: Path, page: str) -> None:
    pdf = certificate_page() if page == "typeset" else hostile.document()
    hole = await hole_for(house, pdf)
    stamp = await stamp_digests(house.sealing, house.city.client, order_for(house, hole), "k1")
    sealed = hole.filled(stamp.cms)
    assert sealed.startswith(pdf)
    verdict = verify(sealed, await trust_of(house), house.city.clock.now())
    checks = [check for one in verdict.signatures for check in one.checks]
    failing = [(check.name, check.detail) for check in checks if check.outcome not in ("PASSED", "NOTICE")]
    assert failing == []
    assert verdict.indication is Indication.TOTAL_PASSED
    assert verdict.signatures[0].seal is not None
    changed = sealed.replace(b"/MediaBox", b"/MediaBux", 1) if b"/MediaBox" in sealed else sealed[:-3] + b"xxx"
    assert verify(changed, await trust_of(house), house.city.clock.now()).indication is not Indication.TOTAL_PASSED
    pdfsig, file = require_command("pdfsig", "poppler-utils"), tmp_path / "sealed.pdf"
    file.write_bytes(sealed)
    told = subprocess.run([pdfsig, "-nocert", file], capture_output=True, text=True, check=False, timeout=30).stdout
    assert "Signature Validation: Signature is Valid." in told
    assert "Total document signed" in told


async def test_one_key_one_stamp_and_the_log_says_it_was_not_seen(house: House) -> None:
    client, sealing = house.city.client, house.sealing
    order = order_for(house, await hole_for(house, hostile.document()))
    first, again = await stamp_digests(sealing, client, order, "k1"), await stamp_digests(sealing, client, order, "k1")
    assert first == again
    assert await refusal(stamp_digests(sealing, client, replace(order, reason="another"), "k1")) == "REQUEST_KEY_REUSED"
    async with house.city.database.session() as session:
        uses = (await session.execute(text("SELECT document_hash FROM seal.uses"))).scalars().all()
        told = "SELECT convert_from(body, 'UTF8') FROM keys.audit_events WHERE action = 'seal.hash_stamp' AND outcome = 'done'"
        events = (await session.execute(text(told))).scalars().all()
    assert uses == [order.sha256]
    assert len(events) == 1
    assert '"document_seen":false' in events[0]
    assert [one.permit_id for one in await hash_stamps_of(sealing, house.city.approver, house.seal.code)] == [first.permit_id]


async def test_who_may_not_gets_nothing(house: House) -> None:
    city, sealing = house.city, house.sealing
    order = order_for(house, await hole_for(house, hostile.document()))
    assert await refusal(stamp_digests(sealing, replace(city.client, id="other"), order, "k")) == "NO_GRANT"
    assert await refusal(stamp_digests(sealing, house.clerk, order, "k")) == "ACTOR_NOT_APPROVER"
    assert (await stamp_digests(sealing, city.approver, order, "own hand".replace(" ", "-"))).cms
    await suspend_seal(city.database, city.clock, city.admin, house.seal.code, "checked")
    assert await refusal(stamp_digests(sealing, city.client, order, "k2")) == "SEAL_SUSPENDED"


async def test_what_cannot_be_is_refused(house: House) -> None:
    order = order_for(house, await hole_for(house, hostile.document()))
    now = house.city.clock.now()
    wrong: list[dict[str, Any]] = [
        {"sha256": b"short"}, {"sm3": b""}, {"sm3": order.sha256}, {"byte_range": "[0 9 5 10]"}, {"byte_range": "[1 2 3 4]"},
        {"byte_range": "[0 10 20 30] "}, {"byte_range": "[0 01 20 30]"}, {"signing_time": now + dt.timedelta(minutes=5)},
        {"signing_time": now - dt.timedelta(minutes=5)}, {"signing_time": now.replace(microsecond=5)},
    ]  # fmt: skip
    for number, change in enumerate(wrong):
        assert (
            await refusal(stamp_digests(house.sealing, house.city.client, replace(order, **change), f"k{number}")) == "HASH_STAMP_INVALID"
        )
    assert await refusal(stamp_digests(house.sealing, house.city.client, replace(order, reason=" "), "k")) == "REJECTION_REASON_REQUIRED"


async def test_digests_of_different_octets_do_not_verify(house: House) -> None:
    """The service cannot tell; whoever verifies can: the stamp speaks of other octets than the signature."""
    hole = await hole_for(house, hostile.document())
    lie = order_for(house, hole, sm3=hashlib.sha256(b"another document").digest())
    stamp = await stamp_digests(house.sealing, house.city.client, lie, "k")
    verdict = verify(hole.filled(stamp.cms), await trust_of(house), house.city.clock.now())
    assert verdict.indication is Indication.TOTAL_FAILED
