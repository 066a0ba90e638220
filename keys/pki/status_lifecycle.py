"""The life of a certificate as data (RFC 5280 §5.3.1): which move leads from which status to which.

Pure: ``keys.pki.status`` is the one place that changes a status. Expiry is no move: it is a date, and every status outlives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keys.pki.errors import AlreadyRevoked, ReasonUnknown, StatusMoveNotAllowed


class Standing(StrEnum):
    """What the register says of a certificate, whatever its dates.

    A serial number that was reserved and never became a certificate has no standing: nobody ever saw one of that number.
    """

    GOOD = "good"
    ON_HOLD = "on_hold"
    REVOKED = "revoked"


class Move(StrEnum):
    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"


class RevocationReason(StrEnum):
    """CRLReason of RFC 5280 §5.3.1 that a revocation may state; a hold is a move of its own."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key_compromise"
    CA_COMPROMISE = "ca_compromise"
    AFFILIATION_CHANGED = "affiliation_changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation_of_operation"
    PRIVILEGE_WITHDRAWN = "privilege_withdrawn"


COMPROMISED = frozenset({RevocationReason.KEY_COMPROMISE, RevocationReason.CA_COMPROMISE})
"""The reasons that concern the key, not the one certificate."""

HOLD = "certificate_hold"
"""The reason that lists and OCSP state of a certificate on hold."""

REASON_CODES: Mapping[str, int] = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.CA_COMPROMISE: 2,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    HOLD: 6,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}
"""CRLReason ENUMERATED; 7 is not used, 8 (removeFromCRL) is for delta lists, which we do not publish."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One move: where it may start, where it leads, whether the certificate must not have ended."""

    sources: frozenset[Standing]
    target: Standing
    until_expiry: bool = False


MOVES: Mapping[Move, Rule] = {
    Move.SUSPEND: Rule(frozenset({Standing.GOOD}), Standing.ON_HOLD, until_expiry=True),
    Move.RESUME: Rule(frozenset({Standing.ON_HOLD}), Standing.GOOD),
    Move.REVOKE: Rule(frozenset({Standing.GOOD, Standing.ON_HOLD}), Standing.REVOKED),
}


def standing(reason: str | None) -> Standing:
    """The standing that a certificate's row tells by the reason that is stated of it."""
    if reason is None:
        return Standing.GOOD
    return Standing.ON_HOLD if reason == HOLD else Standing.REVOKED


def target(old: Standing, move: Move, *, expired: bool) -> Standing:
    """Where ``move`` leads. Raises ``AlreadyRevoked`` (nothing follows a revocation) or ``StatusMoveNotAllowed``."""
    if old is Standing.REVOKED:
        raise AlreadyRevoked(f"{move} of a revoked certificate")
    rule = MOVES[move]
    if old not in rule.sources or (expired and rule.until_expiry):
        state = "expired" if expired and rule.until_expiry else str(old)
        raise StatusMoveNotAllowed(f"{move} from {state}", status=state, move=str(move))
    return rule.target


def checked_reason(reason: str) -> RevocationReason:
    """The reason of a revocation; ``ReasonUnknown``."""
    try:
        return RevocationReason(reason)
    except ValueError:
        raise ReasonUnknown(f"no reason {reason[:40]!r}") from None
