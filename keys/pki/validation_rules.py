"""What a validation may spend, what it demands, and what it may answer."""

import time
from dataclasses import dataclass
from enum import StrEnum

from keys.custody.verifying import STRICT, AlgorithmPolicy, verify_signature_once
from keys.pki.validation_certificate import Party
from keys.pki.validation_extensions import ANY_POLICY


class Reason(StrEnum):
    """Why a chain does not stand; :data:`SUB_INDICATIONS` maps each onto EN 319 102-1."""

    NO_CHAIN = "NO_CHAIN"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    ALGORITHM_REFUSED = "ALGORITHM_REFUSED"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    IRREGULAR = "IRREGULAR"
    CRITICAL_EXTENSION_UNKNOWN = "CRITICAL_EXTENSION_UNKNOWN"
    NOT_AN_AUTHORITY = "NOT_AN_AUTHORITY"
    PATH_TOO_LONG = "PATH_TOO_LONG"
    NAME_NOT_PERMITTED = "NAME_NOT_PERMITTED"
    POLICY_NOT_ACCEPTED = "POLICY_NOT_ACCEPTED"
    USE_NOT_ALLOWED = "USE_NOT_ALLOWED"
    REVOKED = "REVOKED"
    REVOCATION_UNKNOWN = "REVOCATION_UNKNOWN"


SUB_INDICATIONS: dict[Reason, str] = {
    Reason.NO_CHAIN: "NO_CERTIFICATE_CHAIN_FOUND",
    Reason.LIMIT_EXCEEDED: "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    Reason.SIGNATURE_INVALID: "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    Reason.ALGORITHM_REFUSED: "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
    Reason.NOT_YET_VALID: "NOT_YET_VALID",
    Reason.EXPIRED: "OUT_OF_BOUNDS_NO_POE",
    Reason.REVOKED: "REVOKED_NO_POE",
    Reason.REVOCATION_UNKNOWN: "TRY_LATER",
}


def sub_indication(reason: Reason, depth: int = 0) -> str:
    """The sub-indication of EN 319 102-1 for the certificate at ``depth``, 0 being the signer's."""
    if reason is Reason.REVOKED and depth:
        return "REVOKED_CA_NO_POE"
    return SUB_INDICATIONS.get(reason, "CHAIN_CONSTRAINTS_FAILURE")


@dataclass(frozen=True, slots=True)
class Limits:
    """``depth``: certificates from the signer's to the anchor, both counted. ``candidates``: how many others are looked at.

    ``lists``: how many revocation lists and answers. ``signatures``: how many are verified. ``steps``: comparisons of names,
    policies and paths. ``seconds`` of wall time end whatever the other numbers forgot.
    """

    depth: int = 6
    candidates: int = 16
    lists: int = 64
    signatures: int = 64
    steps: int = 20_000
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What is demanded. The defaults are those of RFC 5280 §6.1.1 with revocation required.

    ``regular``               refuse what RFC 5280 forbids a CA to issue
    ``revocation``            no usable list or answer for a certificate: REVOCATION_UNKNOWN
    ``key_usage_required``    an authority without key usage may not certify, nor sign lists
    ``key_usage``             the signer's key usage, where it has one, names one of these
    ``extended_key_usage``    the use the signer's certificate, and every authority that limits uses, must allow
    ``extended_required``     the signer's certificate must name it; else a certificate without the extension allows every use
    """

    limits: Limits = Limits()
    algorithms: AlgorithmPolicy = STRICT
    regular: bool = True
    revocation: bool = True
    key_usage_required: bool = False
    key_usage: frozenset[str] = frozenset()
    extended_key_usage: str | None = None
    extended_required: bool = False
    policies: frozenset[str] = frozenset({ANY_POLICY})
    explicit_policy: bool = False
    mapping_inhibited: bool = False
    any_policy_inhibited: bool = False


STANDARD = Rules()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the certificate at ``depth`` (0: the signer's). ``detail``: a few words without personal data."""

    reason: Reason
    detail: str
    depth: int = 0

    @property
    def sub_indication(self) -> str:
        return sub_indication(self.reason, self.depth)


class OutOfBudgetError(Exception):
    """The limits are spent. Never leaves this package's validation: it becomes LIMIT_EXCEEDED."""


class Budget:
    """What is left of the limits, for one validation."""

    def __init__(self, limits: Limits, algorithms: AlgorithmPolicy = STRICT) -> None:
        self.limits = limits
        self.algorithms = algorithms
        self.steps = limits.steps
        self.signatures = limits.signatures
        self.deadline = time.monotonic() + limits.seconds
        self._known: dict[tuple[bytes, bytes, bytes, bytes], bool] = {}

    def step(self, count: int = 1) -> None:
        self.steps -= count
        if self.steps < 0:
            raise OutOfBudgetError("more steps than allowed")
        if time.monotonic() > self.deadline:
            raise OutOfBudgetError("more time than allowed")

    def holds(self, public: bytes, algorithm: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key signed the message under the algorithm; each question is asked once."""
        question = (public, algorithm, message, signature)
        if question not in self._known:
            self.signatures -= 1
            if self.signatures < 0:
                raise OutOfBudgetError("more signatures than allowed")
            self.step()
            self._known[question] = verify_signature_once(public, algorithm, message, signature, self.algorithms)
        return self._known[question]

    def known(self, public: bytes, algorithm: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key is known by now to have signed the message."""
        return self._known.get((public, algorithm, message, signature), False)

    def signed(self, public: bytes, party: Party) -> bool:
        return self.holds(public, party.algorithm_identifier, party.signed, party.signature)
