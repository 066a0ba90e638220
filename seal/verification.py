"""The verdict on any octets whatever. It never raises: what cannot be read is UNREADABLE.

1. find out what kind of file it is                              (:mod:`seal.verification_core`)
2. our own PDF profile, a seal, a stamp or a picture: judge it there
3. a PDF signed in another profile: judge it through pyHanko     (:mod:`seal.verification_foreign`)

Untrusted octets belong into :mod:`seal.sandbox`, which adds limits of time and memory.
"""

import datetime as dt

from seal.trust import Trust
from seal.verdict import Kind, Verdict, unreadable
from seal.verification_core import judge
from seal.verification_foreign import judge_foreign


def verify(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict as of the instant ``at``; opens no socket."""
    try:
        return judge(data, trust, at) or judge_foreign(data, trust, at)
    except Exception as error:  # parsers of hostile input fail in ways nobody lists; each of them means the same
        return unreadable(Kind.PDF, f"not readable: {type(error).__name__}")
