"""Judging a PDF of our own profile: one certifying signature over the whole file, carrying a GM/T 0031 stamp.

The profile leaves no freedom, so neither does the judgement. In the order of the checks:

1. ``FORMAT``     one signature field, whose dictionary is spelled as ours are (:mod:`seal.signature_dictionary`).
2. ``COVERAGE``   ``[0 a b c]`` leaves out exactly this signature's ``/Contents`` and ends with the file.
3. ``DOCMDP``     the catalogue names this signature as the certification; its spelling says P 1, no change permitted.
4. ``CMS_FORM``   the SignedData, written again from the values it states and the digest we computed, gives the same octets,
   in lower-case hexadecimal, followed by zeros only; its certificates are those of the covered DSS.
5. ``DATA_HASH``, ``SIGNATURE``   SHA-256 of the covered octets; ECDSA over the signed attributes.
6. ``CHAIN``, ``REVOCATION``      at the instant of judging, with lists of the DSS or given.
7. ``TIMESTAMP``  a B-B signature has none: the time is the signer's claim.
8. The stamp: :mod:`seal.verification_stamp`.
"""
# mypy: allow-untyped-calls

import datetime as dt
import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes

from keys.base import der
from seal.asn1_structures import SES_ATTRIBUTE
from seal.extraction import first_value
from seal.signature_dictionary import NO_CHANGES, Written
from seal.trust import Trust
from seal.verdict import Check, Kind, Verdict, failed, judged, notice, passed, summed_up
from seal.verification_path import signature_holds
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, entry, evidence_from
from seal.verification_reading import FieldPlace, ReadPdf
from seal.verification_signed_data import Stated, canonical, read_stated
from seal.verification_signer import signer_checks
from seal.verification_stamp import Covered, judge_stamp

LEVEL = "PAdES-B-B"
_SES_OID = der.object_identifier(SES_ATTRIBUTE)
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"


def claims_profile(field: SignatureField) -> bool:
    """Whether a signature that is not spelled as ours are holds a GM/T 0031 stamp as an attribute all the same."""
    contents = entry(field.dictionary, "/Contents")
    return _SES_OID in getattr(contents, "original_bytes", b"")


def judge_profile(data: bytes, pdf: ReadPdf, field: FieldPlace, written: Written, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a PDF whose only signature is ``written`` in our spelling."""
    try:
        stated = read_stated(first_value(bytes.fromhex(written.contents.decode("ascii"))))
    except UNREADABLE as error:
        return out_of_form(field.name, _reason(error))
    evidence = evidence_from(trust, pdf.store, at, stated.certificates)
    checks: list[Check] = [passed("FORMAT", "PDF with one certifying signature")]
    checks.append(_coverage(data, written))
    checks.append(_certification(pdf, field, written))
    checks += _integrity(data, written, stated, pdf.store)
    checks += signer_checks(stated.signer, stated.certificates, evidence, written.signing_time)
    checks.append(notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim"))
    covered = Covered(_sm3(data, written), written.byte_range, written.signing_time)
    stamp = judge_stamp(stated.ses, evidence, covered)
    signature = judged(
        field.name,
        (*checks, *stamp.checks),
        signer=stated.signer.name,
        signing_time=written.signing_time,
        level=LEVEL,
        seal=stamp.seal,
    )
    return summed_up(Kind.PDF, (signature,), pdf.metadata)


def out_of_form(field: str, reason: str) -> Verdict:
    """The verdict on a PDF that claims our profile and has not its form."""
    return summed_up(Kind.PDF, (judged(field, (failed("FORMAT", f"not of the form of our certificates: {reason}"),)),))


def _reason(error: BaseException) -> str:
    return str(error)[:120] or type(error).__name__


def _certification(pdf: ReadPdf, field: FieldPlace, written: Written) -> Check:
    if pdf.certification is None or pdf.certification != field.value or pdf.encrypted or written.permission is None:
        return failed("DOCMDP", "the catalogue does not say certified")
    if written.permission == NO_CHANGES:
        return passed("DOCMDP", "no change permitted (P 1)")
    return passed("DOCMDP", "further seals permitted by the signer (P 2); nothing was changed")


def _coverage(data: bytes, written: Written) -> Check:
    start, end, rest = written.covered
    if (start, end) != (written.start, written.end):
        return failed("COVERAGE", "the part left out is not this signature's Contents")
    if end + rest != len(data):
        return failed("COVERAGE", f"{len(data) - end - rest} octets at the end of the file are not covered")
    return passed("COVERAGE", "the entire file")


def _integrity(data: bytes, written: Written, stated: Stated, store: SecurityStore) -> Iterator[Check]:
    digest = hashlib.sha256(memoryview(data)[: written.start])
    digest.update(memoryview(data)[written.end :])
    yield _form(written, stated, store)
    holds = digest.digest() == stated.digest
    yield passed("DATA_HASH", "SHA-256") if holds else failed("DATA_HASH", "SHA-256: the file was changed after signing")
    if signature_holds(stated.signer.public, _ECDSA_WITH_SHA256, stated.attributes, stated.signature):
        yield passed("SIGNATURE", "ECDSA with SHA-256")
    else:
        yield failed("SIGNATURE", "the signature does not hold")


def _form(written: Written, stated: Stated, store: SecurityStore) -> Check:
    """LIBRARIES.md, rule 7: what we would have written is what stands there."""
    if not canonical(stated, written.contents):
        return failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    if not set(stated.certificates) <= set(store.certificates):
        return failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    return passed("CMS_FORM", "canonical")


def _sm3(data: bytes, written: Written) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(memoryview(data)[: written.start])
    digest.update(memoryview(data)[written.end :])
    return digest.finalize()
