"""Judging offline codes with nothing but keys and a list: what is refused, what stays open, and what is always said."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from certs.code_key_set import PublicCodeKey
from certs.lifecycle import Status
from certs.numbering import make_identifier
from certs.offline_code import CodeAlgorithm, CodeHolder, OfflineCode, StatusReference, encode_offline
from certs.offline_verdict import OfflineTrust, believed_list, judge_offline, spoken_age
from certs.token_status import ENTRIES, StatusListMalformed, TokenStatus, compress, pack, read_cwt, sign_cwt, token_status
from keys.custody.algorithms import SIGNING
from keys.custody.store import Algorithm
from seal.verdict import Indication, Outcome

NOW = dt.datetime(2026, 7, 20, 3, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
KIND = SIGNING[Algorithm.P256]
MADE = KIND.make()
SIGN = KIND.load(MADE.secret, MADE.public)
KEY = PublicCodeKey(b"8 octets", CodeAlgorithm.ES256, MADE.public, NOW - 30 * DAY, NOW + 335 * DAY, NOW + 4000 * DAY)
INDEX = 1_234_567
CODE = OfflineCode(
    identifier=str(make_identifier("11990100MB0000035A001", "11990100MB0000035A", "20260000001")),
    name="食品经营许可证",
    number="JY29901000000017",
    issuer="云溪市市场监督管理局",
    issued_on=dt.date(2026, 7, 1),
    valid_from=dt.date(2026, 7, 1),
    valid_to=dt.date(2031, 6, 30),
    holders=(CodeHolder("钱**", "990***********1003"),),
    status=StatusReference(1, INDEX),
    verification_code="0123456789ABCDEF",
)


def text(code: OfflineCode = CODE, kid: bytes = KEY.kid) -> str:
    return encode_offline(code, CodeAlgorithm.ES256, kid, SIGN)


def signed_list(entries: Mapping[int, TokenStatus] | None = None, issued: dt.datetime = NOW - dt.timedelta(hours=2)) -> bytes:
    packed = compress(pack((entries or {}).items()))
    return sign_cwt("https://id.example/status-lists/1", issued, packed, CodeAlgorithm.ES256, KEY.kid, SIGN)


def trust(*keys: PublicCodeKey, listed: bytes | None = None) -> OfflineTrust:
    known = keys or (KEY,)
    return OfflineTrust(known, dict([believed_list(listed or signed_list(), (KEY,))]))


def deciding(verdict: Any) -> tuple[str, str | None, str | None]:
    """The indication, its reason, and the check that decided."""
    (signature,) = verdict.signatures
    troubled = [one.name for one in signature.checks if one.outcome in (Outcome.FAILED, Outcome.INDETERMINATE)]
    return verdict.indication, verdict.sub_indication, troubled[0] if troubled else None


def test_a_good_code_passes_and_says_how_old_its_list_is() -> None:
    verdict = judge_offline(text(), trust(), NOW)
    assert deciding(verdict) == ("TOTAL_PASSED", None, None)
    assert "2 h 0 min old" in verdict.signatures[0].checks[-1].detail
    assert verdict.certificate is not None
    assert verdict.certificate["ZZBS"] == CODE.identifier
    assert verdict.certificate["CZZTDM"] == ["990***********1003"]


def test_a_changed_byte_is_refused() -> None:
    genuine = text()
    for place in range(4, len(genuine), 7):
        other = "A" if genuine[place] != "A" else "B"
        verdict = judge_offline(genuine[:place] + other + genuine[place + 1 :], trust(), NOW)
        assert verdict.indication in (Indication.TOTAL_FAILED, Indication.UNREADABLE, Indication.INDETERMINATE)
        assert verdict.certificate is None


@pytest.mark.parametrize("printed", ["JY29901000000099", "0123456789ABCDEG", "1.2.156.3005.2.X"])
def test_another_certificates_code_is_refused(printed: str) -> None:
    assert deciding(judge_offline(text(), trust(), NOW, printed)) == ("TOTAL_FAILED", "HASH_FAILURE", "CODE_MATCH")


@pytest.mark.parametrize("printed", ["JY29901000000017", "0123-4567-89ab-cdef", CODE.identifier])
def test_its_own_paper_is_accepted(printed: str) -> None:
    assert judge_offline(text(), trust(), NOW, printed).indication is Indication.TOTAL_PASSED


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (replace(KEY, good_until=NOW - DAY), "OUT_OF_BOUNDS_NO_POE"),
        (replace(KEY, compromised_at=NOW - DAY), "REVOKED_NO_POE"),
        (replace(KEY, signs_from=NOW + DAY), "NOT_YET_VALID"),
    ],
    ids=["expired", "taken back", "early"],
)
def test_an_expired_or_compromised_key_is_refused(key: PublicCodeKey, reason: str) -> None:
    assert deciding(judge_offline(text(), trust(key), NOW)) == ("TOTAL_FAILED", reason, "CODE_KEY")


def test_a_code_dated_outside_its_keys_time_is_refused() -> None:
    backdated = text(replace(CODE, issued_on=dt.date(2025, 1, 1)))
    assert deciding(judge_offline(backdated, trust(), NOW)) == ("TOTAL_FAILED", "SIG_CONSTRAINTS_FAILURE", "CODE_SIGNATURE")


def test_an_unknown_key_leaves_it_open_and_repeats_nothing() -> None:
    verdict = judge_offline(text(kid=b"12345678"), trust(), NOW)
    assert deciding(verdict) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND", "CODE_KEY")
    assert verdict.certificate is None


@pytest.mark.parametrize(("status", "reason"), [(TokenStatus.INVALID, "REVOKED"), (TokenStatus.SUSPENDED, "SUSPENDED")])
def test_a_revoked_or_suspended_certificate_is_refused_by_a_fresh_list(status: TokenStatus, reason: str) -> None:
    listed = signed_list({INDEX: status, INDEX + 1: TokenStatus.INVALID, INDEX - 1: TokenStatus.SUSPENDED})
    assert deciding(judge_offline(text(), trust(listed=listed), NOW)) == ("TOTAL_FAILED", reason, "CODE_STATUS")
    beside = text(replace(CODE, status=StatusReference(1, INDEX + 2)))
    assert judge_offline(beside, trust(listed=listed), NOW).indication is Indication.TOTAL_PASSED


def test_an_old_list_or_none_leaves_it_open_but_a_revocation_stands() -> None:
    old = NOW - 3 * DAY
    assert deciding(judge_offline(text(), trust(listed=signed_list(issued=old)), NOW)) == ("INDETERMINATE", "TRY_LATER", "CODE_STATUS")
    assert deciding(judge_offline(text(), OfflineTrust((KEY,)), NOW)) == ("INDETERMINATE", "TRY_LATER", "CODE_STATUS")
    revoked = signed_list({INDEX: TokenStatus.INVALID}, old)
    verdict = judge_offline(text(), trust(listed=revoked), NOW)
    assert deciding(verdict) == ("TOTAL_FAILED", "REVOKED", "CODE_STATUS")
    assert "3 d 0 h old" in verdict.signatures[0].checks[-1].detail


def test_the_dates_of_the_certificate_count() -> None:
    for changed, reason in ((replace(CODE, valid_to=dt.date(2026, 7, 19)), "OUT_OF_BOUNDS_NO_POE"),
                            (replace(CODE, valid_from=dt.date(2026, 7, 21)), "NOT_YET_VALID")):  # fmt: skip
        assert deciding(judge_offline(text(changed), trust(), NOW)) == ("TOTAL_FAILED", reason, "CODE_DATES")
    assert judge_offline(text(replace(CODE, valid_to=None)), trust(), NOW).indication is Indication.TOTAL_PASSED


def test_a_list_nobody_of_ours_signed_is_no_list() -> None:
    other = KIND.make()
    forged = sign_cwt(
        "https://id.example/status-lists/1", NOW, compress(pack([])), CodeAlgorithm.ES256, KEY.kid, KIND.load(other.secret, b"")
    )
    whole = signed_list()
    for data in (forged, whole[:-1] + bytes([whole[-1] ^ 1]), whole[:200], b"", b"\xd2\x80"):
        with pytest.raises(StatusListMalformed):
            believed_list(data, (KEY,))


def test_a_list_that_swells_is_refused_before_it_is_held() -> None:
    bomb = sign_cwt("https://id.example/status-lists/1", NOW, compress(bytes(64 << 20)), CodeAlgorithm.ES256, KEY.kid, SIGN)
    with pytest.raises(StatusListMalformed):
        read_cwt(bomb)


def test_every_status_of_the_standard_has_its_place() -> None:
    assert {status.value: token_status(status).name for status in Status} == {
        "01": "VALID", "02": "SUSPENDED", "03": "INVALID", "04": "INVALID", "05": "INVALID", "06": "INVALID", "07": "INVALID",
        "99": "INVALID",
    }  # fmt: skip


def test_first_and_last_entry_and_none_beyond() -> None:
    listed = read_cwt(signed_list({0: TokenStatus.SUSPENDED, ENTRIES - 1: TokenStatus.INVALID})).list
    assert [listed.status(index) for index in (0, 1, ENTRIES - 1)] == [TokenStatus.SUSPENDED, TokenStatus.VALID, TokenStatus.INVALID]
    with pytest.raises(StatusListMalformed):
        listed.status(ENTRIES)


def test_ages_are_said_in_words() -> None:
    assert [spoken_age(dt.timedelta(minutes=one)) for one in (-3, 0, 59, 60, 1439, 1440, 5000)] == [
        "0 min", "0 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 0 h", "3 d 11 h",
    ]  # fmt: skip
