"""Which authorities may vouch for a signature, and within which bounds: the trust list applied to one chain.

1. the anchors for a use are the plain roots, and the authorities trusted for it then and now
2. a chain that ends in an authority of the list is held to its scope: ``OUT_OF_SCOPE``
3. where no chain is found, but would be if an objection did not stand, the objection is said
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from keys.trust.certificates import Certificate as Subject
from keys.trust.certificates import read_certificate as read_subject
from keys.trust.entries import Scope, TrustedAuthority, Use
from keys.trust.errors import TrustBundleMalformed
from seal.divisions import covers, is_division
from seal.kinds import KINDS
from seal.verdict import Check, failed, notice, passed
from seal.verification_path import Party, find_path, read_certificate

_DIVISION_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Recognised:
    """An authority of the list with its certificate as read."""

    party: Party
    authority: TrustedAuthority


@dataclass(frozen=True, slots=True)
class SealFacts:
    """What a seal says of itself that a scope can speak of."""

    code: str
    name: str

    @property
    def division(self) -> str:
        return self.code[:_DIVISION_DIGITS]

    @property
    def kinds(self) -> frozenset[str]:
        """GM/T 0031 has no field for the kind: it is told by the name on the seal. A statutory-name seal says none."""
        return frozenset(kind for kind, info in KINDS.items() if info.lower_text and self.name.endswith(info.lower_text))


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Who is asked, for what, about which time."""

    plain: tuple[Party, ...]
    recognised: tuple[Recognised, ...]
    candidates: tuple[Party, ...]
    at: dt.datetime

    def anchors(self, use: Use, signed_at: dt.datetime | None) -> tuple[Party, ...]:
        """Who may end a chain for this use."""
        vouching = (one.party for one in self.recognised if one.authority.objection(use, signed_at, self.at) is None)
        return (*self.plain, *vouching)

    def authority_of(self, path: Sequence[Party], use: Use, signed_at: dt.datetime | None) -> TrustedAuthority | None:
        """The authority of the list in which the path ends; None for a plain root."""
        anchor = path[-1]
        if anchor in self.plain:
            return None
        ending = (one.authority for one in self.recognised if one.party == anchor)
        return next((one for one in ending if one.objection(use, signed_at, self.at) is None), None)

    def objection(self, leaf: Party, use: Use, signed_at: dt.datetime | None) -> str | None:
        """What stands against the authority that would end the chain; None where none would."""
        for one in self.recognised:
            reason = one.authority.objection(use, signed_at, self.at)
            if reason is not None and find_path(leaf, self.candidates, (one.party,)) is not None:
                return f"{one.party.name}: {reason}"
        return None


def recognised_from(authorities: Iterable[TrustedAuthority]) -> tuple[Recognised, ...]:
    read = ((read_certificate(one.certificate), one) for one in authorities)
    return tuple(Recognised(party, one) for party, one in read if party is not None)


def subordinates_of(authorities: Iterable[TrustedAuthority]) -> Iterator[Party]:
    """Certificates on the list that help to build chains."""
    for authority in authorities:
        yield from (party for party in map(read_certificate, authority.subordinates) if party)


def bounds_checks(
    standpoint: Standpoint, path: Sequence[Party], use: Use, signed_at: dt.datetime | None, seal: SealFacts | None = None
) -> Iterator[Check]:
    """``OUT_OF_SCOPE`` where the chain ends in an authority of the list; ``LEGAL_EFFECT`` where its end has none."""
    authority = standpoint.authority_of(path, use, signed_at)
    if authority is not None:
        fault = _outside(authority.scope, path[0], seal)
        yield failed("OUT_OF_SCOPE", fault) if fault else passed("OUT_OF_SCOPE", f"within the scope of {path[-1].name}")
    if without_legal_effect(path[-1], authority):
        yield notice("LEGAL_EFFECT", f"a demonstration, without legal effect: {path[-1].name}")


def without_legal_effect(anchor: Party, authority: TrustedAuthority | None) -> bool:
    """What the list says of it; a plain root says so in its own name."""
    if authority is not None:
        return not authority.legal_effect
    subject = _subject(anchor)
    return subject is not None and subject.is_demonstration


def _subject(party: Party) -> Subject | None:
    try:
        return read_subject(party.encoded)
    except TrustBundleMalformed:
        return None


def _outside(scope: Scope, leaf: Party, seal: SealFacts | None) -> str | None:
    """Why this signer or seal is outside of the scope; what cannot be told to lie within it lies outside."""
    subject = _subject(leaf)
    organisation = subject.organisation_code if subject else ""
    division = seal.division if seal else (subject.division if subject else "")
    if scope.organisation and organisation != scope.organisation:
        return "its organisation is another than the one it is trusted for"
    if scope.divisions and not (is_division(division) and any(covers(one, division) for one in scope.divisions)):
        return f"division {division[:_DIVISION_DIGITS] or 'not stated'} is outside of those it is trusted for"
    if scope.seal_kinds and seal is not None and not seal.kinds & set(scope.seal_kinds):
        return "a kind of seal it is not trusted for"
    return None
