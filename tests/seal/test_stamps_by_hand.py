"""Structures of versions 1, 4 and 5 written by hand from the standards, each with one fault: each gets the named verdict."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys.custody.store import Algorithm
from keys.trust.entries import Since, TrustedAuthority, Use
from keys.trust.lifecycle import Status
from seal.foreign_rules import Algorithm as SealAlgorithm
from seal.foreign_rules import AuthorityRules, RulesMalformed, SystemRules, read_rules_document, rules_document
from seal.lifecycle import Status as SealStatus
from seal.trust import Trust
from seal.trust_files import read_trust
from seal.verdict import Check, Indication, Outcome, conclude
from seal.verification import verify
from seal.verification_evidence import Covered, Evidence
from seal.verification_pdf import SecurityStore, evidence_from
from seal.verification_registry import _status_checks
from seal.verification_stamp import judge_seal, judge_stamp
from tests.ses_by_hand import (
    DAY,
    SIGNATURE_XML,
    SealSpec,
    StampSpec,
    general,
    octets,
    seal_by_hand,
    stamp_by_hand,
    usual,
    utc,
    with_time,
)
from tests.ses_cases import CASES, HASH, LOOSE, PASSED, SAME, Asked, Case, F, N, P, U, both, of, opened, seal, stamp, time_stamp
from tests.stamped import NOW, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    with_time(world)
    world.leaf("old-maker", "seal-maker", "seal-maker", not_before=NOW - 20 * DAY, not_after=NOW - DAY / 2)
    world.leaf("young-maker", "seal-maker", "seal-maker", not_before=NOW - DAY / 2)
    world.leaf("old-signer", "seal-signer-sm", "seal-sm", not_before=NOW - 20 * DAY, not_after=NOW - DAY)
    world.leaf("other-signer", "seal-signer-sm", "seal-sm")
    world.authority("strange-root", Algorithm.SM2)
    world.authority("strange", Algorithm.SM2, "strange-root")
    world.leaf("strange-maker", "seal-maker", "strange")
    world.leaf("strange-signer", "seal-signer-sm", "strange")
    world.authority("strange-tsa", Algorithm.P256, "strange-root")
    world.leaf("strange-stamper", "tsa-signer", "strange-tsa")
    world.leaf("brief-stamper", "tsa-signer", "tsa", not_before=NOW - 20 * DAY, not_after=NOW + 10 * DAY)
    return world


def trust_of(world: World, asked: Asked) -> Trust:
    names = ("root", "root-sm", "seal-sm", "seal-maker", "tsa")
    dead = {world[name].serial: since for name, since in asked.revoked.items()}
    lists = tuple(world.crl(name, dead, this=asked.at) for name in names)
    if asked.at > NOW and not asked.revoked:  # lists of the day on which who has expired since was still on them
        lists += tuple(world.crl(name) for name in ("root", "tsa"))
    helpers = tuple(world[name].certificate for name in names)
    rules = (AuthorityRules(digest(world["root-sm"].certificate), asked.rules),) if asked.rules else ()
    if asked.scope is None:
        return Trust(helpers, lists, rules=rules)
    authority = TrustedAuthority(
        certificate=world["root-sm"].certificate,
        uses=frozenset(Use),
        scope=asked.scope,
        valid_from=NOW - 30 * DAY,
        valid_to=NOW + 300 * DAY,
        history=(Since(Status.ACTIVE, NOW - 30 * DAY),),
        subordinates=helpers[2:4],
    )
    return Trust((), lists, (authority,), rules=rules)


def digest(certificate: bytes) -> bytes:
    return hashlib.sha256(certificate).digest()


def evidence(world: World, asked: Asked) -> Evidence:
    return evidence_from(trust_of(world, asked), SecurityStore((), ()), asked.at)


def found(checks: tuple[Check, ...]) -> dict[str, set[Outcome]]:
    answer: dict[str, set[Outcome]] = {}
    for check in checks:
        answer.setdefault(check.name, set()).add(check.outcome)
    return answer


def checks_of(world: World, spec: StampSpec, asked: Asked) -> tuple[Check, ...]:
    covered = Covered(asked.digest, asked.named, None, proven=asked.proven)
    return judge_stamp(stamp_by_hand(world, spec), evidence(world, asked), covered).checks


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_structure_gets_the_named_verdict(world: World, case: Case) -> None:
    checks = checks_of(world, case.bend(world, usual(world)), case.asked)
    answer = found(checks)
    assert case.outcome in answer.get(case.name, set()), [(one.name, one.outcome, one.detail) for one in checks]
    assert conclude(checks) == case.whole, [(one.name, one.outcome, one.detail) for one in checks if one.outcome is not P]
    assert case.lacking not in answer


def test_every_name_of_the_standard_is_in_the_table() -> None:
    """STANDARDS.md §3, "Verification order": each name occurs as a fault, or as the notice it may be."""
    names = {
        "SEAL_FORMAT", "SEAL_SIGNATURE", "SEAL_MADE_TIME", "MAKER_CHAIN", "MAKER_KEY_USAGE", "MAKER_EXPIRED", "MAKER_REVOKED",
        "SEAL_NOT_YET_VALID", "SEAL_EXPIRED", "SEAL_TIMESTAMP", "SEAL_TIME_ORDER", "STAMP_FORMAT", "STAMP_SIGNATURE",
        "SIGNER_NOT_AUTHORISED", "SIGNER_CHAIN", "SIGNER_KEY_USAGE", "STAMP_TIME_INVALID", "SIGNER_REVOKED", "DATA_HASH",
        "STAMP_TIMESTAMP", "OUT_OF_SCOPE", "STAMP_EXTENSION", "SEAL_EXTENSION",
    }  # fmt: skip
    assert names <= {case.name for case in CASES if case.outcome in (F, U)}
    assert {case.name for case in CASES if case.outcome is N} >= {"SIGNATURE_ENCODING", "MAKER_EXPIRED", "MAKER_REVOKED"}


def test_the_registry_names_what_it_knows() -> None:
    assert [check.name for check in _status_checks(SealStatus.CANCELLED)] == ["SEAL_CANCELLED"]
    assert [check.name for check in _status_checks(SealStatus.SUSPENDED)] == ["SEAL_SUSPENDED"]
    assert conclude(_status_checks(SealStatus.CANCELLED)) == opened("SIG_CONSTRAINTS_FAILURE")


@pytest.mark.parametrize("version", [1, 4, 5])
def test_the_checks_come_in_the_order_of_the_standard(world: World, version: int) -> None:
    bend = both(of(version), both(stamp(timestamp=time_stamp()), seal(timestamp=time_stamp(at=NOW - DAY))) if version == 5 else SAME)
    order = [check.name for check in checks_of(world, bend(world, usual(world)), Asked())]
    expected = [
        "STAMP_FORMAT", "STAMP_SIGNATURE", "SIGNER_NOT_AUTHORISED", "SEAL_FORMAT", "SEAL_SIGNATURE", "SEAL_MADE_TIME", "MAKER_CHAIN",
        "MAKER_KEY_USAGE", "MAKER_REVOKED", "SEAL_NOT_YET_VALID", "SEAL_EXPIRED", "SEAL_TIMESTAMP", "SEAL_TIME_ORDER", "SIGNER_CHAIN",
        "SIGNER_KEY_USAGE", "STAMP_TIME_INVALID", "SIGNER_REVOKED", "DATA_HASH", "STAMP_TIMESTAMP",
    ]  # fmt: skip
    only_5 = {"SEAL_MADE_TIME", "SEAL_TIMESTAMP", "SEAL_TIME_ORDER", "STAMP_TIMESTAMP"}
    assert order == [name for name in expected if version == 5 or name not in only_5]


@pytest.mark.parametrize(
    "instant", [utc(NOW), general(NOW), NOW.strftime("%Y%m%d%H%M%SZ").encode(), NOW.strftime("%y%m%d%H%M%SZ").encode()]
)
def test_a_stamp_of_version_1_states_its_time_in_several_ways(world: World, instant: bytes) -> None:
    spec = of(1)(world, usual(world, time_info=instant))
    answer = judge_stamp(stamp_by_hand(world, spec), evidence(world, Asked()), Covered(HASH, SIGNATURE_XML, None))
    assert answer.time == NOW
    assert conclude(answer.checks) == PASSED


@pytest.mark.parametrize("version", [1, 4, 5])
def test_bare_seals_and_bare_stamps_are_files_of_their_own(world: World, version: int) -> None:
    spec = of(version)(world, usual(world))
    trust = trust_of(world, Asked())
    verdict = verify(seal_by_hand(world, spec.seal), trust, NOW)
    assert (verdict.indication, verdict.signatures[0].field) == (Indication.TOTAL_PASSED, "SESeal")
    assert verdict.signatures[0].seal is not None
    assert verdict.signatures[0].seal.version == version
    verdict = verify(stamp_by_hand(world, spec), trust, NOW)
    assert (verdict.indication, verdict.sub_indication) == (Indication.INDETERMINATE, "SIGNED_DATA_NOT_FOUND")
    assert verdict.signatures[0].field == "SES_Signature"


def test_a_bare_seal_is_read_loosely_by_rules_only(world: World) -> None:
    spec = SealSpec(world["maker"], (octets(world["signer-sm"].certificate),), stated_type=None)
    encoded = seal_by_hand(world, spec)
    assert found(judge_seal(encoded, evidence(world, Asked())).checks) == {"SEAL_FORMAT": {F}}
    assert conclude(judge_seal(encoded, evidence(world, Asked(rules=LOOSE))).checks) == PASSED
    strict = evidence(world, Asked(rules=SystemRules()))
    assert found(judge_seal(encoded, strict).checks)["SEAL_FORMAT"] == {F}


def test_rules_travel_as_json_and_as_a_file_beside_the_roots(world: World) -> None:
    rules = AuthorityRules(digest(world["root-sm"].certificate), LOOSE)
    trust = replace(trust_of(world, Asked()), rules=(rules,))
    assert Trust.from_json(trust.to_json()) == trust
    assert read_trust([json.dumps(rules_document([rules])).encode()]).rules == (rules,)
    assert read_rules_document(rules_document([rules])) == (rules,)


@pytest.mark.parametrize(
    "value",
    [
        {"tolerances": ["broken-signature"]},
        {"tolerances": "utc-time"},
        {"algorithms": ["md5"]},
        {"algorithms": []},
        {"encodings": []},
        {"timestamp_required": 1},
        {"skip_chain": True},
    ],
)
def test_no_rule_can_name_what_weakens(value: dict[str, Any]) -> None:
    with pytest.raises(RulesMalformed):
        SystemRules.from_json(value)


def test_every_algorithm_that_can_be_named_is_strong(world: World) -> None:
    """MD5, SHA-1, DSA and raw RSA have no name here; and each that has one is taken by the product's strict policy."""
    assert {one.value for one in SealAlgorithm} == {"sm2-sm3", "ecdsa-sha256", "rsa-sha256"}
    assert not any(re.search("md5|sha1|dsa-sha1", one) for one in SealAlgorithm)


def test_the_words_of_tests_are_not_the_product_s() -> None:
    """The builder of these structures is written tag by tag: it imports no builder of ours."""
    source = Path(__file__).parent.parent.joinpath("ses_by_hand.py").read_text(encoding="utf-8")
    assert "asn1_build" not in source.split('"""', 2)[2]
    assert "from seal" not in source
