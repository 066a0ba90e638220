"""A seal whose certificates, and whose maker's, a licensed authority issued: made, used, judged by others, and refused."""

import datetime as dt
import hashlib
import re
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import pem
from sqlalchemy import text

from keys.base.errors import FujieError
from keys.custody.store import Algorithm
from keys.pki.authority import authority_certificate
from keys.pki.certificate import Subject
from keys.pki.crl import current_crls
from keys.pki.external import RequestOrder, accept, request
from keys.trust.answers import refresh_all
from keys.trust.connectors import refresh
from keys.trust.entries import Use
from keys.trust.lifecycle import Move
from keys.trust.proposals import Proposal, approve, move, propose
from keys.trust.reads import external_answers
from seal.changes import report_seal_lost
from seal.making import apply_for_seal
from seal.material import load_material
from seal.permits import Permit
from seal.reads import Seal
from seal.stamping import stamp
from seal.trust import Trust
from seal.verdict import Check, Indication, Outcome, Verdict
from seal.verification import verify
from seal.verification_pdf import open_pdf, security_store
from tests.conftest import TestClock, require_command
from tests.keys.test_trust import ANNE, BERT
from tests.licensed import Licensed, responding, served
from tests.running import free_port
from tests.seal.conftest import HOUSING, City
from tests.stamped import PLACE, certificate_page

NAME = "示范市住房和城乡建设局"
OURS = Subject(f"{NAME}行政审批专用章", NAME, HOUSING, "990100")
MAKER = Subject("某某制章有限公司", "某某制章有限公司", "", "990100")
USES = {
    False: frozenset({Use.DOCUMENT_SIGNER}),
    True: frozenset({Use.SEAL_SIGNER, Use.SEAL_MAKER}),
}
BOUGHT = {"document_signer": "doc", "seal_signer": "stamp", "maker": "maker"}


@pytest.fixture(autouse=True)
def present(clock: TestClock) -> None:
    clock.instant = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)


@pytest.fixture(scope="module")
def licensed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Licensed, Licensed]]:
    """A P-256 and an SM2 authority, made once."""
    require_command("openssl", "openssl")
    folder = tmp_path_factory.mktemp("licensed")
    with served(folder) as base:
        yield Licensed(folder / "ec", base).establish(), Licensed(folder / "sm", base, "Licensed SM2 Root", sm=True).establish()


@pytest.fixture
def market(licensed: tuple[Licensed, Licensed]) -> tuple[Licensed, Licensed]:
    """Both with a fresh list that revokes nothing of this test's."""
    for one in licensed:
        one.publish()
    return licensed


async def trusted(city: City, licensed: Licensed, *ocsp: str) -> uuid.UUID:
    proposal = Proposal(licensed.root, USES[licensed.sm], ocsp_urls=ocsp, legal_effect=True, reason="licensed by the province")
    entry = await propose(city.database, city.clock, ANNE, proposal)
    await approve(city.database, city.clock, BERT, entry.id, "licence seen")
    return entry.id


async def buy(city: City, licensed: Licensed, name: str, profile: str, subject: Subject = OURS, days: int = 700) -> bytes:
    algorithm = Algorithm.SM2 if licensed.sm else Algorithm.P256
    order = RequestOrder(name, profile, subject, algorithm)
    encoded = await request(city.database, city.keystore, city.clock, ANNE, "http://127.0.0.1:8000", order)
    bundle = licensed.certify(encoded, name, days=days)
    return (await accept(city.database, city.clock, ANNE, name, bundle)).certificate


async def bought_everything(city: City, market: tuple[Licensed, Licensed]) -> list[uuid.UUID]:
    ec, sm = market
    entries = [await trusted(city, one) for one in market]
    await buy(city, ec, "doc", "document-signer")
    await buy(city, sm, "stamp", "seal-signer-sm")
    await buy(city, sm, "maker", "seal-maker", MAKER)
    return entries


