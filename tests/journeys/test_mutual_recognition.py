"""Two instances, two databases: what city A sealed counts in city B exactly as far as B's two administrators agreed.

1. A seals a certificate and publishes its signed list
2. B cannot judge it: nobody there has approved A                       INDETERMINATE
3. B's first administrator imports A's list as proposals; still nothing counts
4. the second approves A's seal maker and seal roots, for A's division   TOTAL_PASSED
5. trusted for another division only                                    OUT_OF_SCOPE
6. a maker trusted for making seals vouches for no signer, a signers' root for no maker
7. suspended, resumed, withdrawn                                        INDETERMINATE from that instant on
"""

import datetime as dt
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from asn1crypto import pem
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from api.embedded import Addresses
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import Database
from keys.base.ids import new_code
from keys.custody.software import SoftwareKeyStore
from keys.pki.authority import authority_certificate, establish
from keys.trust.entries import EVERYWHERE, Scope, Use
from keys.trust.importing import ImportOrder, import_list
from keys.trust.lifecycle import Move, Status
from keys.trust.proposals import Proposal, approve, move, propose
from keys.trust.publishing import current_list
from keys.trust.reads import list_entries, trusted_authorities
from seal.material import load_material
from seal.permits import request_permit
from seal.stamping import stamp
from seal.trust import Trust
from seal.trust_files import read_trust
from seal.verdict import Indication, Outcome, Verdict
from seal.verification import verify
from tests.conftest import TestClock
from tests.seal.conftest import DIVISION, City, Matter, put_matter
from tests.stamped import PLACE, certificate_page


def admin(name: str) -> Actor:
    return Actor(ActorKind.PERSON, name, name, None, "990200", frozenset({Role.SECURITY_ADMIN}), authenticator=2)


ANNE, BERT = admin("anne"), admin("bert")
HERE, ELSEWHERE = Scope(divisions=(DIVISION,)), Scope(divisions=("990200",))


@pytest.fixture
async def other(servers: Addresses) -> AsyncIterator[Database]:
    """City B's database."""
    name = f"test_{new_code().lower()}"
    engine = create_async_engine(servers.database_url.replace("/fujie?", "/postgres?"), isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template_fujie STRATEGY FILE_COPY"))
    database = Database(servers.database_url.replace("/fujie?", f"/{name}?"), pool_size=3)
    yield database
    await database.close()
    async with engine.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await engine.dispose()


@dataclass
class Sealed:
    """What A hands out: a sealed certificate, and its signed list."""

    pdf: bytes
    list: bytes
    roots: tuple[bytes, ...]


@pytest.fixture
async def sealed(database: Database, keystore: SoftwareKeyStore, clock: TestClock) -> Sealed:
    """City A: step 1."""
    await establish(database, keystore, clock, "http://127.0.0.1:8000")
    city = City(database, keystore, clock)
    async with database.begin() as session:
        await put_matter(session, clock.now(), city.admin, Matter(city.matter, "城镇污水排入排水管网许可", True, city.organisation))
    seal = await city.make()
    await city.grant(seal, city.approver)
    digest = hashlib.sha256(certificate_page()).digest()
    permit = await request_permit(database, clock, city.use(seal, document_hash=digest))
    async with database.begin() as session:
        material = await load_material(session, keystore, clock.now(), seal.code)
        roots = tuple([await authority_certificate(session, name) for name in ("root", "root-sm")])
    pdf = stamp(permit, certificate_page(), material, PLACE, keystore, clock.now()).pdf
    return Sealed(pdf, (await current_list(database, keystore, clock, "http://127.0.0.1:8000")).jws, roots)


async def judged(other: Database, pdf: bytes, at: dt.datetime) -> Verdict:
    """As B's service judges: nothing but its trust list, since B's own roots know nothing of A."""
    async with other.session() as session:
        return verify(pdf, Trust(authorities=await trusted_authorities(session)), at)


def outcomes(verdict: Verdict, name: str) -> set[Outcome]:
    return {check.outcome for signature in verdict.signatures for check in signature.checks if check.name == name}


async def agree(other: Database, clock: TestClock, data: bytes, **changed: object) -> None:
    """Steps 3 and 4: whatever the list offers, within these bounds."""
    order = ImportOrder(data, reason="agreement no. 7")
    done = await import_list(other, clock, ANNE, replace(order, **changed))
    for entry in done.proposed:
        await approve(other, clock, BERT, entry.id, "root compared by telephone")


async def leave(other: Database, clock: TestClock) -> None:
    async with other.session() as session:
        entries = await list_entries(session, Status.ACTIVE)
    for entry in entries:
        await move(other, clock, BERT, entry.id, Move.WITHDRAW, "the agreement ended")


async def test_a_certificate_of_a_counts_in_b_as_far_as_two_people_agreed(other: Database, clock: TestClock, sealed: Sealed) -> None:
    before = await judged(other, sealed.pdf, clock.now())
    assert (before.indication, before.sub_indication) == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")

    done = await import_list(other, clock, ANNE, ImportOrder(sealed.list, sealed.roots, scope=HERE, reason="agreement no. 7"))
    assert (await judged(other, sealed.pdf, clock.advance(minutes=1))).indication is Indication.INDETERMINATE, "proposals count for nothing"

    for entry in done.proposed:
        await approve(other, clock, BERT, entry.id, "root compared by telephone")
    approved = clock.now()
    verdict = await judged(other, sealed.pdf, clock.advance(minutes=1))
    assert verdict.indication is Indication.TOTAL_PASSED, verdict.to_json()
    assert outcomes(verdict, "OUT_OF_SCOPE") == {Outcome.PASSED}
    assert outcomes(verdict, "LEGAL_EFFECT") == {Outcome.NOTICE}, "A's roots are a demonstration's, and B says so"
    assert (await judged(other, sealed.pdf, approved - dt.timedelta(seconds=30))).indication is Indication.INDETERMINATE

    await leave(other, clock)
    after = await judged(other, sealed.pdf, clock.advance(minutes=1))
    assert (after.indication, after.sub_indication) == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")
    details = [check.detail for signature in after.signatures for check in signature.checks if check.name.endswith("CHAIN")]
    assert any("withdrawn" in detail for detail in details)


async def test_outside_of_the_scope(other: Database, clock: TestClock, sealed: Sealed) -> None:
    await agree(other, clock, sealed.list, scope=ELSEWHERE)
    verdict = await judged(other, sealed.pdf, clock.advance(minutes=1))
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "SIG_CONSTRAINTS_FAILURE")
    assert outcomes(verdict, "OUT_OF_SCOPE") == {Outcome.FAILED}
    assert outcomes(verdict, "CHAIN") == outcomes(verdict, "MAKER_CHAIN") == outcomes(verdict, "SIGNER_CHAIN") == {Outcome.PASSED}


