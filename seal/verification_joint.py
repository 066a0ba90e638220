"""Judging PDFs of ours with several seals: as strict as the judge of certificates, seal by seal.

1. ``FORMAT``     every signature is spelled as ours are; the first revision holds one seal, the fields prepared for later ones and nothing
   else to fill in; every later revision is exactly one seal in a prepared field, or a document time stamp
   (:mod:`seal.verification_joint_revisions`): whatever else was appended makes every seal before it fail, wherever it stands
2. ``COVERAGE``   each ByteRange leaves out exactly its own ``/Contents`` and ends with its revision; the last ends with the file
3. ``DOCMDP``     the first seal certifies (P 1: it is the only one; P 2: the others fill what it declared) or says that it does not
4. ``CMS_FORM``, ``DATA_HASH``, ``SIGNATURE``, ``CHAIN``, ``REVOCATION``, ``TIMESTAMP``   as for a certificate, each seal by the material
   that its own revision covers
5. the stamp (:mod:`seal.verification_stamp`); a field prepared for one seal holds no other: ``SIGNER_NOT_AUTHORISED``

Every octet is hashed once: the digest of a seal is the beginning of the next one's.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from pyhanko.pdf_utils.reader import PdfFileReader

from keys.base.errors import FujieError
from seal.asn1 import parse_ses_signature
from seal.extraction import first_value
from seal.joint_dictionary import recognise
from seal.joint_fields import FieldName, fields_of
from seal.levels import LTA
from seal.pdf_reading import Plain
from seal.placing import Certification, Profile
from seal.signature_dictionary import recognise_timestamp
from seal.trust import Trust
from seal.verdict import Check, Kind, SignatureVerdict, Verdict, failed, judged, notice, passed, summed_up
from seal.verification_evidence import Covered, Evidence
from seal.verification_joint_revisions import History, NotOurs, Sealed, advance, begin, digests
from seal.verification_joint_times import (
    certificates_in,
    earliest,
    judge_document_stamp,
    judge_own,
    not_before_claimed,
    time_checks,
    token_in,
)
from seal.verification_path import Party, RevocationList, read_certificate, read_crl, signature_holds
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, attached_metadata, evidence_from, open_pdf
from seal.verification_signed_data import Stated, canonical, plain_token, read_stated
from seal.verification_signer import signer_checks
from seal.verification_stamp import judge_stamp
from seal.verification_stamp_time import TokenJudgement

LEVELS = {Profile.PADES: "PAdES-B-B", Profile.GM: "GM.sm2seal"}
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
_MAX_NEIGHBOURS = 32  # certificates looked at for the chains of one seal


def judge_joint_plainly(data: bytes, trust: Trust, at: dt.datetime) -> Verdict | None:
    """As :func:`judge_joint` for what the plain reader reads, in a third of the time; None for whatever else it may be. Never raises."""
    try:
        reading = Plain(data)
        filled = [field for field in fields_of(reading) if field.filled]
        places = [(field.name or "", reading.offset(field.node.entries[b"/V"])) for field in filled]
        if any(not field.is_signature for field in filled):
            return None
        metadata = attached_metadata(open_pdf(data)) if b"/AF" in reading.root.entries else None
    except UNREADABLE:
        return None
    sealed = _sealed(data, places)
    return _judged(data, sealed, metadata, trust, at) if sealed and not _is_certificate(sealed) else None


def _is_certificate(sealed: Sequence[Sealed]) -> bool:
    """One certifying seal with one picture: :mod:`seal.verification_profile` judges those."""
    terms = [one.terms for one in sealed if one.terms is not None]
    return len(terms) == 1 and terms[0].profile is Profile.PADES and bool(terms[0].certification) and not terms[0].locked


def judge_joint(data: bytes, reader: PdfFileReader, fields: Sequence[SignatureField], trust: Trust, at: dt.datetime) -> Verdict | None:
    """The verdict on a PDF all of whose signatures are spelled as ours; None where one is not. Raises one of ``UNREADABLE``."""
    sealed = _sealed(data, [(field.name, field.offset(reader)) for field in fields])
    return _judged(data, sealed, attached_metadata(reader), trust, at) if sealed else None


def _judged(data: bytes, sealed: Sequence[Sealed], metadata: Mapping[str, Any] | None, trust: Trust, at: dt.datetime) -> Verdict:
    history, trouble = _history(data, sealed)
    return summed_up(Kind.PDF, list(_Judge(data, sealed, history, trouble, trust, at).verdicts()), metadata)


def _sealed(data: bytes, places: Sequence[tuple[str, int | None]]) -> list[Sealed]:
    """Every signature in the order of the revisions; empty where one is not spelled as ours. ``places``: field names and offsets."""
    found: list[Sealed] = []
    for name, offset in places:
        spelled = recognise(data, offset) if offset is not None else None
        stamp = recognise_timestamp(data, offset) if offset is not None and spelled is None else None
        if spelled is not None:
            found.append(Sealed(name, *spelled))
        elif stamp is not None:
            found.append(Sealed(name, stamp, None))
        else:
            return []
    return sorted(found, key=lambda one: one.place.start)


def _history(data: bytes, sealed: Sequence[Sealed]) -> tuple[History | None, str]:
    """What the revisions are, as far as they are ours; and what is wrong with the first that is not, or an empty text."""
    history: History | None = None
    try:
        _require_ascending(data, sealed)
        history = begin(data, sealed[0])
        ends = [one.end for one in sealed]
        for one, start, digest in zip(sealed[1:], ends, digests(data, ends), strict=False):
            advance(data, history, one, start, digest)
    except NotOurs as error:
        return history, str(error)
    except UNREADABLE as error:
        return history, f"a revision that cannot be read: {type(error).__name__}"
    return history, ""


def _require_ascending(data: bytes, sealed: Sequence[Sealed]) -> None:
    before = 0
    for one in sealed:
        if not before <= one.place.start < one.place.end < one.end <= len(data):
            raise NotOurs("the seals do not follow one another")
        before = one.end
    if len({one.name for one in sealed}) != len(sealed):
        raise NotOurs("two fields of one name")


@dataclass(frozen=True, slots=True)
class _Digests:
    sha256: bytes
    sm3: bytes


class _Judge:
    def __init__(self, data: bytes, sealed: Sequence[Sealed], history: History | None, trouble: str, trust: Trust, at: dt.datetime) -> None:
        self._data, self._sealed, self._history, self._trouble = data, sealed, history, trouble
        self._evidence = evidence_from(trust, SecurityStore((), ()), at)

    def verdicts(self) -> Iterator[SignatureVerdict]:
        if self._trouble:  # hashes and names tell nothing where it is not sure what they are of
            yield from (judged(one.name, (failed("FORMAT", self._trouble),)) for one in self._sealed)
            return
        for index, (one, digest) in enumerate(zip(self._sealed, _around(self._data, self._sealed), strict=True)):
            yield self._verdict(index, one, digest)

    def _verdict(self, index: int, one: Sealed, digest: _Digests) -> SignatureVerdict:
        checks = [passed("FORMAT", f"seal {index + 1} of {len(self._sealed)}"), self._coverage(index, one), self._certification(one)]
        if one.terms is None:
            judgement = self._stamps[index]
            checks += (_padded_token(one), judgement.check)
            return judged(one.name, checks, signing_time=judgement.proven, level="TIMESTAMP")
        if one.terms.profile is Profile.GM:
            return self._stamp_alone(index, one, digest, checks)
        try:
            stated = read_stated(first_value(one.place.octets))
        except UNREADABLE as error:
            return judged(one.name, (*checks, failed("CMS_FORM", f"not a SignedData of ours: {type(error).__name__}")))
        evidence = self._evidence_for(index, (*stated.certificates, *_certificates_in(stated.ses)))
        time, behind = one.terms.signing_time, self._proven_behind(index)
        own = judge_own(stated.token, stated.signature, self._evidence_for(index, certificates_in(stated.token or b"")), behind)
        proven = earliest([behind, own.proven if own else None])
        then = evidence.as_of(not_before_claimed(proven, time))
        checks += _integrity(one, stated, digest, self._known(index))
        checks += signer_checks(stated.signer, stated.certificates, then, time)
        checks += time_checks(stated.signer, evidence, time, own, proven)
        stamp = judge_stamp(stated.ses, then, Covered(digest.sm3, one.place.byte_range, time, digest.sha256, proven))
        checks += (*stamp.checks, *_declared(one, stamp.seal.code if stamp.seal else None))
        level = LTA if self._stamps and index < max(self._stamps) else LEVELS[Profile.PADES] if own is None else "PAdES-B-T"
        return judged(one.name, checks, signer=stated.signer.name, signing_time=time, level=level, seal=stamp.seal)

    @cached_property
    def _stamps(self) -> dict[int, TokenJudgement]:
        """The document time stamps by their place among the revisions, the outermost judged first."""
        found: dict[int, TokenJudgement] = {}
        for index in reversed(range(len(self._sealed))):
            one = self._sealed[index]
            if one.terms is None:
                evidence = self._evidence_for(index, certificates_in(token_in(one.place)))
                proven = earliest([judgement.proven for judgement in found.values()])
                found[index] = judge_document_stamp(self._data, one.place, one.end, evidence, proven)
        return found

    def _proven_behind(self, index: int) -> dt.datetime | None:
        return earliest([judgement.proven for at, judgement in self._stamps.items() if at > index])

    def _stamp_alone(self, index: int, one: Sealed, digest: _Digests, checks: list[Check]) -> SignatureVerdict:
        ses = token_in(one.place)
        checks.append(_padded(one))
        time = one.terms.signing_time if one.terms else None
        proven = self._proven_behind(index)
        evidence = self._evidence_for(index, _certificates_in(ses)).as_of(proven)
        stamp = judge_stamp(ses, evidence, Covered(digest.sm3, one.place.byte_range, time, digest.sha256, proven))
        checks += (*stamp.checks, *_declared(one, stamp.seal.code if stamp.seal else None))
        return judged(one.name, checks, signer=stamp.signer, signing_time=time, level=LEVELS[Profile.GM], seal=stamp.seal)

    def _coverage(self, index: int, one: Sealed) -> Check:
        if one.place.covered[:2] != (one.place.start, one.place.end):
            return failed("COVERAGE", "the part left out is not this signature's Contents")
        if index + 1 < len(self._sealed):
            return passed("COVERAGE", "its revision; a later signature covers the entire file")
        if one.end != len(self._data):
            return failed("COVERAGE", f"{len(self._data) - one.end} octets at the end of the file are not covered")
        return passed("COVERAGE", "the entire file")

    def _certification(self, one: Sealed) -> Check:
        certified = self._history.certified if self._history else Certification.NONE
        if certified is Certification.NONE:
            return notice("DOCMDP", "not certified; every later revision is a seal in a field prepared before, or a time stamp")
        if certified is Certification.P1 and any(other.terms and other is not self._sealed[0] for other in self._sealed):
            return failed("DOCMDP", "a seal after one that permits no change")
        detail = "no change permitted (P 1)" if certified is Certification.P1 else "only the declared seals may follow (P 2)"
        return passed("DOCMDP", detail)

    def _known(self, index: int) -> frozenset[bytes]:
        """The certificates of the DSS as this seal covers it."""
        return frozenset(der for ders in (self._history.certificates if self._history else [])[: index + 1] for der in ders)

    def _evidence_for(self, index: int, own: Sequence[bytes]) -> Evidence:
        """What concerns one seal: the chains above its certificates and their lists, the latest first."""
        history = self._history
        if history is None:
            return self._evidence
        pool = [party for ders in history.certificates for party in map(read_certificate, ders) if party]
        chains = _neighbourhood([party for party in map(read_certificate, own) if party], pool)
        names = {party.issuer for party in chains}
        lists = [_lists(ders, names) for ders in history.crls]
        everything = tuple(crl for one in reversed(lists) for crl in one)
        covered = tuple(crl for one in lists[: index + 1] for crl in one)
        ours = self._evidence
        return replace(ours, candidates=(*chains, *ours.candidates), crls=(*ours.crls, *everything), covered=covered)


def _neighbourhood(own: Sequence[Party], pool: Sequence[Party]) -> tuple[Party, ...]:
    """The seal's own certificates, and from the pool whoever may have issued them."""
    found = dict.fromkeys(own)
    queue = list(own)
    while queue and len(found) < _MAX_NEIGHBOURS:
        issuer = queue.pop(0).issuer
        above = [party for party in pool if party.subject == issuer and party not in found]
        found.update(dict.fromkeys(above))
        queue += above
    return tuple(found)


