"""``POST /api/v1/verify``: the body or a form, streamed, bounded, judged, masked."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from httpx2 import ASGITransport, AsyncClient
from sqlalchemy import insert
from starlette.applications import Starlette
from starlette.requests import Request

from api import problems
from api.routes import verify_file
from certs.catalogue import Mask
from certs.models import CertificateRow
from certs.reads import put_types
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.base.ids import new_code, new_id
from keys.custody.store import KeyStore
from keys.pki.authority import establish, trust_bundle
from keys.pki.status import revoke
from seal.changes import cancel_seal, suspend_seal
from seal.making import SealOrder, make_seal
from seal.material import SealMaterial, load_material
from seal.reachable import PUBLIC, Reachable
from seal.stamping import stamp
from seal.verification_path import read_certificate
from tests.certs.catalogue_people import HAWKER
from tests.conftest import BEGINNING, TestClock
from tests.stamped import PLACE, World, certificate_page, pem

ADDRESS = "/api/v1/verify"
HOUSING = "11990100MB00000435"
OTHER_FIELD = b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n'


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


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
async def client(world: World, clock: TestClock, database: Database, keystore: KeyStore, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    trust = tmp_path / "trust.pem"
    trust.write_bytes(pem("CERTIFICATE", world["root"].certificate) + pem("CERTIFICATE", world["root-sm"].certificate))

    async def refused(request: Request, error: Exception) -> problems.Response:
        assert isinstance(error, FujieError)
        return problems.problem_response(request, error)

    app = Starlette(routes=verify_file.routes, exception_handlers={FujieError: refused})
    app.state.house = House(Settings(trust), clock, database, keystore)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_a_type_made_in_the_catalogue_is_masked_by_its_own_rules(client: AsyncClient, world: World, database: Database) -> None:
    """By the version its certificate was issued under, else the newest; what no version declares stays hidden."""
    stated = {"ZZLXDM": HAWKER.code, "ZZBS": "1.2.156.3005.2.hawker", "KZ_JYZ": "钱守礼", "KZ_JYCS": "示范市示范路一号院二层", "KZ_X": "x"}
    file = world.stamped(certificate_page(json.dumps(stated)))
    strange = world.stamped(certificate_page(json.dumps({"ZZLXDM": "\x00", "ZZBS": "\x00", "KZ_JYZ": "钱守礼"})))

    async def shown(content: bytes = file) -> dict[str, str]:
        certificate = (await client.post(ADDRESS, content=content)).json()["certificate"]
        return {name: value for name, value in certificate.items() if name.startswith("KZ_")}

    assert await shown() == {"KZ_JYZ": "***", "KZ_JYCS": "***", "KZ_X": "***"}, "no catalogue knows it"
    async with database.begin() as session:
        await put_types(session, BEGINNING, [HAWKER])
    first = {"KZ_JYZ": "钱**", "KZ_JYCS": "示范市示范路***", "KZ_X": "***"}
    assert await shown() == first
    async with database.begin() as session:
        await put_types(session, BEGINNING, [replace(HAWKER, fields=(replace(HAWKER.fields[0], mask=Mask.HIDDEN), HAWKER.fields[1]))])
    assert await shown() == first | {"KZ_JYZ": "***"}
    async with database.begin() as session:
        row = {
            "id": new_id(), "stage": "issued", "status": "01", "source": "issued", "type_code": HAWKER.code, "type_name": HAWKER.name_zh,
            "type_version": 1, "number": "7", "identifier": stated["ZZBS"], "duplicate": False, "issuer": HAWKER.issuers[0],
            "issuer_name": "示范区市场监督管理局", "division": "990100", "fields": {}, "trust_grade": "A", "flags": [],
            "created_at": BEGINNING, "verification_code": new_code(),
        }  # fmt: skip
        await session.execute(insert(CertificateRow), [row])
    assert await shown() == first, "as it was issued"
    assert await shown(strange) == {"KZ_JYZ": "***"}
    report = await client.post(ADDRESS, content=file, headers={"Accept": "application/json"})
    assert "钱守礼" not in report.text


async def test_a_body_is_judged(client: AsyncClient, world: World) -> None:
    page = certificate_page(json.dumps({"ZZMC": "证", "CZZT": ["钱守礼"], "CZZTDM": ["11010519491231002X"], "CZZTDMLXDM": ["111"]}))
    answer = await client.post(ADDRESS, content=world.stamped(page), headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 200
    document = answer.json()
    assert (document["file"], document["kind"], document["indication"]) == ("", "pdf", "TOTAL_PASSED")
    assert document["certificate"]["CZZTDM"] == ["110***********002X"]
    assert "11010519491231002X" not in answer.text


@pytest.mark.parametrize("size", [0, 2_000_000])
async def test_a_form_is_judged(client: AsyncClient, world: World, size: int) -> None:
    """Small files stay in memory until they are judged, large ones do not."""
    sealed = world.stamped()
    answer = await client.post(ADDRESS, files={"file": ("证照.pdf", sealed + bytes(size), "application/pdf")})
    assert answer.status_code == 200
    assert answer.json()["file"] == "证照.pdf"
    assert (answer.json()["indication"] == "TOTAL_PASSED") == (size == 0)


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b"", {}, "UPLOAD_MISSING"),
        (b"--x\r\nbroken", {"Content-Type": "multipart/form-data; boundary=x"}, "UPLOAD_MISSING"),
        (b"whatever", {"Content-Type": "multipart/form-data"}, "UPLOAD_BROKEN"),
        (OTHER_FIELD, {"Content-Type": "multipart/form-data; boundary=x"}, "UPLOAD_MISSING"),
        (b"x", {"Content-Length": str(201 * 1024 * 1024)}, "FILE_TOO_LARGE"),
    ],
)
async def test_what_is_no_upload_is_refused(client: AsyncClient, content: bytes, headers: dict[str, str], code: str) -> None:
    answer = await client.post(ADDRESS, content=content, headers=headers)
    assert answer.json()["code"] == code
    assert answer.status_code in (413, 422)


async def test_a_body_past_the_limit_is_refused_while_it_arrives(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.verify_file.MAX_FILE", 100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 10_000
            yield bytes(10_000)

    answer = await client.post(ADDRESS, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "FILE_TOO_LARGE")
    form = await client.post(ADDRESS, files={"file": ("x", bytes(200_000))})
    assert (form.status_code, form.json()["code"]) == (413, "FILE_TOO_LARGE")


KEEPER = Actor(ActorKind.PERSON, "keeper", "", HOUSING, "990100", frozenset({Role.SEAL_KEEPER}), assurance=4, authenticator=2)
ADMIN = replace(KEEPER, id="admin", organisation="11990100MB0000019L", roles=frozenset({Role.SECURITY_ADMIN}))


async def demonstration_seal(database: Database, keystore: KeyStore, clock: TestClock) -> SealMaterial:
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    now = clock.now()
    order = SealOrder("示范市住建局行政审批专用章", "approval", HOUSING, "示范市住建局", "990100", None, now, now + dt.timedelta(days=365))
    seal = await make_seal(database, keystore, clock, KEEPER, order, reviewers=(replace(ADMIN, id="reviewer"), ADMIN))
    async with database.begin() as session:
        return await load_material(session, keystore, now, seal.code)


async def test_a_revocation_counts_at_once(
    client: AsyncClient, database: Database, keystore: KeyStore, clock: TestClock, world: World, tmp_path: Path
) -> None:
    """The list inside the file stays current for months; the service's own is asked as well."""
    material = await demonstration_seal(database, keystore, clock)
    async with database.begin() as session:
        (tmp_path / "trust.pem").write_text(await trust_bundle(session))
    page = certificate_page()
    permit = world.permit(page, seal_code=material.code)
    sealed = stamp(permit, page, material, PLACE, keystore, clock.now()).pdf
    assert (await client.post(ADDRESS, content=sealed)).json()["indication"] == "TOTAL_PASSED"
    clock.advance(minutes=1)
    signer = read_certificate(material.signer_certificate)
    assert signer is not None
    async with database.begin() as session:
        await revoke(session, clock.now(), signer.serial, "key_compromise")
    answer = (await client.post(ADDRESS, content=sealed)).json()
    assert (answer["indication"], answer["sub_indication"]) == ("INDETERMINATE", "REVOKED_NO_POE")


