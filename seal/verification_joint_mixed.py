"""Our seal on a document that others signed first: pyHanko judges the signatures and what came between them, we judge our stamp.

Only where none of our seals certifies: a document that one of ours certified is judged by :mod:`seal.verification_joint` alone, and a
signature of a stranger on it fails.
"""

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from pyhanko.pdf_utils.reader import PdfFileReader

from seal.extraction import first_value
from seal.joint_dictionary import Terms, recognise
from seal.placing import Certification, Profile
from seal.signature_dictionary import Written
from seal.verdict import Check, SignatureVerdict, failed, judged, passed
from seal.verification_evidence import Covered, Evidence
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, open_pdf, security_store
from seal.verification_signed_data import Stated, canonical, read_stated
from seal.verification_stamp import judge_stamp

Ours = tuple[Written, Terms]


def is_mixed(data: bytes, reader: PdfFileReader, fields: Sequence[SignatureField]) -> bool:
    """Whether somebody else signed first, and no seal of ours certifies."""
    places = [(field.offset(reader), _ours(data, reader, field)) for field in fields]
    known = [(offset, ours) for offset, ours in places if offset is not None]
    if len(known) != len(places) or not known:
        return False
    own = [ours for _, ours in known if ours is not None]
    first = min(known, key=lambda one: one[0])
    return first[1] is None and bool(own) and all(terms.certification is Certification.NONE for _, terms in own)


def with_stamps(
    data: bytes, reader: PdfFileReader, fields: Sequence[SignatureField], verdicts: Sequence[SignatureVerdict], evidence: Evidence
) -> list[SignatureVerdict]:
    """The verdicts, those of our seals with the judgement of the stamp."""
    own = {field.name: ours for field in fields if (ours := _ours(data, reader, field)) is not None}
    return [_with_stamp(data, one, *own[one.field], evidence) if one.field in own else one for one in verdicts]


def _ours(data: bytes, reader: PdfFileReader, field: SignatureField) -> Ours | None:
    offset = field.offset(reader)
    found = recognise(data, offset) if offset is not None else None
    return found if found is not None and found[1].profile is Profile.PADES else None


def _with_stamp(data: bytes, verdict: SignatureVerdict, written: Written, terms: Terms, evidence: Evidence) -> SignatureVerdict:
    start, end, rest = written.covered
    octets = data[:start] + data[end : end + rest]
    digest = hashes.Hash(hashes.SM3())
    digest.update(octets)
    try:
        stated = read_stated(first_value(written.octets))
        store = security_store(open_pdf(data[: end + rest]))
    except UNREADABLE as error:
        return judged(verdict.field, (*verdict.checks, failed("CMS_FORM", f"not a SignedData of ours: {type(error).__name__}")))
    covered = Covered(digest.finalize(), written.byte_range, terms.signing_time, hashlib.sha256(octets).digest())
    stamp = judge_stamp(stated.ses, evidence, covered)
    checks = [
        *(one for one in verdict.checks if one.name != "CMS_FORM"),
        _form(written, stated, store),
        *stamp.checks,
    ]
    return judged(
        verdict.field,
        checks,
        signer=verdict.signer,
        signing_time=terms.signing_time,
        level=verdict.level,
        seal=stamp.seal,
    )


def _form(written: Written, stated: Stated, store: SecurityStore) -> Check:
    """As for every document of ours. ``store``: what the signature covers, so that nobody else signs around our stamp."""
    if written.covered[:2] != (written.start, written.end) or not canonical(stated, written.octets):
        return failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    if not set(stated.certificates) <= set(store.certificates):
        return failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    return passed("CMS_FORM", "canonical")