async def stamped(city: City, seal: Seal, at: dt.datetime | None = None) -> bytes:
    """A page stamped with what :func:`load_material` gives."""
    now = at or city.clock.now()
    page = certificate_page()
    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, now, seal.code)
    permit = Permit(uuid.uuid4(), seal.code, "tester", hashlib.sha256(page).digest(), now + dt.timedelta(minutes=5), "matter")
    return stamp(permit, page, material, PLACE, city.keystore, now).pdf


def code_of(refusal: pytest.ExceptionInfo[FujieError]) -> str:
    return refusal.value.code


async def test_made_used_and_judged_by_others(city: City, market: tuple[Licensed, Licensed], tmp_path: Path) -> None:
    ec, sm = market
    await bought_everything(city, market)
    assert (await refresh(city.database, city.clock)).failed == {}
    seal = await city.make(**BOUGHT)
    pdf = await stamped(city, seal)

    whole = verify(pdf, Trust((ec.root, sm.root)), city.clock.now())
    assert whole.indication is Indication.TOTAL_PASSED, open_checks(whole)
    assert "演示" not in repr(whole)
    assert "DEMONSTRATION" not in repr(whole)
    alone = verify(pdf, Trust((ec.root,)), city.clock.now())
    assert alone.indication is Indication.INDETERMINATE, "the stamp rests on the other root"

    async with city.database.begin() as session:
        material = await load_material(session, city.keystore, city.clock.now(), seal.code)
    lists = tuple((one.folder / "ca.crl").read_bytes() for one in market)
    assert set(material.validation.crls) == set(security_store(open_pdf(pdf)).crls) == set(lists), "fetched by the connector"
    assert (material.signer_chain, material.sm_chain) == ((ec.root,), (sm.root,))
    outsiders(pdf, ec, sm, tmp_path, lists[0])


def outsiders(pdf: bytes, ec: Licensed, sm: Licensed, folder: Path, crl: bytes) -> None:
    """openssl judges the signature with the licensed root and list alone, and the SM2 chains; poppler the file."""
    begin, first, second, last = map(int, re.search(rb"/ByteRange\s*\[(\d+) (\d+) (\d+) (\d+)\s*\]", pdf).groups())  # type: ignore[union-attr]
    assert (begin, second + last) == (0, len(pdf))
    (folder / "signed").write_bytes(pdf[:first] + pdf[second:])
    (folder / "cms").write_bytes(bytes.fromhex(pdf[first + 1 : second - 1].decode()))
    (folder / "sealed.pdf").write_bytes(pdf)
    (folder / "crl.pem").write_bytes(pem.armor("X509 CRL", crl))
    paths = ("-in", str(folder / "cms"), "-content", str(folder / "signed"), "-out", str(folder / "out"))
    ec.run("cms", "-verify", "-binary", "-inform", "DER", "-cades", *paths, "-CAfile", "ca.pem")
    at = ("-crl_check", "-CRLfile", "crl.pem", "-CAfile", "ca.pem")
    assert "doc.pem: OK" in ec.run("verify", *at, "doc.pem")
    for name in ("stamp.pem", "maker.pem"):  # without the list: openssl cannot be told the SM2 identity for its signature
        assert f"{name}: OK" in sm.run("verify", *at[3:], "-vfyopt", "distid:1234567812345678", name)
    said = subprocess.run(
        [require_command("pdfsig", "poppler-utils"), str(folder / "sealed.pdf")], capture_output=True, text=True, check=False
    )
    assert "Signature is Valid" in said.stdout
    assert "Total document signed" in said.stdout