@pytest.mark.parametrize(
    ("scope", "indication"),
    [
        (Scope(seal_kinds=("approval",)), Indication.TOTAL_PASSED),
        (Scope(seal_kinds=("finance", "contract")), Indication.INDETERMINATE),
        (Scope(organisation="11990100MB00000435"), Indication.INDETERMINATE),  # the maker is another organisation
    ],
)
async def test_kinds_and_organisations(other: Database, clock: TestClock, sealed: Sealed, scope: Scope, indication: Indication) -> None:
    await agree(other, clock, sealed.list, scope=scope)
    verdict = await judged(other, sealed.pdf, clock.advance(minutes=1))
    assert verdict.indication is indication
    assert (Outcome.FAILED in outcomes(verdict, "OUT_OF_SCOPE")) is (indication is not Indication.TOTAL_PASSED)


async def test_no_use_stands_for_another(other: Database, clock: TestClock, sealed: Sealed) -> None:
    """All roots of A, trusted for making seals only: the maker is known, no signer is."""
    for root in sealed.roots:
        entry = await propose(other, clock, ANNE, Proposal(root, frozenset({Use.SEAL_MAKER}), EVERYWHERE, reason="makers only"))
        await approve(other, clock, BERT, entry.id, "agreed")
    verdict = await judged(other, sealed.pdf, clock.now())
    # Recognised from now on only: what was sealed a moment before does not count either.
    assert outcomes(verdict, "CHAIN") == outcomes(verdict, "SIGNER_CHAIN") == {Outcome.INDETERMINATE}
    assert outcomes(verdict, "MAKER_CHAIN") == {Outcome.PASSED}
    assert verdict.indication is Indication.INDETERMINATE


async def test_suspended_and_resumed(other: Database, clock: TestClock, sealed: Sealed) -> None:
    await agree(other, clock, sealed.list, scope=HERE)
    async with other.session() as session:
        entries = await list_entries(session, Status.ACTIVE)
    (maker,) = [entry for entry in entries if entry.uses == {Use.SEAL_MAKER}]
    clock.advance(minutes=1)
    await move(other, clock, ANNE, maker.id, Move.SUSPEND, "an incident")
    assert (await judged(other, sealed.pdf, clock.advance(minutes=1))).indication is Indication.INDETERMINATE
    await move(other, clock, BERT, maker.id, Move.RESUME, "nothing found")
    assert (await judged(other, sealed.pdf, clock.advance(minutes=1))).indication is Indication.TOTAL_PASSED


async def test_anybody_verifies_with_the_list_as_a_file(sealed: Sealed, clock: TestClock) -> None:
    """``fujie verify --trust list.json``: current it passes, out of date it cannot be decided, forged it is no trust."""
    trust = read_trust([sealed.list])
    assert verify(sealed.pdf, trust, clock.now()).indication is Indication.TOTAL_PASSED
    assert verify(sealed.pdf, trust, clock.now() + dt.timedelta(days=8)).indication is Indication.INDETERMINATE
    beside = read_trust([sealed.list, pem.armor("CERTIFICATE", sealed.roots[0])])
    assert verify(sealed.pdf, beside, clock.now()).indication is Indication.TOTAL_PASSED
    with pytest.raises(Exception, match="TRUST_LIST_SIGNATURE_BROKEN"):
        read_trust([sealed.list, pem.armor("CERTIFICATE", sealed.roots[1])])
    jws = json.loads(sealed.list)
    jws["payload"] = jws["payload"][:-8] + "AAAAAAAA"
    with pytest.raises(Exception, match="TRUST_UNREADABLE"):
        read_trust([json.dumps(jws).encode()])
