"""The one validation of certificate chains: whoever judges a certificate of somebody else asks here.

1. build chains from the certificate to an anchor, cheapest hints first                     (:mod:`keys.pki.validation_path`)
2. check each by RFC 5280 §6.1: signatures, validity, names, constraints, policies, uses     (same, ``_constraints``, ``_policies``)
3. ask for the revocation of each certificate below the anchor                              (:mod:`keys.pki.validation_revocation`)
4. answer with the first chain that stands, else with the fault of the one that came nearest

Pure: no clock, no network, no address inside a certificate is ever fetched. Every octet may be hostile: :class:`Limits` bound depth,
candidates, signatures, comparisons and time, and nothing here raises. ``docs/path-validation.md`` tells it all.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from keys.pki.validation_certificate import Party, read_certificate
from keys.pki.validation_crl import RevocationList, read_crl
from keys.pki.validation_ocsp import OcspResponse, read_ocsp
from keys.pki.validation_path import Found, Path, build, check
from keys.pki.validation_revocation import RevocationData, Revoked, Scene, Status, Unknown, fault_of, worst
from keys.pki.validation_rules import STANDARD, Budget, Fault, Limits, OutOfBudgetError, Reason, Rules

__all__ = [
    "STANDARD",
    "Budget",
    "Fault",
    "Found",
    "Limits",
    "Material",
    "OcspResponse",
    "Party",
    "Reason",
    "RevocationData",
    "RevocationList",
    "Revoked",
    "Rules",
    "Unknown",
    "find_path",
    "read_certificate",
    "read_crl",
    "read_ocsp",
    "revocation_of",
    "validate",
]


@dataclass(frozen=True, slots=True)
class Material:
    """What is at hand: ``anchors`` are trusted, all else only helps. Build it from octets with :meth:`read`."""

    anchors: tuple[Party, ...]
    candidates: tuple[Party, ...] = ()
    lists: tuple[RevocationList, ...] = ()
    responses: tuple[OcspResponse, ...] = ()

    @classmethod
    def read(
        cls,
        anchors: Iterable[bytes],
        candidates: Iterable[bytes] = (),
        lists: Iterable[bytes] = (),
        responses: Iterable[bytes] = (),
    ) -> "Material":
        """From DER; what cannot be read is left out."""
        return cls(
            tuple(one for one in map(read_certificate, anchors) if one),
            tuple(one for one in map(read_certificate, candidates) if one),
            tuple(one for one in map(read_crl, lists) if one),
            tuple(one for one in map(read_ocsp, responses) if one),
        )

    @property
    def revocation(self) -> RevocationData:
        return RevocationData(self.lists, self.responses)


def validate(leaf: Party | bytes, material: Material, at: dt.datetime, rules: Rules = STANDARD) -> Found:
    """The chain of ``leaf`` at the instant ``at``, with revocation unless the rules leave it out. Never raises.

    ``Found.fault`` is None where the chain stands; its ``sub_indication`` is that of EN 319 102-1.
    """
    party = read_certificate(leaf) if isinstance(leaf, bytes) else leaf
    if party is None:
        return Found((), Fault(Reason.IRREGULAR, "not a certificate that can be read"))
    budget = Budget(rules.limits, rules.algorithms)
    scene = Scene(material.candidates, material.anchors, material.revocation, at, rules, budget)

    def judge(path: Path) -> Fault | None:
        fault = check(path, at, rules, budget)
        return fault or (fault_of(worst(path, scene)) if rules.revocation else None)

    return build(party, material.candidates, material.anchors, judge, rules, budget)


def find_path(leaf: Party, candidates: Iterable[Party], anchors: Iterable[Party], rules: Rules = STANDARD) -> Found:
    """A chain that stands but for validity in time and revocation, which the caller asks of it at instants of its own."""
    budget = Budget(rules.limits, rules.algorithms)
    return build(leaf, candidates, anchors, lambda path: check(path, None, rules, budget), rules, budget)


def revocation_of(path: Path, material: Material, at: dt.datetime, rules: Rules = STANDARD) -> Status:
    """What is known at ``at`` about the certificates of a chain from :func:`find_path`. Never raises."""
    budget = Budget(rules.limits, rules.algorithms)
    try:
        return worst(path, Scene(material.candidates, material.anchors, material.revocation, at, rules, budget))
    except OutOfBudgetError as error:
        return Unknown(0, str(error))