async def test_without_a_current_list_nothing_is_stamped(city: City, market: tuple[Licensed, Licensed]) -> None:
    """Not before the first one came, not after it ended, and again as soon as the next one is there."""
    ec, _ = market
    await bought_everything(city, market)
    with pytest.raises(FujieError) as early:
        await apply_for_seal(city.database, city.clock, city.keeper, city.order(**BOUGHT))
    assert code_of(early) == "EXTERNAL_CHAIN_UNTRUSTED"
    ec.publish(seconds=3600)
    assert (await refresh(city.database, city.clock)).failed == {}
    seal = await city.make(**BOUGHT)
    later = city.clock.now() + dt.timedelta(hours=2)
    with pytest.raises(FujieError) as ended:
        await stamped(city, seal, later)
    assert (code_of(ended), ended.value.status, ended.value.headers["Retry-After"]) == ("EXTERNAL_REVOCATION_LIST_MISSING", 503, "60")
    ec.publish()
    city.clock.instant = later  # type: ignore[attr-defined]
    assert (await refresh(city.database, city.clock)).failed == {}
    assert verify(await stamped(city, seal), Trust(tuple(one.root for one in market)), later).indication is Indication.TOTAL_PASSED


def open_checks(verdict: Verdict) -> list[Check]:
    return [check for one in verdict.signatures for check in one.checks if check.outcome is not Outcome.PASSED]


async def answers(city: City) -> tuple[bytes, ...]:
    async with city.database.session() as session:
        return await external_answers(session)


async def test_a_responder_is_asked_where_no_list_can_be_used(city: City, market: tuple[Licensed, Licensed]) -> None:
    """Its answers let a verdict stand, or fall; nothing is stamped on them."""
    ec, sm = market
    ec.publish(seconds=3600)
    port = free_port()
    await trusted(city, ec, f"http://127.0.0.1:{port}")
    await trusted(city, sm)
    with responding(ec, port):
        certificate = await buy(city, ec, "doc", "document-signer")
        await buy(city, sm, "stamp", "seal-signer-sm")
        assert (await refresh_all(city.database, city.clock)).kept == 2
        assert await answers(city) == (), "there is a list"
        seal = await city.make(document_signer="doc", seal_signer="stamp")
        pdf = await stamped(city, seal)
        later = city.clock.advance(hours=2)  # type: ignore[attr-defined]
        failed = {ec.list_url: "REVOCATION_ANSWER_REFUSED", hashlib.sha256(certificate).hexdigest(): "REVOCATION_ANSWER_REFUSED"}
        assert (await refresh_all(city.database, city.clock)).failed == failed, "ended, and issued after the responder read its index"
    with responding(ec, port):
        later = city.clock.advance(minutes=2)  # type: ignore[attr-defined]
        await refresh_all(city.database, city.clock)
        (good,) = await answers(city)
        city.clock.advance(seconds=1)  # type: ignore[attr-defined]
        assert (await refresh_all(city.database, city.clock)).kept == 0, "not due"
    async with city.database.begin() as session:
        ours = await authority_certificate(session, "root-sm")
        lists = tuple((await current_crls(session, city.keystore, later, ["root-sm", "seal-maker"])).values())
    trust = Trust((ec.root, sm.root, ours), lists)
    assert verify(pdf, trust, later).indication is Indication.INDETERMINATE, "the list in the file has ended"
    online = replace(trust, responses=(good,))
    assert Trust.from_json(online.to_json()) == online
    standing = verify(pdf, online, later)
    assert standing.indication is Indication.TOTAL_PASSED, open_checks(standing)
    with pytest.raises(FujieError) as refused:
        await stamped(city, seal)
    assert code_of(refused) == "EXTERNAL_REVOCATION_LIST_MISSING"

    ec.run("ca", "-config", "ca.cnf", "-revoke", "doc.pem", "-md", "sha256")
    with responding(ec, port):
        city.clock.advance(hours=5)  # type: ignore[attr-defined]
        await refresh_all(city.database, city.clock)
    (bad,) = await answers(city)
    fallen = verify(pdf, replace(trust, responses=(bad,)), city.clock.now())
    assert fallen.sub_indication in ("REVOKED", "REVOKED_NO_POE"), "before or after it signed: the clocks of the two differ by seconds"


