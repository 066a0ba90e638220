"""What of a stamp follows from the seal's material alone, worked out once; and the checks before stamping.

A judgement is a function of the material, of the octets that were signed and of the instant. The octets are ours: what is wrong
with them would be wrong every time. The instant counts only by comparison with the instants that stand in the material: validity
of certificates, lists and seal, dates of revocation. So the judgement of one stamp answers for the next one exactly when

1. not one octet of the material differs: certificates, lists, seal and keys are the key of the cache
2. none of those instants lies between the two stamps: this is compared for every stamp
3. a minute has not passed: then a whole stamp is judged again, signatures and all, as any verifier will

The material itself is loaded anew within a minute (:mod:`seal.material`), so a revocation that was published since makes another
material, and another judgement. docs/decisions/0071 says what that costs and what it saves.
"""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from keys.base.errors import Conflict
from keys.pki.material import ValidationMaterial
from keys.pki.validation_crl import find_entry
from seal.asn1 import parse_seal
from seal.material import SealMaterial
from seal.placement import Placement
from seal.revision import Appearance, Stampee
from seal.signature_dictionary import NO_CHANGES
from seal.verdict import Check, Outcome
from seal.verification_path import Party, RevocationList, read_certificate, read_crl
from seal.verification_signer import signer_checks
from seal.verification_stamp import Covered, Evidence, judge_stamp

MATERIALS = 256
FRESH = dt.timedelta(minutes=1)

# What a CMS holds beside certificates and seal: two signatures, names, digests, OIDs and lengths are below 700 octets.
_ROOM = 1024


_NOTHING = ValidationMaterial((), ())


class SealUnfit(Conflict):
    """The stamp this seal would make does not pass verification; ``extra['check']`` names the first check it fails."""

    code = "SEAL_UNFIT"
    public = (
        "该印章当前不能用印：印章或证书未通过核验，请联系印章管理人员（可能需要重新制章）。",
        "This seal cannot be used now: it or a certificate does not pass verification. Ask the seal keeper; it may have to be made again.",
    )


@dataclass(frozen=True, slots=True)
class TimeRoom:
    """For a signature time stamp that comes later: how many octets, and its authority's chain and lists for the DSS (B-LT)."""

    octets: int
    validation: ValidationMaterial = _NOTHING


@dataclass(frozen=True, slots=True)
class Window:
    """A judgement at ``at`` that holds for instants strictly between ``after`` and ``before``, and for ``at`` itself."""

    at: dt.datetime
    after: dt.datetime
    before: dt.datetime

    def holds(self, instant: dt.datetime) -> bool:
        return instant == self.at or self.after < instant < self.before


class Press:
    """One seal's material, ready to stamp."""

    def __init__(self, material: SealMaterial) -> None:
        self.material = material
        # The signer's certificate and its issuers; the root stays out, every verifier has its own.
        self.carried = (material.signer_certificate, *material.signer_chain[:-1])
        self._appearance = Appearance(material.pdf_content, material.width_mm, material.height_mm)
        self._stamp: Window | None = None
        self._signer: Window | None = None

    def stampee(self, placement: Placement, signing_time: dt.datetime, permission: int, time_room: TimeRoom | None) -> Stampee:
        material, extra = self.material, time_room or TimeRoom(0)
        own = material.validation
        room = len(material.seal_der) + len(material.sm_certificate) + extra.octets
        return self._stampee(
            placement,
            signing_time,
            tuple(dict.fromkeys((*own.certificates, *extra.validation.certificates))),
            tuple(dict.fromkeys((*own.crls, *extra.validation.crls))),
            room,
            permission,
        )

    def plain_stampee(self, placement: Placement, signing_time: dt.datetime) -> Stampee:
        """Without what only the GM/T 0031 stamp needs: the signer's chain and its lists."""
        chain = (self.material.signer_certificate, *self.material.signer_chain)
        names = {party.issuer for party in map(read_certificate, chain) if party}
        lists = tuple(one for one in self.material.validation.crls if (read := read_crl(one)) and read.issuer in names)
        return self._stampee(placement, signing_time, chain, lists, 0, NO_CHANGES, plain=True)

    def _stampee(
        self,
        placement: Placement,
        signing_time: dt.datetime,
        certificates: tuple[bytes, ...],
        crls: tuple[bytes, ...],
        room: int,
        permission: int,
        plain: bool = False,
    ) -> Stampee:
        return Stampee(
            appearance=self._appearance,
            placement=placement,
            title=self.material.name,
            organisation=self.material.organisation_name,
            certificates=certificates,
            crls=crls,
            signing_time=signing_time,
            reserved=room + sum(map(len, self.carried)) + _ROOM,
            permission=permission,
            plain=plain,
        )

    def require_stamp(self, ses: bytes, covered: Covered) -> None:
        """Raises :class:`SealUnfit` unless the finished stamp passes every check at its own time."""
        at = covered.signing_time
        if at is None or (self._stamp is not None and self._stamp.holds(at)):
            return
        _require_passed(judge_stamp(ses, self._evidence(at), covered).checks)
        self._stamp = self._window(at)

    def require_signer(self, signing_time: dt.datetime) -> None:
        """Raises :class:`SealUnfit` unless the PAdES signer's chain and revocation pass."""
        if self._signer is not None and self._signer.holds(signing_time):
            return
        signer = read_certificate(self.material.signer_certificate)
        _require_passed(signer_checks(signer, self.carried, self._evidence(signing_time), signing_time))
        self._signer = self._window(signing_time)

    @cached_property
    def _parties(self) -> tuple[Party, ...]:
        return tuple(party for party in map(read_certificate, self.material.validation.certificates) if party)

    @cached_property
    def _lists(self) -> tuple[RevocationList, ...]:
        return tuple(crl for crl in map(read_crl, self.material.validation.crls) if crl)

    def _evidence(self, at: dt.datetime) -> Evidence:
        anchors = tuple(party for party in self._parties if party.self_issued)
        return Evidence(anchors=anchors, candidates=self._parties, crls=self._lists, at=at)

    @cached_property
    def _instants(self) -> list[dt.datetime]:
        """Every instant that stands in the material, in order."""
        return sorted(set(self._told()))

    def _told(self) -> Iterator[dt.datetime]:
        seal = parse_seal(self.material.seal_der)
        yield from (seal.created, seal.valid_from, seal.valid_to)
        asked = (self.material.signer_certificate, self.material.sm_certificate, seal.maker_certificate)
        parties = (*self._parties, *(party for party in map(read_certificate, asked) if party))
        for party in parties:
            yield from (party.not_before, party.not_after)
        for crl in self._lists:
            yield crl.this_update
            if crl.next_update is not None:
                yield crl.next_update
            yield from (entry.since for party in parties if (entry := find_entry(crl, party.serial, party.issuer)))

    def _window(self, at: dt.datetime) -> Window:
        instants = self._instants
        before, after = bisect_right(instants, at), bisect_left(instants, at)
        if before != after:  # it is one of them: on either side of it the answer may be another
            return Window(at, at, at)
        earliest, latest = at - FRESH, at + FRESH
        return Window(
            at,
            max(earliest, instants[after - 1]) if after else earliest,
            min(latest, instants[before]) if before < len(instants) else latest,
        )


@lru_cache(maxsize=MATERIALS)
def press_for(material: SealMaterial) -> Press:
    """The press of this material: the same one for equal octets, in this process."""
    return Press(material)


def _require_passed(checks: Iterable[Check]) -> None:
    for check in checks:
        if check.outcome not in (Outcome.PASSED, Outcome.NOTICE):
            raise SealUnfit(f"{check.name}: {check.detail}", check=check.name)
