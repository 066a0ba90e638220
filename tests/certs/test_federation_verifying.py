"""What another instance told of a certificate, beside the verdict on its file: whose word, how old, and never more than is known."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import insert
from starlette.applications import Starlette

from api.pages.i18n import CHINESE
from api.pages.views import file_view
from api.routes import verify_file
from certs.federation import Card, MessageKey, PeerStatus
from certs.federation_feed import TakenIn, take_in
from certs.federation_models import PeerRow
from certs.federation_peers import get_peer, note_contact
from certs.federation_verifying import ToldElsewhere, told_elsewhere
from certs.models import CertificateRow
from certs.numbering import make_identifier
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.ids import new_code, new_id
from keys.custody.store import KeyStore
from keys.trust.documents import instant_text
from seal.reachable import PUBLIC, Reachable
from seal.verdict import Indication, Kind, Verdict
from tests.conftest import BEGINNING, TestClock
from tests.stamped import World, certificate_page, pem

TYPE = "11100000MB0143028R001"
CITY_OFFICE, OTHERS_OFFICE = "11990102MB000006XL", "11990200MB0000035A"
IDENTIFIER = str(make_identifier(TYPE, CITY_OFFICE, "20260000007"))
FILE = b"the file"
DIGEST = hashlib.sha256(FILE).digest()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@dataclass
class Province:
    """An instance that city instances told something."""

    database: Database
    clock: TestClock
    authority: bytes

    async def peer(self, name: str = "示范市", division: str = "990100", status: PeerStatus = PeerStatus.ACTIVE) -> PeerRow:
        public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = MessageKey.of(public)
        card = Card(new_id(), name, CITY_OFFICE, (division,), "https://city.example:8443", (self.authority,), (key,))
        now = self.clock.now()
        row = PeerRow(
            id=new_id(), instance=card.instance, name=name, organisation=CITY_OFFICE, address=card.address, level="lower",
            divisions=[division], card=card.to_json(), digest=card.digest(), keys=[key.to_json()], knows=[], status=status.value,
            status_since=now, created_at=now, cursor=0, heard_at=now,
        )  # fmt: skip
        async with self.database.begin() as session:
            session.add(row)
        return row

    async def hear(self, row: PeerRow, *entries: dict[str, Any]) -> TakenIn:
        """A page of changes of that peer; it is level afterwards."""
        async with self.database.begin() as session:
            peer = await get_peer(session, row.id)
            numbered = [{"seq": peer.cursor + place, **one} for place, one in enumerate(entries, 1)]
            page = {"entries": numbered, "cursor": peer.cursor + len(entries), "more": False}
            taken = await take_in(session, self.clock.now(), peer, page)
            await note_contact(session, self.clock.now(), row.id, None)
            return taken

    async def told(self, indication: Indication = Indication.TOTAL_PASSED, **more: str) -> ToldElsewhere | None:
        metadata = {"ZZBS": IDENTIFIER} | more
        return await told_elsewhere(self.database, self.clock.now(), indication, metadata, DIGEST)


@pytest.fixture
def province(database: Database, clock: TestClock, world: World) -> Province:
    return Province(database, clock, world["root"].certificate)


def entry(status: str = "01", identifier: str = IDENTIFIER, issuer: str = CITY_OFFICE, **more: object) -> dict[str, Any]:
    return {
        "identifier": identifier, "type_code": TYPE, "type_name": "营业执照", "issuer": issuer, "issuer_name": "示范市市场监督管理局",
        "status": status, "issued_on": "2026-01-05", "valid_from": None, "valid_to": None, "successor": None, "document": None,
    } | more  # fmt: skip


async def test_who_told_what_and_when(province: Province) -> None:
    city = await province.peer()
    assert await province.told() is None, "nobody told anything"
    await province.hear(city, entry(document=DIGEST.hex()))
    first = province.clock.now()
    said = await province.told()
    assert said is not None
    assert (said.status, said.as_of, said.stale, said.same_file) == ("in_force", first, False, True)
    assert (
        said.words[0] == "该证照由示范市市场监督管理局颁发；据互联实例“示范市”于 2026-03-02 08:00（北京时间）告知：有效。"
        or "示范市" in said.words[0]
    )
    province.clock.advance(hours=2)
    await province.hear(city, entry("03"))
    told = (await province.told()).to_json()  # type: ignore[union-attr]
    assert (told["status"], told["as_of"], told["same_file"]) == ("revoked", instant_text(province.clock.now()), False)
    assert ("已撤销，无效" in told["words"]["zh"], "revoked and is not valid" in told["words"]["en"]) == (True, True)


async def test_what_is_old_is_not_claimed(province: Province) -> None:
    city = await province.peer()
    await province.hear(city, entry())
    other = str(make_identifier(TYPE, CITY_OFFICE, "20260000008"))
    await province.hear(city, entry("03", other))
    province.clock.advance(hours=24)
    fresh = await province.told()
    assert fresh is not None
    assert (fresh.status, fresh.stale) == ("in_force", False)
    province.clock.advance(seconds=1)
    stale = await province.told()
    assert stale is not None
    assert (stale.status, stale.told_status, stale.stale) == ("unknown", "in_force", True)
    assert ("此后的情况不明" in stale.words[0], "ask its issuer" in stale.words[1]) == (True, True)
    assert (await province.told(ZZBS=other)).status == "revoked", "what was revoked stays so"  # type: ignore[union-attr]
    await province.hear(city)
    assert (await province.told()).status == "in_force", "level again: nothing had changed"  # type: ignore[union-attr]


async def test_nobody_speaks_for_others(province: Province) -> None:
    """Neither by the issuer named, nor by an identifier that another issuer's code stands in, nor for a file it did not issue."""
    city = await province.peer()
    foreign = str(make_identifier(TYPE, OTHERS_OFFICE, "20260000007"))
    region = f"1.2.156.3005.2.{TYPE}.990200.7.001.0"
    given = [entry("03", "x", OTHERS_OFFICE), entry("03", foreign), entry("03", region), entry("03", foreign, OTHERS_OFFICE)]
    taken = await province.hear(city, *given)
    assert (taken.kept, taken.refused) == (0, 4)
    assert await province.told(ZZBS=foreign) is None
    await province.hear(city, entry("03"))
    assert await province.told(ZZBFJGDM=OTHERS_OFFICE) is None, "the file names another issuer"
    assert await province.told(ZZBFJGDM=CITY_OFFICE) is not None


