"""Judging a PDF of our own profile: one certifying signature, carrying a GM/T 0031 stamp, and the document time stamps behind it.

The profile leaves no freedom, so neither does the judgement. In the order of the checks:

1. ``FORMAT``     one signature field, whose dictionary is spelled as ours are (:mod:`seal.signature_dictionary`).
2. ``COVERAGE``   ``[0 a b c]`` leaves out exactly this signature's ``/Contents`` and ends with the file.
3. ``DOCMDP``     the catalogue names this signature as the certification; its spelling says P 1, no change permitted.
4. ``CMS_FORM``   the SignedData, written again from the values it states and the digest we computed, gives the same octets,
   in lower-case hexadecimal, followed by zeros only; its certificates are those of the covered DSS.
5. ``DATA_HASH``, ``SIGNATURE``   SHA-256 of the covered octets; ECDSA over the signed attributes.
6. ``CHAIN``, ``REVOCATION``      at the instant of judging, with lists of the DSS or given.
7. ``TIMESTAMP``  of the signature (B-T) and of the document (B-LTA). What they prove is when the rest is judged
   (:mod:`seal.verification_existence`); ``STATUS_NOW`` says what is different by now. Without one the time is the signer's claim.
8. The stamp: :mod:`seal.verification_stamp`.

Behind the sealed revision may stand what raising its level appends, and nothing else (:mod:`seal.verification_upgrades`).
"""
# mypy: allow-untyped-calls

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes

from keys.base import der
from keys.time.reading import read_token
from seal.asn1_structures import SES_ATTRIBUTE
from seal.extraction import first_value
from seal.signature_dictionary import NO_CHANGES, Place, Written
from seal.trust import Trust
from seal.verdict import Check, Kind, SignatureVerdict, Verdict, failed, judged, notice, passed, summed_up
from seal.verification_evidence import Evidence
from seal.verification_existence import Stamping, judge_stampings, today
from seal.verification_path import signature_holds
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, entry, evidence_from, read_lists
from seal.verification_reading import FieldPlace, ReadPdf, plain_store
from seal.verification_signed_data import Stated, canonical, plain_token, read_stated
from seal.verification_signer import signer_checks
from seal.verification_stamp import Covered, judge_stamp
from seal.verification_stamp_time import SKEW, TokenJudgement
from seal.verification_upgrades import DocumentStamp, NotAnUpgrade, Upgraded, read_upgrades

LEVEL = "PAdES-B-B"
_SES_OID = der.object_identifier(SES_ATTRIBUTE)
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"


def claims_profile(field: SignatureField) -> bool:
    """Whether a signature that is not spelled as ours are holds a GM/T 0031 stamp as an attribute all the same."""
    contents = entry(field.dictionary, "/Contents")
    return _SES_OID in getattr(contents, "original_bytes", b"")


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything about one file. ``store``: the DSS that the signature covers; ``evidence``: of the instant of judging."""

    data: bytes
    pdf: ReadPdf
    field: FieldPlace
    written: Written
    stated: Stated
    store: SecurityStore
    stamps: tuple[DocumentStamp, ...]
    evidence: Evidence


def judge_profile(data: bytes, pdf: ReadPdf, field: FieldPlace, written: Written, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a PDF whose only signature, document time stamps apart, is ``written`` in our spelling."""
    try:
        stated = read_stated(first_value(written.octets))
        upgraded = _upgraded(data, pdf, written)
        store = plain_store(upgraded.sealed, upgraded.sealed.root) if upgraded else pdf.store
    except UNREADABLE as error:
        return out_of_form(field.name, _reason(error))
    evidence = replace(evidence_from(trust, pdf.store, at, stated.certificates), covered=read_lists(store.crls))
    case = _Case(data, pdf, field, written, stated, store, upgraded.stamps if upgraded else (), evidence)
    return summed_up(Kind.PDF, _signatures(case), pdf.metadata)


def _upgraded(data: bytes, pdf: ReadPdf, written: Written) -> Upgraded | None:
    """What stands behind the sealed revision; None where nothing claims to. Raises ``NotAnUpgrade``."""
    if len(pdf.fields) == 1 or pdf.plain is None:
        return None
    upgraded = read_upgrades(pdf.plain, written.covered[1] + written.covered[2])
    if len(upgraded.stamps) != len(pdf.fields) - 1:
        raise NotAnUpgrade("signature fields that no upgrade wrote")
    return upgraded


def _signatures(case: _Case) -> list[SignatureVerdict]:
    """The seal, judged when it is proven to have existed, then the document time stamps, the oldest first."""
    stated, around = case.stated, list(reversed(case.stamps))
    stampings = [Stamping(_token(one.place), _covered(case.data, one.place)) for one in around]
    if stated.token is not None:
        stampings.append(Stamping(stated.token, stated.signature))
    judgements, proven = judge_stampings(stampings, case.evidence)
    own = judgements.pop() if stated.token is not None else None
    stamps = [_document_stamp(case, one, judgement) for one, judgement in zip(around, judgements, strict=True)]
    return [_seal(case, own, proven), *reversed(stamps)]


