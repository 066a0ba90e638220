"""The trust list: coming onto it takes two people, what is unfit is refused, and a stranger can verify what we sign."""

import base64
import datetime as dt
import hashlib
import itertools
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from asn1crypto import pem
from joserfc import jws as jose
from joserfc.jwk import ECKey
from jsonschema import Draft202012Validator, FormatChecker
from sqlalchemy import text

from keys.base.actor import SYSTEM, Actor, ActorKind, Role
from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody import sm2
from keys.custody.software import SoftwareKeyStore
from keys.custody.store import Algorithm
from keys.pki.authority import authority_certificate
from keys.trust.certificates import check_authority, fingerprint, read_bundle
from keys.trust.documents import TYPE, require_current, verify_list
from keys.trust.entries import EVERYWHERE, Scope, Since, TrustedAuthority, Use
from keys.trust.errors import TrustListOutdated
from keys.trust.importing import ImportOrder, import_list, narrowed
from keys.trust.lifecycle import MOVES, Move, Status, markdown, target
from keys.trust.proposals import Proposal, approve, move, propose
from keys.trust.publishing import LIST_REFRESH, LIST_VALIDITY, current_list
from keys.trust.reads import list_entries, trusted_authorities
from tests.keys.conftest import BASE_URL, MovableClock, OpenSsl

NOW = dt.datetime(2026, 11, 21, 2, 0, tzinfo=dt.UTC)


def admin(name: str, **changed: object) -> Actor:
    actor = Actor(ActorKind.PERSON, name, name, None, "990100", frozenset({Role.SECURITY_ADMIN}), authenticator=2)
    return replace(actor, **changed)


ANNE, BERT = admin("anne"), admin("bert")


@pytest.fixture(autouse=True)
def present(clock: MovableClock) -> None:
    """openssl dates what it makes by the machine's clock: here ours stands at the same time."""
    clock.instant = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=5)


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
AUTHORITY = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def made(openssl: OpenSsl, folder: Path, *words: str, key: tuple[str, ...] = EC, name: str = "Other City Root") -> bytes:
    """A self-signed certificate that openssl made, DER; an authority's unless ``words`` say otherwise."""
    done = openssl(
        "req",
        "-x509",
        *key,
        "-nodes",
        "-keyout",
        "root.key",
        "-subj",
        f"/CN={name}",
        "-days",
        "3650",
        "-out",
        "root.pem",
        *(words or AUTHORITY),
    )
    assert done.returncode == 0, done.stderr
    (der,) = read_bundle((folder / "root.pem").read_bytes())
    return der


def at(clock: MovableClock) -> str:
    return str(int(clock.now().timestamp()))


def order(certificate: bytes, **changed: object) -> Proposal:
    return replace(Proposal(certificate, frozenset({Use.SEAL_SIGNER}), reason="mutual recognition agreement no. 7"), **changed)


async def events(database: Database, action: str) -> list[tuple[str, str | None]]:
    async with database.session() as session:
        rows = await session.execute(text("SELECT body FROM keys.audit_events WHERE action = :action ORDER BY id"), {"action": action})
        bodies = [json.loads(body) for (body,) in rows]
    return [(body["outcome"], body["code"]) for body in bodies]


# ── The table of moves ──


def test_every_move_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "trust-list.md").read_text()
    assert markdown() in page


def test_what_ended_never_comes_back() -> None:
    for ended in (Status.REJECTED, Status.WITHDRAWN):
        for step in MOVES:
            with pytest.raises(FujieError):
                target(ended, step)


# ── Two people ──


async def test_two_people_put_an_authority_on_the_list(database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path) -> None:
    entry = await propose(database, clock, ANNE, order(made(openssl, tmp_path)))
    assert entry.status is Status.PROPOSED
    async with database.session() as session:
        assert await trusted_authorities(session) == ()
    clock.advance(minutes=1)
    approved = await approve(database, clock, BERT, entry.id, "fingerprint compared by telephone")
    assert approved.status is Status.ACTIVE
    assert [(one.move, one.actor_id) for one in approved.changes] == [("propose", "anne"), ("approve", "bert"), ("activate", "bert")]
    assert await events(database, "keys.trust.approve") == [("done", None)]