async def test_an_old_place_in_the_order_is_refused(province: Province) -> None:
    city = await province.peer()
    await province.hear(city, entry("03"))
    taken = await province.hear(city, entry("01", seq=1))
    assert (taken.kept, taken.refused) == (0, 1)
    assert (await province.told()).status == "revoked"  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [PeerStatus.SUSPENDED, PeerStatus.WITHDRAWN])
async def test_an_instance_that_is_not_active_says_nothing(province: Province, status: PeerStatus) -> None:
    city = await province.peer()
    await province.hear(city, entry("03"))
    async with province.database.begin() as session:
        (await session.get_one(PeerRow, city.id)).status = status.value
    assert await province.told() is None


@pytest.mark.parametrize(("source", "spoken"), [("issued", False), ("imported", True)])
async def test_what_we_issued_is_ours_to_say(province: Province, source: str, spoken: bool) -> None:
    """Whatever a peer tells; a record that was only imported is not the issuer's word."""
    await province.hear(await province.peer(), entry("03", document=DIGEST.hex()))
    async with province.database.begin() as session:
        row = {
            "id": new_id(), "stage": "issued", "status": "01", "source": source, "type_code": TYPE, "type_name": "营业执照", "number": "7",
            "identifier": IDENTIFIER, "duplicate": False, "issuer": CITY_OFFICE, "issuer_name": "示范市市场监督管理局",
            "division": "990100", "fields": {}, "trust_grade": "A", "flags": [], "created_at": BEGINNING, "verification_code": new_code(),
        }  # fmt: skip
        await session.execute(insert(CertificateRow), [row])
    assert (await province.told() is not None) is spoken


