"""Verdicts remembered for the minute they were made in, by what they follow from: the file's SHA-256, the whole trust, the minute.

Any other octet, certificate, list, answer or entry of the trust list is another key, so a revocation counts at once. What the registry
of seals and the record say today is never part of what is remembered.
"""

import datetime as dt
import hashlib
import os
from collections import OrderedDict

from seal.trust import Trust
from seal.verdict import Indication, Verdict

MAX_FILE = 8 << 20
"""Octets; hashing a larger file would hold up the event loop, and none of ours is."""

_Key = tuple[bytes, Trust, dt.datetime]


class VerdictMemory:
    """The last ``size`` verdicts of this process."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._kept: OrderedDict[_Key, Verdict] = OrderedDict()

    def recall(self, digest: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
        return self._kept.get(_key(digest, trust, at))

    def keep(self, digest: bytes, trust: Trust, at: dt.datetime, verdict: Verdict) -> None:
        """Not what could not be read, which may be for want of time or memory; never pictures of somebody's file."""
        if verdict.indication is Indication.UNREADABLE or verdict.comparison is not None:
            return
        self._kept[_key(digest, trust, at)] = verdict
        while len(self._kept) > self._size or next(iter(self._kept))[2] < _minute(at):
            self._kept.popitem(last=False)


def digest_of(file: int) -> bytes | None:
    """SHA-256 of an open regular file; None if it is too large to be hashed here."""
    size = os.fstat(file).st_size
    if size > MAX_FILE:
        return None
    return hashlib.sha256(os.pread(file, size, 0)).digest()


def _key(digest: bytes, trust: Trust, at: dt.datetime) -> _Key:
    return digest, trust, _minute(at)


def _minute(at: dt.datetime) -> dt.datetime:
    return at.replace(second=0, microsecond=0)
