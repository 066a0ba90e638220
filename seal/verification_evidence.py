"""What a judgement of a stamp or a seal may rest on, and what a stamp must speak of."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from keys.trust.entries import Use
from seal.foreign_rules import STRICT, AuthorityRules, SystemRules
from seal.recognition import Recognised, Standpoint
from seal.verification_path import OcspResponse, Party, RevocationList, Revoked, Unknown, find_path, revocation_as_of
from seal.verification_stamp_time import Surroundings


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a judgement may rest on. ``covered``: the lists of the file's own signed revision, which existed before it was signed.

    ``anchors`` are trusted for every use, ``recognised`` within the bounds of the trust list. ``at`` is the instant that is judged;
    where that lies in the past, ``known`` is until when it counts what has become known.
    """

    anchors: tuple[Party, ...]
    candidates: tuple[Party, ...]
    crls: tuple[RevocationList, ...]
    at: dt.datetime
    covered: tuple[RevocationList, ...] = ()
    recognised: tuple[Recognised, ...] = ()
    responses: tuple[OcspResponse, ...] = ()
    rules: tuple[AuthorityRules, ...] = ()
    known: dt.datetime | None = None

    @property
    def standpoint(self) -> Standpoint:
        return Standpoint(self.anchors, self.recognised, self.candidates, self.known or self.at)

    def revocation(self, path: Sequence[Party]) -> Revoked | Unknown | None:
        """What everything at hand says of the path, at the instant of judging."""
        return revocation_as_of(path, self.crls, self.at, self.known, self.responses)

    def rules_for(self, party: Party, use: Use, instant: dt.datetime) -> SystemRules:
        """The rules of the authority in which the party's chain ends; strict ones where it has none."""
        if not self.rules:
            return STRICT
        path = find_path(party, self.candidates, self.standpoint.anchors(use, instant))
        if path is None:
            return STRICT
        authority = hashlib.sha256(path[-1].encoded).digest()
        return next((one.rules for one in self.rules if one.authority == authority), STRICT)

    @property
    def surroundings(self) -> Surroundings:
        """What a time stamp is judged with."""
        return Surroundings(self.standpoint.anchors, self.candidates, self.revocation, self.at)

    def as_of(self, proven: dt.datetime | None) -> "Evidence":
        """The same evidence, judged at the proven instant with what has become known until now."""
        return self if proven is None else replace(self, at=min(proven, self.at), known=self.known or self.at)


@dataclass(frozen=True, slots=True)
class Covered:
    """What the stamp must speak of: SM3 of the octets, how propertyInfo names them, and the time the file states.

    ``sha256``  of the same octets, for systems whose rules allow an algorithm with it
    ``proven``  an instant at which the stamp existed, as a trusted time stamp around it proves
    """

    digest: bytes
    property_info: str
    signing_time: dt.datetime | None
    sha256: bytes | None = None
    proven: dt.datetime | None = None