def _seal(case: _Case, own: TokenJudgement | None, proven: dt.datetime | None) -> SignatureVerdict:
    stated, written = case.stated, case.written
    then = case.evidence.as_of(_not_before_claimed(proven, written.signing_time))
    checks: list[Check] = [passed("FORMAT", "PDF with one certifying signature"), _coverage(case), _certification(case)]
    checks += _integrity(case)
    checks += signer_checks(stated.signer, stated.certificates, then, written.signing_time)
    checks += _times(case, own, proven)
    covered = Covered(_sm3(case.data, written), written.byte_range, written.signing_time, proven=proven)
    stamp = judge_stamp(stated.ses, then, covered)
    return judged(
        case.field.name,
        (*checks, *stamp.checks),
        signer=stated.signer.name,
        signing_time=written.signing_time,
        level=_level(case),
        seal=stamp.seal,
    )


def _not_before_claimed(proven: dt.datetime | None, claimed: dt.datetime) -> dt.datetime | None:
    """Two clocks differ by seconds: what was sealed is not judged at an instant before it says it was sealed."""
    return max(proven, claimed) if proven is not None and claimed <= proven + SKEW else proven


def _level(case: _Case) -> str:
    if case.stamps:
        return "PAdES-B-LTA"
    if case.stated.token is None:
        return LEVEL
    carried = read_token(case.stated.token).certificates
    return "PAdES-B-LT" if case.store.crls and set(carried) <= set(case.store.certificates) else "PAdES-B-T"


def _times(case: _Case, own: TokenJudgement | None, proven: dt.datetime | None) -> Iterator[Check]:
    claimed = case.written.signing_time
    if own is not None and not (own.untrusted and proven is not None):
        yield own.check
    elif proven is None and not case.stamps:
        yield notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim")
    elif proven is not None:
        yield passed("TIMESTAMP", f"{proven:%Y-%m-%dT%H:%M:%SZ}, by a document time stamp")
    if proven is None:
        return
    if claimed > proven + SKEW:
        yield failed("TIMESTAMP", "the time stamp is older than the time the seal states", "TIMESTAMP_ORDER_FAILURE")
    yield from today(case.stated.signer, case.evidence, claimed, proven)


def _document_stamp(case: _Case, stamp: DocumentStamp, judgement: TokenJudgement) -> SignatureVerdict:
    token = _token(stamp.place)
    canonical_form = not stamp.place.octets[len(token) :].strip(b"\0") and plain_token(token)
    entire = stamp.end == len(case.data)
    checks = (
        passed("FORMAT", "document time stamp"),
        passed("COVERAGE", "the entire file" if entire else "its revision; a later time stamp covers the entire file"),
        passed("CMS_FORM", "canonical") if canonical_form else failed("CMS_FORM", "Contents is not one canonical token followed by zeros"),
        judgement.check,
    )
    return judged(stamp.name, checks, signing_time=judgement.proven, level="TIMESTAMP")


def _token(place: Place) -> bytes:
    return first_value(place.octets)


def _covered(data: bytes, place: Place) -> bytes:
    return data[: place.start] + data[place.end : place.covered[1] + place.covered[2]]


def out_of_form(field: str, reason: str) -> Verdict:
    """The verdict on a PDF that claims our profile and has not its form."""
    return summed_up(Kind.PDF, (judged(field, (failed("FORMAT", f"not of the form of our certificates: {reason}"),)),))


def _reason(error: BaseException) -> str:
    return str(error)[:120] or type(error).__name__


def _certification(case: _Case) -> Check:
    pdf, written = case.pdf, case.written
    if pdf.certification is None or pdf.certification != case.field.value or pdf.encrypted or written.permission is None:
        return failed("DOCMDP", "the catalogue does not say certified")
    if written.permission == NO_CHANGES:
        return passed("DOCMDP", "no change permitted (P 1)")
    return passed("DOCMDP", "further seals permitted by the signer (P 2); nothing was changed")


def _coverage(case: _Case) -> Check:
    start, end, rest = case.written.covered
    if (start, end) != (case.written.start, case.written.end):
        return failed("COVERAGE", "the part left out is not this signature's Contents")
    if end + rest == len(case.data):
        return passed("COVERAGE", "the entire file")
    if case.stamps:
        return passed("COVERAGE", "its revision; what raises its level was appended, and a time stamp covers the entire file")
    return failed("COVERAGE", f"{len(case.data) - end - rest} octets at the end of the file are not covered")


def _integrity(case: _Case) -> Iterator[Check]:
    stated, digest = case.stated, hashlib.sha256()
    for part in _parts(case.data, case.written):
        digest.update(part)
    yield _form(case.written, stated, case.store)
    holds = digest.digest() == stated.digest
    yield passed("DATA_HASH", "SHA-256") if holds else failed("DATA_HASH", "SHA-256: the file was changed after signing")
    if signature_holds(stated.signer.public, _ECDSA_WITH_SHA256, stated.attributes, stated.signature):
        yield passed("SIGNATURE", "ECDSA with SHA-256")
    else:
        yield failed("SIGNATURE", "the signature does not hold")


def _form(written: Written, stated: Stated, store: SecurityStore) -> Check:
    """LIBRARIES.md, rule 7: what we would have written is what stands there."""
    if not canonical(stated, written.octets):
        return failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    if not set(stated.certificates) <= set(store.certificates):
        return failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    return passed("CMS_FORM", "canonical")


def _parts(data: bytes, written: Written) -> tuple[memoryview, memoryview]:
    """What the signature covers: all of its revision but its own ``/Contents``."""
    view = memoryview(data)
    return view[: written.start], view[written.end : max(written.end, written.covered[1] + written.covered[2])]


def _sm3(data: bytes, written: Written) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    for part in _parts(data, written):
        digest.update(part)
    return digest.finalize()
