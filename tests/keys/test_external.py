"""Somebody else's root above ours: the request goes out, ``openssl`` certifies it as a licensed authority would, the chain comes in."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from asn1crypto import pem

from keys.base.actor import SYSTEM
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm, Purpose
from keys.pki.authority import authority_certificate, issue, trust_bundle
from keys.pki.certificate import Subject
from keys.pki.external import RequestOrder, accept, request
from keys.trust.certificates import read_bundle
from keys.trust.entries import Use
from keys.trust.lifecycle import Move
from keys.trust.proposals import Proposal, approve, move, propose
from tests.keys.conftest import MovableClock, OpenSsl
from tests.keys.test_trust import ANNE, BERT, admin

BASE = "http://127.0.0.1:8000"
DISTID = ("-sigopt", "distid:1234567812345678")
AUTHORITY = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
SIGNER = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,nonRepudiation\n"


@dataclass
class Licensed:
    """A root of somebody else; ``sm`` makes it SM2."""

    openssl: OpenSsl
    folder: Path
    sm: bool = False
    words: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        key = ("-newkey", "sm2", "-sm3", *DISTID) if self.sm else ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        constraints = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        subject = ("-subj", "/CN=Licensed Root", "-days", "900")
        self.run("req", "-x509", *key, "-nodes", "-keyout", "ca.key", *subject, "-out", "ca.pem", *constraints)

    def run(self, *words: str | bytes) -> str:
        done = self.openssl(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def root(self) -> bytes:
        return read_bundle((self.folder / "ca.pem").read_bytes())[0]

    def certify(self, encoded: bytes, extensions: str = AUTHORITY, days: int = 365) -> bytes:
        """PEM of a certificate for the request, after checking the request's own signature."""
        (self.folder / "out.csr").write_bytes(pem.armor("CERTIFICATE REQUEST", encoded))
        (self.folder / "extensions").write_text(extensions)
        distid = ("-vfyopt", "distid:1234567812345678") if self.sm else ()
        self.run("req", "-in", "out.csr", "-verify", "-noout", *distid)
        signing = ("-sm3", *DISTID, *distid) if self.sm else ()
        self.run(
            "x509", "-req", "-in", "out.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "77", "-days", str(days), "-extfile",
            "extensions", "-out", "ours.pem", *signing,
        )  # fmt: skip
        return (self.folder / "ours.pem").read_bytes()


@pytest.fixture(autouse=True)
def present(clock: MovableClock) -> None:
    clock.instant = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)


@pytest.fixture
def licensed(openssl: OpenSsl, tmp_path: Path) -> Licensed:
    return Licensed(openssl, tmp_path)


def order(profile: str = "seal-ca", algorithm: Algorithm = Algorithm.P256, name: str = "city-seal") -> RequestOrder:
    return RequestOrder(name, profile, Subject("某某市印章CA", "某某市数据局", "11990100MB0000019L", "990100"), algorithm)


async def trust(database: Database, clock: MovableClock, root: bytes, *uses: Use) -> None:
    proposal = Proposal(
        root, frozenset(uses or (Use.SEAL_SIGNER, Use.DOCUMENT_SIGNER)), legal_effect=True, reason="licensed by the province"
    )
    await approve(database, clock, BERT, (await propose(database, clock, ANNE, proposal)).id, "licence seen")


async def test_an_authority_under_somebody_elses_root(
    database: Database, keystore: SoftwareKeyStore, clock: MovableClock, licensed: Licensed
) -> None:
    encoded = await request(database, keystore, clock, ANNE, BASE, order())
    assert encoded == await request(database, keystore, clock, ANNE, BASE, order()), "asking again changes nothing"
    assert "CA:TRUE" in licensed.run("req", "-inform", "DER", "-in", encoded, "-noout", "-text")
    async with database.session() as session:
        with pytest.raises(FujieError, match="AUTHORITY_UNKNOWN"):
            await authority_certificate(session, "city-seal")
    await trust(database, clock, licensed.root)
    taken = await accept(database, clock, ANNE, "city-seal", licensed.certify(encoded) + (licensed.folder / "ca.pem").read_bytes())
    assert taken.chain == (licensed.root,)

    async with database.begin() as session:
        key = keystore.generate(Algorithm.P256, Purpose.SEALS)
        subject = Subject("某某市印章", "某某市数据局", "11990100MB0000019L", "990100")
        issued = await issue(
            session, keystore, clock.now(), authority="city-seal", profile="document-signer", subject=subject, public_key=key.public
        )
        assert issued.chain == (taken.certificate, licensed.root), "the external chain stands behind everything it issues"
        assert await authority_certificate(session, "city-seal") == taken.certificate
        assert (await trust_bundle(session)).encode() == pem.armor("CERTIFICATE", licensed.root)
    armoured = [pem.armor("CERTIFICATE", one) for one in (licensed.root, taken.certificate, issued.certificate)]
    at = str(int(clock.now().timestamp()) + 2)
    assert "OK" in licensed.run("verify", "-attime", at, "-CAfile", armoured[0], "-untrusted", armoured[1], armoured[2])


