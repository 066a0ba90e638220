"""Two families of algorithms, chosen once for a home: international, or 国密 (GM/T, the Chinese commercial algorithms).

A suite names what may be chosen freely, because only this house reads it or because outsiders of either world can check it:

* ``cipher`` and ``mac`` of personal data: AES-256-GCM and HMAC-SHA256, or SM4-GCM and HMAC-SM3;
* ``log``: the signature of checkpoints, Ed25519 or SM2.

Everything else is the same in both. Seals are SM2 and SM3 always (GM/T 0031). The PAdES signature beside them, and what portals
verify (JWS), stay international: no reader of PDF and no registered JOSE algorithm knows SM2. See docs/decisions/0051-crypto-suites.md.

A home keeps the suite it was made with: envelopes would still open, since each names its key, but every blind index would differ,
and the log's key is the log's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keys.custody.store import Algorithm


class Crypto(StrEnum):
    """``FUJIE_CRYPTO``."""

    INTL = "intl"
    SM = "sm"


@dataclass(frozen=True, slots=True)
class Suite:
    """The algorithms of one family; each field is what a new key is made for."""

    name: Crypto
    cipher: Algorithm
    mac: Algorithm
    log: Algorithm


SUITES: Mapping[Crypto, Suite] = {
    Crypto.INTL: Suite(Crypto.INTL, Algorithm.AES256, Algorithm.HMAC, Algorithm.ED25519),
    Crypto.SM: Suite(Crypto.SM, Algorithm.SM4, Algorithm.HMAC_SM3, Algorithm.SM2),
}
INTERNATIONAL = SUITES[Crypto.INTL]