@pytest.mark.parametrize(
    ("actor", "code"),
    [
        (ANNE, "TRUST_SAME_PERSON"),
        (admin("carl", authenticator=1), "TRUST_ACTOR_REFUSED"),
        (admin("carl", roles=frozenset({Role.SYSTEM_ADMIN})), "TRUST_ACTOR_REFUSED"),
        (admin("carl", kind=ActorKind.CLIENT), "TRUST_ACTOR_REFUSED"),
        (SYSTEM, "TRUST_ACTOR_REFUSED"),
    ],
)
async def test_whoever_may_not_approve_is_refused_and_remembered(
    database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path, actor: Actor, code: str
) -> None:
    entry = await propose(database, clock, ANNE, order(made(openssl, tmp_path)))
    with pytest.raises(FujieError) as refused:
        await approve(database, clock, actor, entry.id, "because")
    assert refused.value.code == code
    assert await events(database, "keys.trust.approve") == [("refused", code)]
    async with database.session() as session:
        assert await trusted_authorities(session) == ()


async def test_narrowing_takes_one_person_and_widening_two(
    database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    entry = await propose(database, clock, ANNE, order(made(openssl, tmp_path)))
    await approve(database, clock, BERT, entry.id, "agreed")
    await move(database, clock, ANNE, entry.id, Move.SUSPEND, "an incident is looked into")
    with pytest.raises(FujieError) as refused:
        await move(database, clock, ANNE, entry.id, Move.RESUME, "never mind")
    assert refused.value.code == "TRUST_SAME_PERSON"
    assert (await move(database, clock, BERT, entry.id, Move.RESUME, "nothing was found")).status is Status.ACTIVE
    assert (await move(database, clock, BERT, entry.id, Move.WITHDRAW, "the agreement ended")).status is Status.WITHDRAWN
    with pytest.raises(FujieError) as refused:
        await move(database, clock, BERT, entry.id, Move.RESUME, "again")
    assert refused.value.code == "TRUST_MOVE_NOT_ALLOWED"
    with pytest.raises(FujieError) as refused:
        await move(database, clock, BERT, uuid.uuid4(), Move.WITHDRAW, "nothing there")
    assert refused.value.code == "TRUST_ENTRY_UNKNOWN"


async def test_one_certificate_has_one_living_entry(database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path) -> None:
    certificate = made(openssl, tmp_path)
    first = await propose(database, clock, ANNE, order(certificate))
    with pytest.raises(FujieError) as refused:
        await propose(database, clock, BERT, order(certificate))
    assert refused.value.code == "TRUST_DUPLICATE"
    await move(database, clock, BERT, first.id, Move.REJECT, "scope too wide")
    again = await propose(database, clock, ANNE, order(certificate, scope=Scope(divisions=("990100",))))
    assert again.status is Status.PROPOSED


# ── What is unfit ──


@pytest.mark.parametrize(
    ("key", "words", "code"),
    [
        (("-newkey", "rsa:1024"), AUTHORITY, "TRUST_KEY_WEAK"),
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-224"), AUTHORITY, "TRUST_KEY_WEAK"),
        (("-newkey", "rsa:2048"), ("-sha1", *AUTHORITY), "TRUST_KEY_WEAK"),
        (EC, ("-addext", "basicConstraints=critical,CA:FALSE"), "TRUST_NOT_AUTHORITY"),
        (EC, (*AUTHORITY[:2], "-addext", "keyUsage=critical,digitalSignature"), "TRUST_NOT_AUTHORITY"),
    ],
)
async def test_unfit_authorities_are_refused(
    database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path, key: tuple[str, ...], words: tuple[str, ...], code: str
) -> None:
    certificate = made(openssl, tmp_path, *words, key=key)
    with pytest.raises(FujieError) as refused:
        await propose(database, clock, ANNE, order(certificate))
    assert refused.value.code == code
    assert await events(database, "keys.trust.propose") == [("refused", code)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"uses": frozenset()}, "TRUST_PROPOSAL_INVALID"),
        ({"reason": " "}, "TRUST_PROPOSAL_INVALID"),
        ({"scope": Scope(divisions=("99",))}, "TRUST_PROPOSAL_INVALID"),
        ({"scope": Scope(organisation="12345")}, "TRUST_PROPOSAL_INVALID"),
        ({"crl_urls": ("file:///etc/passwd",)}, "TRUST_PROPOSAL_INVALID"),
        ({"valid_to": NOW - dt.timedelta(days=900)}, "TRUST_PROPOSAL_INVALID"),
        ({"certificate": b"\x30\x03\x02\x01\x01"}, "TRUST_BUNDLE_MALFORMED"),
    ],
)
async def test_malformed_proposals_are_refused(
    database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path, change: dict[str, object], code: str
) -> None:
    with pytest.raises(FujieError) as refused:
        await propose(database, clock, ANNE, replace(order(made(openssl, tmp_path)), **change))
    assert refused.value.code == code


