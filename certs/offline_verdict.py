"""Judging an offline code with nothing but a key set and, where one is at hand, a status list. Pure.

1. the text is a code                                              FORMAT
2. its key is in the set, and believed now                         CODE_KEY
3. the signature holds, and was made while its key signed          CODE_SIGNATURE
4. it is the code of the certificate it is held against            CODE_MATCH
5. the dates of the certificate                                    CODE_DATES
6. the status list says that it stands, and is young enough        CODE_STATUS

Whoever asks is told plainly: any check that fails, and the code is refused. Without a list, or with one past its end, the answer stays
open: a certificate may have been revoked yesterday. How old the list is, is always said.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from certs.code_key_set import PublicCodeKey
from certs.offline_code import OfflineCode, OfflineCodeMalformed, SignedCode, decode_offline, holds
from certs.token_status import SignedList, StatusList, StatusListMalformed, TokenStatus, read_cwt
from keys.base.clock import civil_date
from keys.base.ids import normalise_code
from seal.verdict import Check, Indication, Kind, Outcome, SignatureVerdict, Verdict, failed, open_question, passed, unreadable

LEVEL = "COSE"
_DAY = dt.timedelta(days=1)
_TRY_LATER = "TRY_LATER"


@dataclass(frozen=True, slots=True)
class OfflineTrust:
    """What a verifier has at hand: keys that are believed, and status lists by their number, their signatures checked."""

    keys: tuple[PublicCodeKey, ...] = ()
    lists: Mapping[int, StatusList] = field(default_factory=dict)


def believed_list(data: bytes, keys: Sequence[PublicCodeKey]) -> tuple[int, StatusList]:
    """The number of a list and the list, signed by one of the keys. Raises :class:`StatusListMalformed`."""
    signed = read_cwt(data)
    key = _key_of(signed, keys)
    if key is None or key.compromised_at is not None or not holds(signed, key.public):
        raise StatusListMalformed("its signature does not hold, or its key is not known")
    number = signed.list.uri.rpartition("/status-lists/")[2]
    if not (number.isascii() and number.isdecimal()):
        raise StatusListMalformed("no number")
    return int(number), signed.list


def judge_offline(text: str, trust: OfflineTrust, now: dt.datetime, expected: str | None = None) -> Verdict:
    """The verdict on what a QR code says. ``expected``: the number, identifier or verification code on the paper it was found on."""
    try:
        signed = decode_offline(text)
    except OfflineCodeMalformed as error:
        return unreadable(Kind.QR, f"no offline code: {error.detail}")
    checks = tuple(_checks(signed, trust, now, expected))
    indication, sub_indication = _concluded(checks)
    signature = SignatureVerdict("offline code", checks, signed.code.issuer, None, LEVEL, None, indication, sub_indication)
    # What no key of ours vouches for is not repeated as if it were true.
    vouched = all(one.outcome is Outcome.PASSED for one in checks if one.name in ("CODE_KEY", "CODE_SIGNATURE"))
    return Verdict(Kind.QR, indication, sub_indication, (signature,), metadata(signed.code) if vouched else None)


def metadata(code: OfflineCode) -> dict[str, Any]:
    """What the code says, under the short names of GB/T 36903. Nothing in it needs masking."""
    dates = {"ZZBFRQ": code.issued_on, "ZZYXQQSRQ": code.valid_from, "ZZYXQJZRQ": code.valid_to}
    return {
        "ZZMC": code.name, "ZZBH": code.number, "ZZBS": code.identifier, "ZZBFJG": code.issuer,
        "CZZT": [one.name for one in code.holders], "CZZTDM": [one.code for one in code.holders],
    } | {name: day.isoformat() for name, day in dates.items() if day} | dict(code.fields)  # fmt: skip


def _checks(signed: SignedCode, trust: OfflineTrust, now: dt.datetime, expected: str | None) -> Iterable[Check]:
    yield passed("FORMAT", "an offline code")
    key = _key_of(signed, trust.keys)
    yield _key_check(signed, key, now)
    if key is None:
        yield open_question("CODE_SIGNATURE", "its key is not known", "NO_CERTIFICATE_CHAIN_FOUND")
        return
    yield _signature_check(signed, key)
    if expected is not None:
        yield _match_check(signed.code, expected)
    yield _dates_check(signed.code, civil_date(now))
    yield _status_check(signed.code, trust.lists, now)


def _key_of(signed: SignedCode | SignedList, keys: Iterable[PublicCodeKey]) -> PublicCodeKey | None:
    return next((one for one in keys if one.kid == signed.kid and one.algorithm is signed.algorithm), None)


def _key_check(signed: SignedCode, key: PublicCodeKey | None, now: dt.datetime) -> Check:
    if key is None:
        return open_question("CODE_KEY", f"no key {signed.kid.hex()} at hand", "NO_CERTIFICATE_CHAIN_FOUND")
    if key.compromised_at is not None:
        return failed("CODE_KEY", f"the key {key.kid.hex()} was taken back", "REVOKED_NO_POE")
    if now >= key.good_until:
        return failed("CODE_KEY", f"the key {key.kid.hex()} expired on {key.good_until.date()}", "OUT_OF_BOUNDS_NO_POE")
    if now < key.signs_from:
        return failed("CODE_KEY", f"the key {key.kid.hex()} does not sign yet", "NOT_YET_VALID")
    return passed("CODE_KEY", f"key {key.kid.hex()}")


def _signature_check(signed: SignedCode, key: PublicCodeKey) -> Check:
    if not holds(signed, key.public):
        return failed("CODE_SIGNATURE", "the signature does not hold", "SIG_CRYPTO_FAILURE")
    if not civil_date(key.signs_from - _DAY) <= signed.code.issued_on <= civil_date(key.signs_until + _DAY):
        return failed("CODE_SIGNATURE", "issued while this key did not sign", "SIG_CONSTRAINTS_FAILURE")
    return passed("CODE_SIGNATURE")


def _match_check(code: OfflineCode, expected: str) -> Check:
    wanted = expected.strip()
    if wanted in (code.number, code.identifier) or normalise_code(wanted) == code.verification_code:
        return passed("CODE_MATCH")
    return failed("CODE_MATCH", "the code is of another certificate than the one it was held against", "HASH_FAILURE")


def _dates_check(code: OfflineCode, today: dt.date) -> Check:
    if code.valid_to is not None and today > code.valid_to:
        return failed("CODE_DATES", f"valid until {code.valid_to}", "OUT_OF_BOUNDS_NO_POE")
    if code.valid_from is not None and today < code.valid_from:
        return failed("CODE_DATES", f"valid from {code.valid_from}", "NOT_YET_VALID")
    return passed("CODE_DATES", f"valid until {code.valid_to}" if code.valid_to else "without a last day")


def _status_check(code: OfflineCode, lists: Mapping[int, StatusList], now: dt.datetime) -> Check:
    listed = lists.get(code.status.list)
    if listed is None:
        return open_question("CODE_STATUS", f"status list {code.status.list} is not at hand", _TRY_LATER)
    age = f"by a list {spoken_age(now - listed.issued_at)} old, of {listed.issued_at:%Y-%m-%d %H:%M} UTC"
    try:
        status = listed.status(code.status.index)
    except StatusListMalformed:
        return open_question("CODE_STATUS", f"not told {age}", _TRY_LATER)
    if status is not TokenStatus.VALID:  # what is revoked stays revoked, however old the list; only "suspended" may have ended since
        if status is TokenStatus.SUSPENDED and now >= listed.expires_at:
            return open_question("CODE_STATUS", f"suspended {age}", _TRY_LATER)
        return failed("CODE_STATUS", f"{status.name.lower()} {age}", "REVOKED" if status is TokenStatus.INVALID else "SUSPENDED")
    if not listed.issued_at - _DAY <= now < listed.expires_at:
        return open_question("CODE_STATUS", f"in force {age}: too old to say so now", _TRY_LATER)
    return passed("CODE_STATUS", f"in force {age}")


def spoken_age(age: dt.timedelta) -> str:
    """``3 h 12 min``, ``2 d 4 h``; what lies ahead of a clock that is a little slow counts as nothing."""
    minutes = max(0, int(age.total_seconds())) // 60
    days, hours = minutes // 1440, minutes % 1440 // 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _concluded(checks: Sequence[Check]) -> tuple[Indication, str | None]:
    """The first that failed decides, then the first that stayed open."""
    for outcome, indication in ((Outcome.FAILED, Indication.TOTAL_FAILED), (Outcome.INDETERMINATE, Indication.INDETERMINATE)):
        troubles = [one for one in checks if one.outcome is outcome]
        if troubles:
            return indication, troubles[0].meaning()
    return Indication.TOTAL_PASSED, None