async def test_of_several_what_ended_it_counts_then_the_nearest(province: Province) -> None:
    above, city = await province.peer("示范省", "990000"), await province.peer()
    await province.hear(city, entry())
    province.clock.advance(minutes=1)
    await province.hear(above, entry("02"))
    nearest = await province.told()
    assert nearest is not None
    assert (nearest.told.peer_name, nearest.status) == ("示范市", "in_force")
    await province.hear(above, entry("03"))
    assert (await province.told()).status == "revoked"  # type: ignore[union-attr]


async def test_no_word_makes_a_bad_file_good(province: Province) -> None:
    city = await province.peer()
    await province.hear(city, entry(document=DIGEST.hex()))
    for indication in set(Indication) - {Indication.TOTAL_PASSED}:
        assert await province.told(indication) is None
    assert await province.told(Indication.TOTAL_PASSED) is not None


async def test_the_page_says_it_in_words(province: Province) -> None:
    city = await province.peer()
    passed = Verdict(Kind.PDF, Indication.TOTAL_PASSED, certificate={"ZZBS": IDENTIFIER})
    await province.hear(city, entry())
    told = await province.told()
    view = file_view("a.pdf", passed, "today", CHINESE, told=told)
    assert (view.tone, view.status, view.record, view.record_notice) == ("good", "in_force", "营业执照 · 有效", "")
    assert "据互联实例“示范市”于" in view.story
    await province.hear(city, entry("03"))
    ended = file_view("a.pdf", passed, "today", "en", told=await province.told())
    assert (ended.tone, ended.status) == ("bad", "revoked")
    assert "does not stand" in ended.headline
    assert "record" not in ended.sentence, "ours says nothing of it"
    province.clock.advance(hours=48)
    await province.hear(city, entry())
    province.clock.advance(hours=48)
    stale = file_view("a.pdf", passed, "today", "en", told=await province.told())
    assert (stale.status, "is not known" in stale.record_notice) == ("", True)
    failed = replace(passed, indication=Indication.TOTAL_FAILED, sub_indication="HASH_FAILURE")
    assert file_view("a.pdf", failed, "today", "en", told=await province.told(Indication.TOTAL_FAILED)).tone == "bad"


@dataclass
class Settings:
    trust_file: Path
    reachable: Reachable = PUBLIC


@dataclass
class House:
    settings: Settings
    clock: Clock
    database: Database
    keystore: KeyStore
    base_url: str = "http://127.0.0.1:8000"


@pytest.fixture
async def client(province: Province, keystore: KeyStore, world: World, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    trust = tmp_path / "trust.pem"
    trust.write_bytes(pem("CERTIFICATE", world["root"].certificate) + pem("CERTIFICATE", world["root-sm"].certificate))
    app = Starlette(routes=verify_file.routes)
    app.state.house = House(Settings(trust), province.clock, province.database, keystore)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_over_http_beside_the_verdict(client: AsyncClient, province: Province, world: World) -> None:
    good = world.stamped(certificate_page(json.dumps({"ZZMC": "营业执照", "ZZBS": IDENTIFIER, "ZZBFJGDM": CITY_OFFICE})))
    city = await province.peer()
    await province.hear(city, entry(document=hashlib.sha256(good).hexdigest()))
    answer = (await client.post("/api/v1/verify", content=good)).json()
    assert (answer["indication"], answer["record"], answer["told"]["status"]) == ("TOTAL_PASSED", None, "in_force")
    assert (answer["told"]["peer"], answer["told"]["same_file"]) == ({"name": "示范市", "organisation": CITY_OFFICE}, True)
    await province.hear(city, entry("03", document=hashlib.sha256(good).hexdigest()))
    revoked = (await client.post("/api/v1/verify", content=good)).json()
    assert (revoked["indication"], revoked["told"]["status"]) == ("TOTAL_PASSED", "revoked")
    bad = good.replace(b"/ByteRange", b"/ByteRangf", 1)
    assert (await client.post("/api/v1/verify", content=bad)).json()["told"] is None