def _lists(ders: Sequence[bytes], names: set[bytes]) -> tuple[RevocationList, ...]:
    return tuple(crl for crl in map(read_crl, ders) if crl is not None and crl.issuer in names)


def _certificates_in(ses: bytes) -> tuple[bytes, ...]:
    """The stamp's own certificate and its maker's; none where it is not an SES_Signature: the judgement of the stamp says so."""
    try:
        stamp = parse_ses_signature(ses)
    except (FujieError, *UNREADABLE):
        return ()
    return stamp.certificate, stamp.seal.maker_certificate


def _integrity(one: Sealed, stated: Stated, digest: _Digests, known: frozenset[bytes]) -> Iterator[Check]:
    if not canonical(stated, one.place.octets):
        yield failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    elif not set(stated.certificates) <= known:
        yield failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    else:
        yield passed("CMS_FORM", "canonical")
    holds = digest.sha256 == stated.digest
    yield passed("DATA_HASH", "SHA-256") if holds else failed("DATA_HASH", "SHA-256: the file was changed after signing")
    if signature_holds(stated.signer.public, _ECDSA_WITH_SHA256, stated.attributes, stated.signature):
        yield passed("SIGNATURE", "ECDSA with SHA-256")
    else:
        yield failed("SIGNATURE", "the signature does not hold")