async def test_an_sm2_authority_under_an_sm2_root(
    database: Database, keystore: SoftwareKeyStore, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    licensed = Licensed(openssl, tmp_path, sm=True)
    encoded = await request(database, keystore, clock, ANNE, BASE, order("seal-maker-ca", Algorithm.SM2, "city-maker"))
    await trust(database, clock, licensed.root, Use.SEAL_MAKER)
    taken = await accept(database, clock, ANNE, "city-maker", licensed.certify(encoded))
    assert taken.chain == (licensed.root,)
    async with database.begin() as session:
        key = keystore.generate(Algorithm.SM2, Purpose.SEALS)
        subject = Subject("某某市制章", "某某市数据局", "", "990100")
        issued = await issue(
            session, keystore, clock.now(), authority="city-maker", profile="seal-maker", subject=subject, public_key=key.public
        )
    assert issued.chain == (taken.certificate, licensed.root)
    link = ("-partial_chain", "-trusted", pem.armor("CERTIFICATE", taken.certificate), pem.armor("CERTIFICATE", issued.certificate))
    assert "OK" in licensed.run("verify", "-attime", str(int(clock.now().timestamp()) + 2), "-vfyopt", "distid:1234567812345678", *link)


@pytest.mark.parametrize(
    ("extensions", "code"),
    [
        ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyCertSign,cRLSign\n", "EXTERNAL_CERTIFICATE_UNSUITABLE"),
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n", "EXTERNAL_CERTIFICATE_UNSUITABLE"),
        ("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n", "EXTERNAL_CERTIFICATE_UNSUITABLE"),
    ],
)
async def test_a_certificate_that_cannot_do_what_was_asked(
    database: Database, keystore: SoftwareKeyStore, clock: MovableClock, licensed: Licensed, extensions: str, code: str
) -> None:
    encoded = await request(database, keystore, clock, ANNE, BASE, order())
    await trust(database, clock, licensed.root)
    with pytest.raises(FujieError) as refused:
        await accept(database, clock, ANNE, "city-seal", licensed.certify(encoded, extensions))
    assert refused.value.code == code


async def test_what_is_refused(database: Database, keystore: SoftwareKeyStore, clock: MovableClock, licensed: Licensed) -> None:
    """An unapproved root, another key, an altered certificate, a withdrawn root, nobody's name, no administrator."""
    encoded = await request(database, keystore, clock, ANNE, BASE, order())
    other = await request(database, keystore, clock, ANNE, BASE, order(name="other"))
    ours = licensed.certify(encoded)
    (whole,) = read_bundle(ours)
    altered = pem.armor("CERTIFICATE", whole[:-1] + bytes([whole[-1] ^ 1]))
    await refused(database, clock, "city-seal", ours, "EXTERNAL_CHAIN_UNTRUSTED")
    await trust(database, clock, licensed.root)
    await refused(database, clock, "city-seal", licensed.certify(other), "EXTERNAL_CERTIFICATE_UNSUITABLE")
    await refused(database, clock, "city-seal", altered, "EXTERNAL_CHAIN_UNTRUSTED")
    await refused(database, clock, "city-seal", b"nothing", "TRUST_BUNDLE_MALFORMED")
    await refused(database, clock, "nobody", ours, "EXTERNAL_REQUEST_UNKNOWN")
    with pytest.raises(FujieError, match="TRUST_ACTOR_REFUSED"):
        await accept(database, clock, SYSTEM, "city-seal", ours)
    with pytest.raises(FujieError, match="TRUST_ACTOR_REFUSED"):
        await request(database, keystore, clock, admin("carl", authenticator=1), BASE, order(name="third"))
    with pytest.raises(FujieError, match="EXTERNAL_NAME_TAKEN"):
        await request(database, keystore, clock, ANNE, BASE, order("document-ca"))
    with pytest.raises(FujieError, match="CERTIFICATE_PROFILE_UNSUITABLE"):
        await request(database, keystore, clock, ANNE, BASE, order("person-sign-in", name="fourth"))
    clock.advance(days=400)
    await refused(database, clock, "city-seal", ours, "EXTERNAL_CHAIN_UNTRUSTED")  # ours has ended, the root has not


async def test_a_withdrawn_root_certifies_nothing_more(
    database: Database, keystore: SoftwareKeyStore, clock: MovableClock, licensed: Licensed
) -> None:
    encoded = await request(database, keystore, clock, ANNE, BASE, order())
    entry = await propose(database, clock, ANNE, Proposal(licensed.root, frozenset({Use.SEAL_SIGNER}), reason="licensed"))
    await approve(database, clock, BERT, entry.id, "licence seen")
    await move(database, clock, ANNE, entry.id, Move.WITHDRAW, "the licence ended")
    await refused(database, clock, "city-seal", licensed.certify(encoded), "EXTERNAL_CHAIN_UNTRUSTED")


async def refused(database: Database, clock: MovableClock, name: str, bundle: bytes, code: str) -> None:
    with pytest.raises(FujieError) as error:
        await accept(database, clock, ANNE, name, bundle)
    assert error.value.code == code
