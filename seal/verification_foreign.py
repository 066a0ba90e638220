"""Judging PDFs signed in another profile: PAdES and adbe.pkcs7 signatures and document time stamps, through pyHanko. Domestic ones,
which pyHanko does not know, go to :mod:`seal.verification_gm`.

pyHanko reads the file, compares revisions and finds the signer; its answer is taken under the rules of LIBRARIES.md ("Verifying
PDFs"): the last signature or time stamp covers the entire file, but for validation data that its producer appended
(:mod:`seal.verification_trailing`), ``/Contents`` is one value in one spelling, in DER or brought into it. Chains, revocation and
the signatures themselves are judged by ours (:mod:`seal.verification_chain`). No address is ever fetched.
"""
# mypy: allow-untyped-calls

import asyncio
import contextlib
import datetime as dt
from collections.abc import Container, Iterator
from dataclasses import dataclass

from asn1crypto import cms
from pyhanko.pdf_utils.generic import DictionaryObject
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import DocumentTimestampStatus, PdfSignatureStatus, SignatureCoverageLevel

from keys.base import ber, der
from keys.pki.validation import Fault, Reason, Rules
from seal.trust import Trust
from seal.verdict import (
    Check,
    Indication,
    Kind,
    SignatureVerdict,
    Verdict,
    failed,
    judged,
    notice,
    open_question,
    passed,
    summed_up,
    unsigned,
)
from seal.verification_chain import SIGNER, TIME_STAMPER, Chain, Evidence
from seal.verification_cms import IN_BER
from seal.verification_gm import domestic, judge_domestic, revision_of
from seal.verification_joint_mixed import with_stamps
from seal.verification_path import MAX_CANDIDATES
from seal.verification_pdf import (
    UNREADABLE,
    SignatureField,
    attached_metadata,
    entry,
    evidence_from,
    open_pdf,
    security_store,
    signature_fields,
)
from seal.verification_stamp_time import SKEW, time_checks
from seal.verification_trailing import require_data_only
from seal.verification_trailing_parts import NotOnlyData

Status = PdfSignatureStatus | DocumentTimestampStatus
_SUB_FILTERS = frozenset(one.value for one in SigSeedSubFilter)
_INDETERMINATE = {one.name for one in AdESIndeterminate}
_UPPER, _LOWER = frozenset(b"0123456789ABCDEF"), frozenset(b"0123456789abcdef")


class _InDer(EmbeddedPdfSignature):
    """What pyHanko judges is the message in DER. ``taken``: how many octets it takes where it stands; 0: it cannot be read strictly."""

    def __init__(self, reader: PdfFileReader, sig_field: DictionaryObject, fq_name: str) -> None:
        super().__init__(reader, sig_field, fq_name)
        self.message, self.taken = b"", 0
        with contextlib.suppress(der.NotDer):
            self.message, self.taken = ber.first_message(self.pkcs7_content)
            self.signed_data = cms.ContentInfo.load(self.message)["content"]
            self.signer_info = extract_signer_info(self.signed_data)