async def test_a_revoked_certificate_and_a_withdrawn_authority(city: City, market: tuple[Licensed, Licensed]) -> None:
    ec, _ = market
    entries = await bought_everything(city, market)
    assert (await refresh(city.database, city.clock)).failed == {}
    seal = await city.make(**BOUGHT)
    ec.publish("doc")
    city.clock.advance(hours=7)  # type: ignore[attr-defined]
    assert (await refresh(city.database, city.clock)).failed == {}
    with pytest.raises(FujieError) as revoked:
        await stamped(city, seal)
    assert (code_of(revoked), revoked.value.extra["check"]) == ("SEAL_UNFIT", "REVOCATION")
    with pytest.raises(FujieError) as bought:
        await apply_for_seal(city.database, city.clock, city.keeper, city.order(document_signer="doc"))
    assert code_of(bought) == "EXTERNAL_CHAIN_UNTRUSTED"
    await move(city.database, city.clock, ANNE, entries[0], Move.WITHDRAW, "the licence ended")
    city.clock.advance(minutes=2)  # type: ignore[attr-defined]
    with pytest.raises(FujieError) as withdrawn:
        await stamped(city, seal)
    assert code_of(withdrawn) == "EXTERNAL_AUTHORITY_DISTRUSTED"


async def test_a_lost_seal_is_for_the_licensed_authority_to_revoke(city: City, market: tuple[Licensed, Licensed]) -> None:
    ec, _ = market
    await trusted(city, ec)
    certificate = await buy(city, ec, "doc", "document-signer")
    await refresh(city.database, city.clock)
    seal = await city.make(document_signer="doc")
    await report_seal_lost(city.database, city.clock, city.keeper, seal.code, "stolen")
    async with city.database.session() as session:
        told = text("SELECT action, convert_from(body, 'UTF8') FROM keys.audit_events WHERE action IN (:ours, :theirs) ORDER BY id")
        rows = [tuple(row) for row in await session.execute(told, {"ours": "keys.pki.revoke", "theirs": "seal.revocation_due_elsewhere"})]
    assert [action for action, _ in rows].count("seal.revocation_due_elsewhere") == 1
    assert hashlib.sha256(certificate).hexdigest() in dict(rows)["seal.revocation_due_elsewhere"]


async def test_what_does_not_suit_the_seal(city: City, market: tuple[Licensed, Licensed]) -> None:
    ec, sm = market
    for one in market:
        await trusted(city, one)
    await buy(city, ec, "doc", "document-signer")
    await buy(city, ec, "short", "document-signer", days=30)
    await buy(city, ec, "code", "document-signer", replace(OURS, organisation_code="11990100MB0000027F"))
    await buy(city, ec, "name", "document-signer", replace(OURS, organisation="另一个局", organisation_code=""))
    await buy(city, sm, "stamp", "seal-signer-sm")
    await refresh(city.database, city.clock)
    unfit = "SEAL_CERTIFICATE_UNSUITABLE"
    for name, wanted, said in (
        ("nobody", "EXTERNAL_REQUEST_UNKNOWN", "nobody"),
        ("short", unfit, "it is valid from"),
        ("code", unfit, "the code of another organisation"),
        ("name", unfit, "it names another organisation"),
        ("stamp", unfit, "it is no document-signer"),
    ):
        with pytest.raises(FujieError, match=said) as refused:
            await apply_for_seal(city.database, city.clock, city.keeper, city.order(document_signer=name))
        assert code_of(refused) == wanted
    assert await city.make(document_signer="doc", seal_signer="stamp")
    with pytest.raises(FujieError) as twice:
        await apply_for_seal(city.database, city.clock, city.keeper, city.order(kind="finance", document_signer="doc"))
    assert code_of(twice) == "SEAL_CERTIFICATE_IN_USE"
