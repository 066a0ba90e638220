"""The files that make offline codes believed: a signed key set or trust list, and status lists, each under the roots at hand.

In a home: ``code-keys.json`` and ``status-lists/*.cwt``, where ``fujie codes fetch`` puts them. Nothing is believed for standing in a
file: a set or list whose signature leads to none of the roots, or that is past its end, counts as absent.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from certs.code_key_set import CodeKeysMalformed, PublicCodeKey, read_key, verify_key_set
from certs.offline_code import is_offline_code
from certs.offline_verdict import OfflineTrust, believed_list, judge_offline
from certs.token_status import StatusList, StatusListMalformed
from certs.verification import CODE_LENGTH
from keys.base.ids import normalise_code
from keys.trust.documents import require_current, verify_list
from keys.trust.errors import TrustListMalformed, TrustListOutdated, TrustListSignatureBroken
from seal.trust import Trust, TrustUnreadable
from seal.trust_files import is_list
from seal.verdict import Verdict

KEYS_FILE = "code-keys.json"
LISTS_FOLDER = "status-lists"
MOST_LIST = 8 << 20
_BROKEN = (CodeKeysMalformed, TrustListMalformed, TrustListSignatureBroken, TrustListOutdated)


def read_offline_trust(trust: Iterable[bytes], sets: Iterable[bytes], lists: Iterable[bytes], now: dt.datetime) -> OfflineTrust:
    """Keys from signed sets and signed trust lists, and the lists that those keys signed.

    Where ``trust`` holds PEM certificates, every set and list must lead to one of them; a set or a list named alone is taken at its
    word, as ``--trust`` does. What does not hold is left out.
    """
    given = list(trust)
    roots = _roots([one for one in given if not is_list(one)])
    keys: list[PublicCodeKey] = []
    for one in given:
        keys += _from_trust_list(one, roots, now) if is_list(one) else ()
    for one in sets:
        keys += _from_set(one, roots, now)
    known = tuple({(one.kid, one.algorithm): one for one in keys}.values())
    return OfflineTrust(known, dict(_lists(lists, known)))


@dataclass(frozen=True, slots=True)
class CodeFiles:
    """Where a command finds what makes codes believed: the files it was given, else those of the home."""

    home: Path
    trust_file: Path
    trust: Sequence[Path] | None = None
    keys: Sequence[Path] | None = None
    lists: Sequence[Path] | None = None

    def read(self, now: dt.datetime) -> OfflineTrust:
        """Raises OSError."""
        trust = self.trust or ([self.trust_file] if self.trust_file.is_file() else [])
        kept_keys, kept_lists = home_files(self.home) if trust else ([], [])
        sets = [one.read_bytes() for one in self.keys] if self.keys else kept_keys
        lists = [one.read_bytes() for one in self.lists] if self.lists else kept_lists
        return read_offline_trust([one.read_bytes() for one in trust], sets, lists, now)


def judge_codes(texts: Sequence[str], files: CodeFiles, now: dt.datetime, expected: str | None = None) -> Verdict | None:
    """The verdict on the offline code among ``texts``; None where there is none."""
    found = offline_among(texts)
    return judge_offline(found[0], files.read(now), now, expected or found[1]) if found else None


def offline_among(texts: Sequence[str]) -> tuple[str, str | None] | None:
    """The offline code among the codes of one paper, and what it is held against: the verification code of the address beside it.

    Of two papers in one picture nobody can say which code belongs where: the first of each is taken, and they do not match.
    """
    offline = next((one for one in texts if is_offline_code(one)), None)
    return (offline, next(filter(None, map(code_in_address, texts)), None)) if offline else None


def code_in_address(text: str) -> str | None:
    """The verification code in the address of a QR code, ``…/v/CODE``; None for anything else."""
    try:
        address = urlsplit(text)
    except ValueError:
        return None
    folder, _, code = address.path.rpartition("/")
    wanted = normalise_code(code[:64])
    whole = address.scheme in ("http", "https") and folder.endswith("/v") and len(wanted) == CODE_LENGTH
    return wanted if whole and wanted.isalnum() and wanted.isascii() else None


def home_files(home: Path) -> tuple[list[bytes], list[bytes]]:
    """The key set and the status lists that are kept in a home."""
    keys = home / KEYS_FILE
    lists = sorted((home / LISTS_FOLDER).glob("*.cwt"))
    return ([keys.read_bytes()] if keys.is_file() else []), [one.read_bytes() for one in lists if one.stat().st_size <= MOST_LIST]


def _roots(bundles: Sequence[bytes]) -> tuple[bytes, ...]:
    try:
        return Trust.from_pem(*bundles).certificates if bundles else ()
    except TrustUnreadable:
        return ()


def _from_trust_list(data: bytes, roots: Sequence[bytes], now: dt.datetime) -> tuple[PublicCodeKey, ...]:
    try:
        signed = verify_list(data, roots)
        require_current(signed, now)
        return tuple(read_key(one) for one in signed.list.code_keys)
    except (*_BROKEN, ValueError, KeyError, TypeError):
        return ()


def _from_set(data: bytes, roots: Sequence[bytes], now: dt.datetime) -> tuple[PublicCodeKey, ...]:
    try:
        signed = verify_key_set(data, roots)
    except _BROKEN:
        return ()
    return signed.keys if signed.current(now) else ()


def _lists(files: Iterable[bytes], keys: Sequence[PublicCodeKey]) -> Iterable[tuple[int, StatusList]]:
    """The youngest of each number."""
    found: dict[int, StatusList] = {}
    for data in files:
        try:
            number, listed = believed_list(data, keys)
        except StatusListMalformed:
            continue
        if number not in found or found[number].issued_at < listed.issued_at:
            found[number] = listed
    return found.items()