async def test_expired_forged_and_demonstration_authorities(
    database: Database, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    certificate = made(openssl, tmp_path)
    forged = certificate[:-1] + bytes([certificate[-1] ^ 1])
    for one, change, code in (
        (forged, {}, "TRUST_SIGNATURE_BROKEN"),
        (made(openssl, tmp_path, name="演示根 DEMONSTRATION"), {"legal_effect": True}, "TRUST_DEMONSTRATION_HAS_NO_LEGAL_EFFECT"),
    ):
        with pytest.raises(FujieError) as refused:
            await propose(database, clock, ANNE, order(one, **change))
        assert refused.value.code == code
    clock.advance(days=4000)
    with pytest.raises(FujieError) as refused:
        await propose(database, clock, ANNE, order(certificate))
    assert refused.value.code == "TRUST_CERTIFICATE_EXPIRED"


@pytest.mark.parametrize(
    "key", [("-newkey", "rsa:2048"), ("-newkey", "ed25519"), ("-newkey", "sm2", "-sm3", "-sigopt", "distid:1234567812345678")]
)
def test_every_usual_container_and_kind_of_key_is_read(openssl: OpenSsl, tmp_path: Path, clock: MovableClock, key: tuple[str, ...]) -> None:
    certificate = made(openssl, tmp_path, key=key)
    assert check_authority(certificate, clock.now()).name == "Other City Root"
    for form in ("DER", "PEM"):
        assert openssl("crl2pkcs7", "-nocrl", "-certfile", "root.pem", "-outform", form, "-out", "bundle").returncode == 0
        assert read_bundle((tmp_path / "bundle").read_bytes()) == (certificate,)
    assert read_bundle(certificate) == (certificate,)
    assert read_bundle(pem.armor("CERTIFICATE", certificate) * 2) == (certificate,)


@pytest.mark.parametrize(
    "data", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\x30\x80\0\0", bytes(2 << 20)]
)
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    with pytest.raises(FujieError) as refused:
        read_bundle(data)
    assert refused.value.code == "TRUST_BUNDLE_MALFORMED"


# ── The signed list ──


async def test_a_stranger_verifies_the_list(
    pki: Database, keystore: SoftwareKeyStore, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    """With joserfc and openssl alone: signature, chain to the root, fingerprints; against the schema of the documentation."""
    published = await current_list(pki, keystore, clock, BASE_URL)
    document = json.loads(published.jws)
    header = json.loads(base64.urlsafe_b64decode(document["protected"] + "=="))
    chain = [pem.armor("CERTIFICATE", base64.b64decode(one)) for one in header["x5c"]]
    shown = openssl("x509", "-in", chain[0], "-noout", "-pubkey")
    key = ECKey.import_key(shown.stdout)
    registry = jose.JWSRegistry(algorithms=["ES256"])
    registry.max_header_length = registry.max_payload_length = 1 << 20  # a chain and a list are longer than what joserfc expects
    payload = jose.deserialize_json(document, key, registry=registry).payload
    async with pki.session() as session:
        trusted = pem.armor("CERTIFICATE", await authority_certificate(session, "root"))
    verified = openssl("verify", "-attime", at(clock), "-CAfile", trusted, "-untrusted", b"".join(chain[1:]), chain[0])
    assert verified.returncode == 0, verified.stderr
    assert "0.4.0.2231.3.0" in openssl("x509", "-in", chain[0], "-noout", "-text").stdout
    told = json.loads(payload)
    assert schema_faults(told) == []
    assert {one["subject"] for one in told["authorities"] if one["own"]} >= {"符节演示根CA Fujie DEMONSTRATION Root CA"}
    for one in told["authorities"]:
        assert hashlib.sha256(base64.b64decode(one["certificate"])).hexdigest() == one["sha256"]
        assert one["legal_effect"] is False  # the demonstration's own roots say so


def schema_faults(document: object) -> list[str]:
    page = (Path(__file__).parents[2] / "docs" / "trust-list.md").read_text()
    (block,) = re.findall(r"```json schema\n(.*?)```", page, re.DOTALL)
    return [error.message for error in Draft202012Validator(json.loads(block), format_checker=FormatChecker()).iter_errors(document)]


async def test_an_sm2_list_verifies_with_openssl(pki: Database, keystore: SoftwareKeyStore, clock: MovableClock, openssl: OpenSsl) -> None:
    published = await current_list(pki, keystore, clock, BASE_URL, Algorithm.SM2)
    document = json.loads(published.jws)
    header = json.loads(base64.urlsafe_b64decode(document["protected"] + "=="))
    assert header["alg"] == "SM2"
    raw = base64.urlsafe_b64decode(document["signature"] + "==")
    signature = sm2.encode_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    chain = [pem.armor("CERTIFICATE", base64.b64decode(one)) for one in header["x5c"]]
    public = openssl("x509", "-in", chain[0], "-noout", "-pubkey").stdout.encode()
    message = f"{document['protected']}.{document['payload']}".encode()
    distid = ("-pkeyopt", "distid:1234567812345678")
    done = openssl(
        "pkeyutl", "-verify", "-rawin", "-digest", "sm3", *distid, "-pubin", "-inkey", public, "-in", message, "-sigfile", signature
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for subject, issuer in itertools.pairwise(chain):  # link by link: openssl gives the signer id to the first certificate only
        link = ("-partial_chain", "-trusted", issuer, subject)
        verified = openssl("verify", "-attime", at(clock), "-vfyopt", "distid:1234567812345678", *link)
        assert verified.returncode == 0, verified.stderr
    assert verify_list(published.jws).list.version == published.version


async def test_versions_only_grow_and_name_the_one_before(
    pki: Database, keystore: SoftwareKeyStore, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    first = await current_list(pki, keystore, clock, BASE_URL)
    assert (await current_list(pki, keystore, clock, BASE_URL)).jws == first.jws  # nothing changed: the same octets
    entry = await propose(pki, clock, ANNE, order(made(openssl, tmp_path)))
    assert (await current_list(pki, keystore, clock, BASE_URL)).jws == first.jws  # a proposal is nobody's business
    await approve(pki, clock, BERT, entry.id, "agreed")
    second = await current_list(pki, keystore, clock, BASE_URL)
    told = verify_list(second.jws)
    assert (told.list.version, told.list.previous) == (first.version + 1, hashlib.sha256(first.jws).hexdigest())
    assert fingerprint(entry.certificate) in {fingerprint(one.certificate) for one in told.list.authorities}
    clock.advance(seconds=LIST_REFRESH.total_seconds())
    third = await current_list(pki, keystore, clock, BASE_URL)
    assert third.version == second.version + 1
    clock.advance(seconds=LIST_VALIDITY.total_seconds() + 1)
    with pytest.raises(TrustListOutdated):
        require_current(verify_list(third.jws), clock.now())


async def test_no_changed_octet_of_a_list_is_believed(pki: Database, keystore: SoftwareKeyStore, clock: MovableClock) -> None:
    jws = (await current_list(pki, keystore, clock, BASE_URL)).jws
    believed = 0
    for place in range(0, len(jws), 31):
        changed = jws[:place] + bytes([jws[place] ^ 1]) + jws[place + 1 :]
        try:
            believed += verify_list(changed).digest is not None
        except FujieError as error:
            assert error.code in ("TRUST_LIST_MALFORMED", "TRUST_LIST_SIGNATURE_BROKEN")  # noqa: PT017
    assert believed == 0


async def test_only_a_signer_of_lists_signs_lists(pki: Database, keystore: SoftwareKeyStore, clock: MovableClock) -> None:
    """A chain that ends elsewhere, or whose leaf is no signer of lists, is refused even where the signature would hold."""
    jws = json.loads((await current_list(pki, keystore, clock, BASE_URL)).jws)
    header = json.loads(base64.urlsafe_b64decode(jws["protected"] + "=="))
    header["x5c"] = header["x5c"][1:]
    jws["protected"] = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    with pytest.raises(FujieError) as refused:
        verify_list(json.dumps(jws).encode())
    assert refused.value.code == "TRUST_LIST_SIGNATURE_BROKEN"
    async with pki.session() as session:
        another = await authority_certificate(session, "root-sm")
    with pytest.raises(FujieError) as refused:
        verify_list((await current_list(pki, keystore, clock, BASE_URL)).jws, (another,))
    assert refused.value.code == "TRUST_LIST_SIGNATURE_BROKEN"


# ── Taking another's list ──


async def test_an_imported_list_is_proposals_and_an_older_one_is_refused(
    pki: Database, keystore: SoftwareKeyStore, clock: MovableClock, openssl: OpenSsl, tmp_path: Path
) -> None:
    old = (await current_list(pki, keystore, clock, BASE_URL)).jws
    entry = await propose(pki, clock, ANNE, order(made(openssl, tmp_path)))
    await approve(pki, clock, BERT, entry.id, "agreed")
    new = (await current_list(pki, keystore, clock, BASE_URL)).jws
    wanted = ImportOrder(new, scope=Scope(divisions=("990100",)), reason="agreement no. 7")
    done = await import_list(pki, clock, ANNE, wanted)
    assert done.skipped == (entry.fingerprint.hex(),)  # it has a living entry here
    assert {one.status for one in done.proposed} == {Status.PROPOSED}
    assert {one.scope for one in done.proposed} == {Scope(divisions=("990100",))}
    assert not any(one.legal_effect for one in done.proposed)
    with pytest.raises(FujieError) as refused:
        await import_list(pki, clock, ANNE, replace(wanted, data=old))
    assert refused.value.code == "TRUST_LIST_OUTDATED"
    with pytest.raises(FujieError) as refused:
        await import_list(pki, clock, admin("carl", authenticator=1), wanted)
    assert refused.value.code == "TRUST_ACTOR_REFUSED"
    async with pki.session() as session:
        assert len(await list_entries(session, Status.ACTIVE)) == 1


def test_a_scope_is_narrowed_and_never_widened() -> None:
    stated = Scope("", ("990000",), ("approval",))
    assert narrowed(stated, Scope(divisions=("990102",))) == Scope("", ("990102",), ("approval",))
    assert narrowed(EVERYWHERE, Scope(divisions=("990102",))) == Scope("", ("990102",))
    for wanted in (Scope(divisions=("110000",)), Scope(seal_kinds=("finance",))):
        with pytest.raises(FujieError) as refused:
            narrowed(stated, wanted)
        assert refused.value.code == "TRUST_PROPOSAL_INVALID"


# ── The rule ──


def authority(*history: tuple[Status, int], **changed: object) -> TrustedAuthority:
    steps = tuple(Since(status, NOW + dt.timedelta(days=days)) for status, days in history)
    whole = TrustedAuthority(b"", frozenset({Use.SEAL_MAKER}), EVERYWHERE, NOW, NOW + dt.timedelta(days=100), steps)
    return replace(whole, **changed)


@pytest.mark.parametrize(
    ("history", "use", "signed", "at", "vouches"),
    [
        ([(Status.ACTIVE, 10)], Use.SEAL_MAKER, 20, 30, True),
        ([(Status.ACTIVE, 10)], Use.SEAL_MAKER, 5, 30, True),  # signed before it was approved, within the span agreed on
        ([(Status.ACTIVE, 10)], Use.SEAL_MAKER, 5, 9, False),  # judged before it was approved
        ([(Status.ACTIVE, 10)], Use.DOCUMENT_SIGNER, 20, 30, False),  # a seal maker is no signer of documents
        ([(Status.ACTIVE, 10)], Use.SEAL_MAKER, -1, 30, False),  # signed before the span
        ([(Status.ACTIVE, 10)], Use.SEAL_MAKER, 101, 102, False),  # and after it
        ([(Status.ACTIVE, 10), (Status.WITHDRAWN, 40)], Use.SEAL_MAKER, 20, 41, False),
        ([(Status.ACTIVE, 10), (Status.WITHDRAWN, 40)], Use.SEAL_MAKER, 20, 39, True),  # as it was then
        ([(Status.ACTIVE, 10), (Status.SUSPENDED, 20), (Status.ACTIVE, 30)], Use.SEAL_MAKER, 25, 40, False),
        ([(Status.ACTIVE, 10), (Status.SUSPENDED, 20), (Status.ACTIVE, 30)], Use.SEAL_MAKER, 15, 40, True),
        ([(Status.ACTIVE, 10), (Status.SUSPENDED, 20), (Status.ACTIVE, 30)], Use.SEAL_MAKER, 15, 25, False),
    ],
)
def test_whom_an_authority_vouches_for(history: list[tuple[Status, int]], use: Use, signed: int, at: int, vouches: bool) -> None:
    day = dt.timedelta(days=1)
    objection = authority(*history).objection(use, NOW + signed * day, NOW + at * day)
    assert (objection is None) is vouches, objection


def test_nothing_on_a_list_is_believed_past_its_next_update() -> None:
    one = authority((Status.ACTIVE, 0), until=NOW + dt.timedelta(days=7))
    assert one.objection(Use.SEAL_MAKER, NOW, NOW + dt.timedelta(days=7)) is None
    assert "out of date" in (one.objection(Use.SEAL_MAKER, NOW, NOW + dt.timedelta(days=8)) or "")


def test_what_crosses_a_process_boundary_comes_out_the_same() -> None:
    one = authority((Status.ACTIVE, 0), scope=Scope("91990100MA0000001X", ("990100",), ("approval",)), until=NOW, crl_urls=("http://a/b",))
    assert TrustedAuthority.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_the_type_in_the_header_is_the_media_type() -> None:
    assert TYPE == "fujie-trust-list+json"
