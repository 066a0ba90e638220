"""Judging the domestic signatures of a PDF: ``/SubFilter /GM.sm2seal`` with an SES_Signature, and CMS with SM2 and SM3.

pyHanko knows neither, but what it knows of PDF holds for every signature: which octets one covers, which revision it closes, and whether
what came later is permitted. So those questions are its own (:class:`DomesticSignature`), under the same rules as for PAdES:

1. ``FORMAT``     the field holds a signature dictionary with a ByteRange and Contents
2. ``COVERAGE``   the last signature covers the entire file but for its own ``/Contents``, an earlier one its whole revision
3. ``DOCMDP``     nothing came later but what the signer, and signers before, permit
4. ``CMS_FORM``   ``/Contents`` is one DER value in one hexadecimal spelling, followed by zeros only (a notice: a SignedData in BER)
5. the stamp (:mod:`seal.verification_stamp`; dataHash is SM3 of the covered octets, propertyInfo the ByteRange) or the SignedData
   (:mod:`seal.verification_cms`)
"""
# mypy: allow-untyped-calls

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives import hashes
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from keys.base import ber, der, der_values
from keys.custody import sm2
from seal.extraction import first_value
from seal.verdict import Check, SignatureVerdict, failed, judged, notice, passed
from seal.verification_cms import IN_BER, SIGNED_DATA, SM3, Content, judge_cms, read_signed_data
from seal.verification_evidence import Covered, Evidence
from seal.verification_pdf import UNREADABLE, SignatureField, entry
from seal.verification_stamp import judge_stamp

SUB_FILTER = "/GM.sm2seal"
_INDEFINITE = b"\x80"
_UPPER, _LOWER = frozenset(b"0123456789ABCDEF"), frozenset(b"0123456789abcdef")


class Domestic(StrEnum):
    """What a signature of a domestic system holds."""

    STAMP = "SES"
    CMS = "CMS"


class DomesticSignature(EmbeddedPdfSignature):
    """What pyHanko asks of a signature but its CMS, which is not one that it reads. May raise one of :data:`UNREADABLE`."""

    def __init__(self, reader: PdfFileReader, field: SignatureField) -> None:
        self.reader = reader
        self.sig_field = field.form
        self.sig_object = field.dictionary
        self.byte_range = self.sig_object.raw_get("/ByteRange")
        self.pkcs7_content = entry(self.sig_object, "/Contents").original_bytes
        self.signed_revision = revision_of(reader, field)
        self.external_md_algorithm = "sm3"
        self.external_digests = {}
        self.coverage = self.diff_result = None
        self._docmdp = self._fieldmdp = None
        self._docmdp_queried = self._fieldmdp_queried = False
        self._integrity_checked = False
        self.fq_name = field.name


def revision_of(reader: PdfFileReader, field: SignatureField) -> int:
    """The revision that a signature closes. Raises ValueError where the signature is no object of its own."""
    if field.reference is None:
        raise ValueError("a signature that is no object of its own")
    return int(reader.xrefs.get_last_change(field.reference))


def domestic(field: SignatureField) -> Domestic | None:
    """Whether a field is for this module, and how; None: it is for pyHanko. Never raises."""
    stated = False
    try:
        stated = entry(field.dictionary, "/SubFilter") == SUB_FILTER
        contents = _message(entry(field.dictionary, "/Contents").original_bytes)[0]
        if _begins_with_type(contents) and (stated or _is_sm(contents)):
            return Domestic.CMS
    except UNREADABLE:
        pass  # whatever it holds is not what it should be
    return Domestic.STAMP if stated else None


def _message(octets: bytes) -> tuple[bytes, int]:
    """The value at the start of ``/Contents``, a SignedData in BER brought into DER, and how many octets it takes there."""
    if octets[1:2] == _INDEFINITE:
        return ber.first_message(octets)
    value = first_value(octets)
    return value, len(value)


def _begins_with_type(contents: bytes) -> bool:
    parts = der.members(der.outermost(contents))
    return bool(parts) and parts[0].tag == der.OBJECT_IDENTIFIER


def _is_sm(contents: bytes) -> bool:
    kind = der_values.dotted(der.members(der.outermost(contents))[0])
    return kind in SIGNED_DATA and (kind.startswith("1.2.156.") or read_signed_data(contents).digest == SM3)