def _declared(one: Sealed, code: str | None) -> Iterator[Check]:
    """A field that names a seal takes that seal only."""
    name = FieldName.read(one.name)
    if name is not None and name.code is not None and name.code != code:
        yield failed("SIGNER_NOT_AUTHORISED", "the place was declared for another seal", "FORMAT_FAILURE")


def _padded(one: Sealed) -> Check:
    """One DER value and zeros; digits of the lower case are all that :mod:`seal.joint_dictionary` recognises."""
    octets = one.place.octets
    message = first_value(octets)
    if octets[len(message) :].strip(b"\0") or len(message) > len(octets):
        return failed("CMS_FORM", "Contents is not one DER value followed by zeros")
    return passed("CMS_FORM", "one DER value")


def _padded_token(one: Sealed) -> Check:
    if not plain_token(token_in(one.place)):
        return failed("CMS_FORM", "Contents is not one canonical token followed by zeros")
    return _padded(one)


def _around(data: bytes, sealed: Sequence[Sealed]) -> Iterator[_Digests]:
    """For each seal the digests of the octets around its hole, every octet hashed once for all of them."""
    view = memoryview(data)
    sha256, sm3, at = hashlib.sha256(), hashes.Hash(hashes.SM3()), 0
    for one in sealed:
        sha256.update(view[at : one.place.start])
        sm3.update(view[at : one.place.start])
        own, own_sm3 = sha256.copy(), sm3.copy()
        rest = view[one.place.end : one.end]
        own.update(rest)
        own_sm3.update(rest)
        yield _Digests(own.digest(), own_sm3.finalize())
        at = one.place.start
