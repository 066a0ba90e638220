"""The trust list applied to signatures of others: PDFs in any profile keep to an authority's uses, scope and time."""

import datetime as dt
from dataclasses import replace

import pytest

from keys.trust.entries import EVERYWHERE, Scope, Since, TrustedAuthority, Use
from keys.trust.lifecycle import Status
from seal.recognition import SealFacts
from seal.sandbox import verify_guarded
from seal.trust import Trust
from seal.verdict import Indication, Outcome
from seal.verification import verify
from tests.seal.test_verification_foreign import Stranger, outcomes
from tests.stamped import NOW, World, certificate_page

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def signed(world: World) -> bytes:
    return Stranger(world).sign(certificate_page())


def trust(world: World, name: str = "root", use: Use = Use.DOCUMENT_SIGNER, scope: Scope = EVERYWHERE, **changed: object) -> Trust:
    one = TrustedAuthority(
        certificate=world[name].certificate,
        uses=frozenset({use}),
        scope=scope,
        valid_from=NOW - 300 * DAY,
        valid_to=NOW + 300 * DAY,
        history=(Since(Status.ACTIVE, NOW - 20 * DAY),),
        subordinates=() if name == "seal" else (world["seal"].certificate,),
        legal_effect=True,
    )
    return Trust(crls=world.crls(), authorities=(replace(one, **changed),))


@pytest.mark.parametrize("name", ["root", "seal"])  # an authority need not be a root to be trusted
def test_a_strangers_signature_passes_under_a_recognised_authority(world: World, signed: bytes, name: str) -> None:
    verdict = verify(signed, trust(world, name), NOW)
    assert verdict.indication is Indication.TOTAL_PASSED, verdict.to_json()
    assert outcomes(verdict, "OUT_OF_SCOPE") == [Outcome.PASSED]
    assert outcomes(verdict, "LEGAL_EFFECT") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"use": Use.SEAL_MAKER},
        {"use": Use.TIMESTAMP},
        {"history": (Since(Status.ACTIVE, NOW + DAY),)},
        {"history": (Since(Status.ACTIVE, NOW - 20 * DAY), Since(Status.SUSPENDED, NOW - DAY))},
        {"history": (Since(Status.ACTIVE, NOW - 20 * DAY), Since(Status.WITHDRAWN, NOW - DAY))},
        {"until": NOW - DAY},
        {"valid_to": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    ],
)
def test_an_authority_that_does_not_vouch_is_no_anchor(world: World, signed: bytes, changed: dict[str, object]) -> None:
    verdict = verify(signed, trust(world, **changed), NOW)
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND")


@pytest.mark.parametrize(
    ("scope", "within"),
    [
        (Scope(divisions=("990000",)), True),
        (Scope(divisions=("990100", "110000")), True),
        (Scope(divisions=("990102",)), False),
        (Scope(divisions=("110000",)), False),
        (Scope(organisation="11990100MB00000435"), False),  # the signer's certificate names no organisation's code
        (Scope(seal_kinds=("approval",)), True),  # there is no seal: kinds of seals bound nothing
    ],
)
def test_scope(world: World, signed: bytes, scope: Scope, within: bool) -> None:
    verdict = verify(signed, trust(world, scope=scope), NOW)
    assert outcomes(verdict, "OUT_OF_SCOPE") == [Outcome.PASSED if within else Outcome.FAILED]
    assert verdict.indication is (Indication.TOTAL_PASSED if within else Indication.INDETERMINATE)


def test_a_plain_root_has_no_bounds_and_comes_first(world: World, signed: bytes) -> None:
    narrow = trust(world, scope=Scope(divisions=("110000",)))
    verdict = verify(signed, replace(narrow, certificates=(world["root"].certificate,)), NOW)
    assert verdict.indication is Indication.TOTAL_PASSED
    assert outcomes(verdict, "OUT_OF_SCOPE") == []


def test_the_sandbox_is_given_the_same_bounds(world: World, signed: bytes) -> None:
    for one in (trust(world), trust(world, scope=Scope(divisions=("110000",)))):
        assert verify_guarded(signed, one, NOW).indication is verify(signed, one, NOW).indication


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("某某市行政审批局行政审批专用章", {"approval"}),
        ("某某市大数据局电子证照专用章", {"certificate"}),
        ("某某市人民政府", set()),
        ("行政审批专用章管理办公室", set()),
    ],
)
def test_a_seals_kind_is_told_by_its_name(name: str, kinds: set[str]) -> None:
    assert SealFacts("99010000000001", name).kinds == kinds