def judge_domestic(
    data: bytes, reader: PdfFileReader, field: SignatureField, kind: Domestic, evidence: Evidence, last: bool
) -> SignatureVerdict:
    """The verdict on one field; ``last``: no signature of the file is younger. Never raises for what is in the file."""
    try:
        signature = DomesticSignature(reader, field)
        signature.compute_integrity_info(DEFAULT_DIFF_POLICY)
        checks = [passed("FORMAT", "PDF with a domestic signature"), *_findings(data, signature, last)]
        contents, _ = _message(signature.pkcs7_content)
    except (*UNREADABLE, SignatureValidationError) as error:
        return judged(field.name, (failed("FORMAT", f"a signature that cannot be read: {str(error)[:120] or type(error).__name__}"),))
    evidence = replace(evidence, covered=())  # what the file holds now need not have been there when it was signed
    covered = _ranges(data, signature)
    if kind is Domestic.STAMP:
        stated = Covered(_sm3(covered), _property(signature), None, hashlib.sha256(b"".join(covered)).digest())
        stamp = judge_stamp(contents, evidence, stated)
        return judged(field.name, (*checks, *stamp.checks), signer=stamp.signer, signing_time=stamp.time, level="SES", seal=stamp.seal)
    answer = judge_cms(contents, _content(covered), evidence)
    return judged(field.name, (*checks, *answer.checks), signer=answer.signer, signing_time=answer.time, level="CMS")


def _findings(data: bytes, signature: DomesticSignature, last: bool) -> Iterator[Check]:
    coverage: Any = signature.coverage
    whole = coverage is SignatureCoverageLevel.ENTIRE_FILE
    if whole or (coverage is SignatureCoverageLevel.ENTIRE_REVISION and not last):
        yield passed("COVERAGE", "the entire file" if whole else "its revision; a later signature covers the entire file")
    elif coverage is SignatureCoverageLevel.ENTIRE_REVISION:
        yield failed("COVERAGE", "something was appended after the last signature")
    else:
        yield failed("COVERAGE", "parts of the signed revision are not covered")
    if not signature.summarise_integrity_info()["docmdp_ok"]:
        yield failed("DOCMDP", "changed after signing in a way that is not permitted")
    elif signature.docmdp_level is None:
        yield notice("DOCMDP", "not certified: later signatures and form filling are not ruled out by the signer")
    else:
        yield passed("DOCMDP", f"changes permitted by the signer: P {signature.docmdp_level.value}")
    yield _spelling(data, signature)


def _spelling(data: bytes, signature: DomesticSignature) -> Check:
    """LIBRARIES.md, rule 7, as far as it holds for anybody's signature."""
    _, start, end, _ = (int(number) for number in signature.byte_range)
    text = data[start + 1 : end - 1]
    one_spelling = set(text) <= _UPPER or set(text) <= _LOWER
    framed = data[start : start + 1] == b"<" and data[end - 1 : end] == b">"
    if not (one_spelling and framed and bytes.fromhex(text.decode("ascii")) == signature.pkcs7_content):
        return failed("CMS_FORM", "Contents is not the gap of the ByteRange, or not in one hexadecimal spelling")
    octets = signature.pkcs7_content
    try:
        message, taken = _message(octets)
        der.read(message)
    except (der.NotDer, IndexError) as error:
        return failed("CMS_FORM", f"Contents is not one DER value: {error}"[:160])
    if any(octets[taken:]):
        return failed("CMS_FORM", "Contents is followed by other octets than zeros")
    return passed("CMS_FORM", "one DER value") if octets[:taken] == message else notice("CMS_FORM", IN_BER)


def _ranges(data: bytes, signature: DomesticSignature) -> tuple[memoryview, memoryview]:
    first, length, second, rest = (int(number) for number in signature.byte_range)
    view = memoryview(data)
    return view[first : first + length], view[second : second + rest]


def _property(signature: DomesticSignature) -> str:
    return f"[{' '.join(str(int(number)) for number in signature.byte_range)}]"


def _sm3(parts: tuple[memoryview, memoryview]) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    for part in parts:
        digest.update(part)
    return digest.finalize()


def _content(parts: tuple[memoryview, memoryview]) -> Content:
    whole = b"".join(parts)
    return Content(lambda oid: _sm3(parts) if oid == sm2.SM3 else hashlib.sha256(whole).digest(), lambda: whole)