def judge_foreign(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on every signature of the file. May raise; :func:`seal.verification.verify` does not."""
    reader = open_pdf(data)
    fields = signature_fields(reader)
    if len({field.name for field in fields}) != len(fields):
        return summed_up(Kind.PDF, (judged(fields[0].name, (failed("FORMAT", "two signature fields of one name"),)),))
    kinds = {field.name: kind for field in fields if (kind := domestic(field))}
    signatures = list(_known_to_pyhanko(reader, kinds))
    # pyHanko passes over kinds it does not know: nobody may take them for absent.
    known = {signature.field_name for signature in signatures}
    newest = max((revision_of(reader, field) for field in fields), default=0)
    final = max((revision_of(reader, field) for field in fields if field.name in kinds), default=0)
    evidence = Evidence.of(reader, trust, at)
    verdicts = _judge_all(data, signatures, newest, final, evidence)
    own = evidence_from(trust, security_store(reader), at)
    for field in fields:
        if kind := kinds.get(field.name):
            verdicts.append(judge_domestic(data, reader, field, kind, own, revision_of(reader, field) >= newest))
        elif field.name not in known:
            verdicts.append(_unjudged(field))
    verdicts = with_stamps(data, reader, fields, verdicts, own)
    return summed_up(Kind.PDF, verdicts, attached_metadata(reader)) if verdicts else unsigned(Kind.PDF)


def _known_to_pyhanko(reader: PdfFileReader, domestic_fields: Container[str]) -> Iterator[_InDer]:
    for name, value, field in enumerate_sig_fields(reader, filled_status=True):
        if name not in domestic_fields and entry(value.get_object(), "/SubFilter") in _SUB_FILTERS:
            yield _InDer(reader, field, name)


def _unjudged(field: SignatureField) -> SignatureVerdict:
    kind = entry(field.dictionary, "/SubFilter")
    return judged(
        field.name, (open_question("FORMAT", f"a kind of signature that this version does not judge: {_short(kind)}", "GENERIC"),)
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Whether anything, and whether any signature that is no document time stamp, is younger; and the instant of judging."""

    newest: bool
    final: bool
    now: dt.datetime


def _judge_all(data: bytes, signatures: list[_InDer], newest: int, final: int, evidence: Evidence) -> list[SignatureVerdict]:
    """In the order given; ``final``: the revision of the last domestic signature.

    Judged from the outermost inwards, each when those around it prove that it existed (EN 319 102-1 §5.6).
    """
    final = max([final, *(one.signed_revision for one in signatures if not _is_stamp(one))])
    verdicts: dict[str, SignatureVerdict] = {}
    now = evidence.at
    for signature in sorted(signatures, key=lambda one: -one.signed_revision):
        place = _Place(signature.signed_revision >= newest, signature.signed_revision >= final, now)
        verdict, proven = _judge(data, signature, place, evidence)
        verdicts[signature.field_name] = verdict
        if _is_stamp(signature) and verdict.indication is Indication.TOTAL_PASSED and proven is not None:
            evidence = evidence.as_of(proven)
    return [verdicts[signature.field_name] for signature in signatures]


def _is_stamp(signature: _InDer) -> bool:
    return bool(signature.sig_object_type == "/DocTimeStamp")


def _judge(data: bytes, signature: _InDer, place: _Place, evidence: Evidence) -> tuple[SignatureVerdict, dt.datetime | None]:
    """The verdict, and the instant that a time stamp proves, its own or itself."""
    stamp, proven = _is_stamp(signature), None
    checks = [passed("FORMAT", "PDF with a document time stamp" if stamp else "signed PDF"), *_form(data, signature)]
    try:
        rules, claimed = TIME_STAMPER if stamp else SIGNER, _claimed_time(signature)
        chain, stamper = evidence.chain(signature.signed_data, rules, claimed), evidence.stamper(signature.signer_info)
        status = asyncio.run(_validated(signature, stamp, chain, stamper, evidence))
        proven = _proven(status, stamper)
        if not stamp and proven is not None and proven < evidence.at:
            evidence = evidence.as_of(proven)
            chain = evidence.chain(signature.signed_data, rules, claimed)
            status = asyncio.run(_validated(signature, stamp, chain, stamper, evidence))
    except SignatureValidationError as error:
        reason = error.ades_subindication.standard_name if error.ades_subindication else "FORMAT_FAILURE"
        checks.append((open_question if reason in _INDETERMINATE else failed)("SIGNATURE", _short(error.failure_message), reason))
    else:
        checks += _findings(data, signature, status, place, chain, stamper)
        checks += time_checks(_claimed_time(signature), place.now)
        checks += _today(signature, evidence, rules, place.now)
    verdict = judged(
        signature.field_name,
        checks,
        signer=_signer(signature),
        signing_time=_claimed_time(signature),
        level="TIMESTAMP" if stamp else _level(signature),
    )
    return verdict, proven


def _proven(status: Status, stamper: Chain) -> dt.datetime | None:
    """When it existed, if a time stamp that holds says so."""
    if isinstance(status, DocumentTimestampStatus):
        return status.timestamp if status.valid and status.intact else None
    token = status.timestamp_validity
    holds = token is not None and token.valid and token.intact and token.trusted and stamper.found.fault is None
    return token.timestamp if holds and token is not None else None


def _today(signature: _InDer, evidence: Evidence, rules: Rules, now: dt.datetime) -> Iterator[Check]:
    """What of a signature that was judged at a proven instant holds now too."""
    if evidence.at >= now:
        return
    then = f"judged at {evidence.at:%Y-%m-%dT%H:%M:%SZ}, which a time stamp proves"
    fault = evidence.of_now().chain(signature.signed_data, rules, _claimed_time(signature)).found.fault
    if fault is None:
        yield passed("STATUS_NOW", f"{then}; good at that time and now")
    else:
        yield notice("STATUS_NOW", f"{then}; now: {fault.detail}")


async def _validated(signature: _InDer, stamp: bool, chain: Chain, stamper: Chain, evidence: Evidence) -> Status:
    if stamp:
        return await async_validate_pdf_timestamp(signature, evidence.context(chain))
    return await async_validate_pdf_signature(signature, evidence.context(chain), ts_validation_context=evidence.context(stamper))


def _form(data: bytes, signature: _InDer) -> Iterator[Check]:
    """LIBRARIES.md, rule 7, as far as it holds for anybody's signature."""
    try:
        _, start, end, _ = (int(number) for number in signature.byte_range)
        text = data[start + 1 : end - 1]
        one_spelling = set(text) <= _UPPER or set(text) <= _LOWER
        octets = bytes.fromhex(text.decode("ascii")) if one_spelling else b""
        framed = data[start : start + 1] == b"<" and data[end - 1 : end] == b">" and octets == signature.pkcs7_content
        padded = signature.taken > 0 and not any(octets[signature.taken :])
        crowded = len(signature.other_embedded_certs) > MAX_CANDIDATES
    except UNREADABLE as error:
        yield failed("CMS_FORM", f"Contents cannot be read: {_short(error)}")
        return
    if not (one_spelling and framed and padded):
        yield failed("CMS_FORM", "Contents is not one value in one hexadecimal spelling, followed by zeros only")
    elif crowded:
        yield failed("CMS_FORM", f"more than {MAX_CANDIDATES} certificates")
    elif octets[: signature.taken] != signature.message:
        yield notice("CMS_FORM", IN_BER)
    else:
        yield passed("CMS_FORM", "one DER value")


def _findings(data: bytes, signature: _InDer, status: Status, place: _Place, chain: Chain, stamper: Chain) -> Iterator[Check]:
    yield _coverage(data, signature, status, place.newest)
    yield _certification(signature, status, place.final)
    yield passed("DATA_HASH") if status.intact else failed("DATA_HASH", "the file was changed after signing")
    mechanism = str(status.pkcs7_signature_mechanism)
    yield passed("SIGNATURE", mechanism) if status.valid else failed("SIGNATURE", "the signature does not hold")
    yield from _trust(status, chain)
    yield from chain.bounds
    yield _timestamp(status, stamper, place.now)


def _coverage(data: bytes, signature: _InDer, status: Status, is_last: bool) -> Check:
    coverage = status.coverage
    if is_last and coverage is SignatureCoverageLevel.ENTIRE_REVISION:
        _, _, behind, rest = (int(number) for number in signature.byte_range)
        try:
            require_data_only(data, signature.reader, signature.signed_revision, behind + rest)
        except NotOnlyData as error:
            return failed("COVERAGE", f"something was appended after the last signature: {_short(error)}")
        return notice("COVERAGE", "its revision; behind it only validation data, which no signature covers")
    if coverage is SignatureCoverageLevel.ENTIRE_FILE:
        return passed("COVERAGE", "the entire file")
    if coverage is SignatureCoverageLevel.ENTIRE_REVISION:
        return passed("COVERAGE", "its revision; a later signature covers the entire file")
    return failed("COVERAGE", "parts of the signed revision are not covered")


def _certification(signature: _InDer, status: Status, final: bool) -> Check:
    if isinstance(status, DocumentTimestampStatus):
        return notice("DOCMDP", "a document time stamp by itself rules no change out")
    if final and status.coverage is not SignatureCoverageLevel.ENTIRE_FILE and status.modification_level != ModificationLevel.LTA_UPDATES:
        # Anybody can have a document time stamp made: behind the last signature nothing but validation data and time stamps.
        return failed("DOCMDP", "changed after the last signature")
    if not status.docmdp_ok:
        return failed("DOCMDP", "changed after signing in a way that is not permitted")
    level = signature.docmdp_level
    if level is None:
        return notice("DOCMDP", "not certified: later signatures and form filling are not ruled out by the signer")
    return passed("DOCMDP", f"changes permitted by the signer: P {level.value}")


def _trust(status: Status, chain: Chain) -> Iterator[Check]:
    """Ours judges the chain; pyHanko, which was told to trust the signer's certificate, may still object to an algorithm."""
    fault = chain.found.fault
    if fault is None and status.valid and not status.trusted:
        problem = status.trust_problem_indic
        fault = Fault(Reason.ALGORITHM_REFUSED, problem.standard_name if problem else "not accepted")
    if fault is None or fault.reason in (Reason.REVOKED, Reason.REVOCATION_UNKNOWN):
        yield passed("CHAIN", " < ".join(party.name for party in chain.found.path))
    else:
        yield open_question("CHAIN", fault.detail, fault.sub_indication)
        yield open_question("REVOCATION", "not asked without a chain")
        return
    if fault is None:
        yield passed("REVOCATION", "not revoked")
    elif fault.reason is Reason.REVOKED:
        yield failed("REVOCATION", fault.detail, fault.sub_indication)
    else:
        yield open_question("REVOCATION", fault.detail, fault.sub_indication)


def _timestamp(status: Status, stamper: Chain, now: dt.datetime) -> Check:
    stamp = status if isinstance(status, DocumentTimestampStatus) else status.timestamp_validity
    stated = stamp.timestamp if stamp is not None else None
    if stated is not None and stated > now + SKEW:
        return open_question("TIMESTAMP", f"states {stated:%Y-%m-%dT%H:%M:%SZ}, which has not come", "NOT_YET_VALID")
    if isinstance(status, DocumentTimestampStatus):
        return notice("TIMESTAMP", f"states {status.timestamp:%Y-%m-%dT%H:%M:%SZ}")
    token = status.timestamp_validity
    if token is None:
        return notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim")
    if token.valid and token.intact and token.trusted and stamper.found.fault is None:
        return passed("TIMESTAMP", f"{token.timestamp:%Y-%m-%dT%H:%M:%SZ}")
    return notice("TIMESTAMP", "there is a time stamp that does not hold or is not trusted")


def _signer(signature: _InDer) -> str | None:
    try:
        values = signature.signer_cert.subject.native
        name = values.get("common_name") or values.get("organization_name")
    except (*UNREADABLE, SignatureValidationError):
        return None
    return name if isinstance(name, str) else None


def _claimed_time(signature: _InDer) -> dt.datetime | None:
    try:
        instant = signature.self_reported_timestamp
    except (*UNREADABLE, SignatureValidationError):
        return None
    return instant.astimezone(dt.UTC) if instant is not None and instant.tzinfo else None


def _level(signature: _InDer) -> str:
    if entry(signature.sig_object, "/SubFilter") != "/ETSI.CAdES.detached":
        return "CMS"
    unsigned_attributes = signature.signer_info["unsigned_attrs"].native or ()
    kinds = {attribute["type"] for attribute in unsigned_attributes}
    return "PAdES-B-T" if "signature_time_stamp_token" in kinds else "PAdES-B-B"


def _short(error: object) -> str:
    return str(error)[:160] or type(error).__name__