async def test_the_registry_is_asked_whether_the_seal_was_in_use(
    client: AsyncClient, database: Database, keystore: KeyStore, clock: TestClock, world: World, tmp_path: Path
) -> None:
    material = await demonstration_seal(database, keystore, clock)
    async with database.begin() as session:
        (tmp_path / "trust.pem").write_text(await trust_bundle(session))
    page = certificate_page()

    def sealed() -> bytes:
        permit = world.permit(page, seal_code=material.code, expires=clock.now() + dt.timedelta(minutes=5))
        return stamp(permit, page, material, PLACE, keystore, clock.now()).pdf

    before = sealed()
    clock.advance(minutes=1)
    await suspend_seal(database, clock, KEEPER, material.code, "test")
    clock.advance(minutes=1)
    during = (await client.post(ADDRESS, content=sealed())).json()
    assert (during["indication"], during["sub_indication"]) == ("TOTAL_FAILED", "REVOKED")  # its certificates are on hold
    assert {"name": "SEAL_SUSPENDED", "outcome": "FAILED"}.items() <= during["signatures"][0]["checks"][-1].items()
    assert (await client.post(ADDRESS, content=before)).json()["indication"] == "TOTAL_PASSED"
    await cancel_seal(database, clock, ADMIN, material.code, "test")
    clock.advance(minutes=1)
    after = (await client.post(ADDRESS, content=sealed())).json()
    assert after["signatures"][0]["checks"][-1]["name"] == "SEAL_CANCELLED"
    assert after["indication"] != "TOTAL_PASSED"


async def test_a_code_of_ours_makes_no_seal_ours(
    client: AsyncClient, database: Database, keystore: KeyStore, clock: TestClock, world: World
) -> None:
    """Another trusted maker puts the code of our seal into a seal of its own: its stamp holds, and our registry does not vouch for it."""
    foreign = world.stamped()
    assert (await client.post(ADDRESS, content=foreign)).json()["indication"] == "TOTAL_PASSED"
    ours = await demonstration_seal(database, keystore, clock)
    assert ours.code == world.material().code
    clock.advance(minutes=2)
    answer = (await client.post(ADDRESS, content=foreign)).json()
    assert (answer["indication"], answer["sub_indication"]) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")
    assert answer["signatures"][0]["checks"][-1]["name"] == "OUT_OF_SCOPE"


async def test_rubbish_is_answered_like_everything_else(client: AsyncClient) -> None:
    for rubbish in (b"rubbish", b"%PDF-1.7", b"\x30\x82\xff\xff"):
        answer = await client.post(ADDRESS, content=rubbish)
        assert answer.status_code == 200
        assert answer.json()["indication"] == "UNREADABLE"
