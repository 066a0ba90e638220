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
from dataclasses import dataclass
from typing import Any

from asn1crypto import cms as cms_structures
from cryptography.hazmat.primitives import hashes
from pyhanko.pdf_utils.reader import PdfFileReader

from keys.base import der
from seal.asn1_structures import SES_ATTRIBUTE
from seal.cms import Signed
from seal.extraction import first_value
from seal.signature_dictionary import NO_CHANGES, Written
from seal.trust import Trust
from seal.verdict import Check, Kind, Verdict, failed, judged, notice, passed, summed_up
from seal.verification_path import Party, read_certificate, signature_holds
from seal.verification_pdf import UNREADABLE, SecurityStore, SignatureField, attached_metadata, entry, evidence_from, security_store
from seal.verification_signer import signer_checks
from seal.verification_stamp import Covered, judge_stamp

LEVEL = "PAdES-B-B"
_SES_OID = der.object_identifier(SES_ATTRIBUTE)
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"


@dataclass(frozen=True, slots=True)
class Stated:
    """What the CMS in the gap says. ``attributes``: the signed attributes, DER, with the SET's universal tag."""

    certificates: tuple[bytes, ...]
    signer: Party
    digest: bytes
    ses: bytes
    attributes: bytes
    signature: bytes


def claims_profile(field: SignatureField) -> bool:
    """Whether a signature that is not spelled as ours are holds a GM/T 0031 stamp as an attribute all the same."""
    contents = entry(field.dictionary, "/Contents")
    return _SES_OID in getattr(contents, "original_bytes", b"")


def judge_profile(data: bytes, reader: PdfFileReader, field: SignatureField, written: Written, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a PDF whose only signature is ``written`` in our spelling."""
    try:
        stated = _stated(first_value(bytes.fromhex(written.contents.decode("ascii"))))
        store = security_store(reader)
        certified = (
            reader.root["/Perms"].raw_get("/DocMDP").reference == field.reference
            and not reader.encrypted
            and written.permission == NO_CHANGES
        )
    except UNREADABLE as error:
        return out_of_form(field.name, _reason(error))
    evidence = evidence_from(trust, store, at, stated.certificates)
    checks: list[Check] = [passed("FORMAT", "PDF with one certifying signature")]
    checks.append(_coverage(data, written))
    checks.append(passed("DOCMDP", "no change permitted (P 1)") if certified else failed("DOCMDP", "the catalogue does not say certified"))
    checks += _integrity(data, written, stated, store)
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
    return summed_up(Kind.PDF, (signature,), attached_metadata(reader))


def out_of_form(field: str, reason: str) -> Verdict:
    """The verdict on a PDF that claims our profile and has not its form."""
    return summed_up(Kind.PDF, (judged(field, (failed("FORMAT", f"not of the form of our certificates: {reason}"),)),))


def _reason(error: BaseException) -> str:
    return str(error)[:120] or type(error).__name__


def _stated(message: bytes) -> Stated:
    der.read(message)
    signed_data = cms_structures.ContentInfo.load(message, strict=True)["content"]
    (signer_info,) = signed_data["signer_infos"]
    certificates = tuple(one.chosen.dump() for one in signed_data["certificates"])
    attributes = {one["type"].dotted: one["values"] for one in signer_info["signed_attrs"]}
    identifier = signer_info["sid"].chosen
    parties = [party for party in map(read_certificate, certificates) if party]
    signer = next(party for party in parties if _is_named(party, identifier))
    return Stated(
        certificates=certificates,
        signer=signer,
        digest=attributes["1.2.840.113549.1.9.4"][0].native,
        ses=_octet_string(attributes[SES_ATTRIBUTE][0].dump()),
        attributes=signer_info["signed_attrs"].untag().dump(),
        signature=signer_info["signature"].native,
    )


def _is_named(party: Party, identifier: Any) -> bool:
    return bool(party.serial == identifier["serial_number"].native and party.issuer == identifier["issuer"].dump())


def _octet_string(encoded: bytes) -> bytes:
    element = der.read(encoded)
    if element.tag != der.OCTET_STRING:
        raise ValueError("the stamp is not in an OCTET STRING")
    return element.value


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
    yield _form(written, stated, store, digest.digest())
    holds = digest.digest() == stated.digest
    yield passed("DATA_HASH", "SHA-256") if holds else failed("DATA_HASH", "SHA-256: the file was changed after signing")
    if signature_holds(stated.signer.public, _ECDSA_WITH_SHA256, stated.attributes, stated.signature):
        yield passed("SIGNATURE", "ECDSA with SHA-256")
    else:
        yield failed("SIGNATURE", "the signature does not hold")


def _form(written: Written, stated: Stated, store: SecurityStore, digest: bytes) -> Check:
    """LIBRARIES.md, rule 7: what we would have written is what stands there."""
    others = [certificate for certificate in stated.certificates if certificate != stated.signer.encoded]
    # The digest is judged by DATA_HASH: a changed document does not make the SignedData malformed.
    message = Signed((stated.signer.encoded, *others), stated.digest, stated.ses).content_info(stated.signature)
    if message.hex().encode().ljust(len(written.contents), b"0") != written.contents:
        return failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    if not set(stated.certificates) <= set(store.certificates):
        return failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    return passed("CMS_FORM", "canonical")


def _sm3(data: bytes, written: Written) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(memoryview(data)[: written.start])
    digest.update(memoryview(data)[written.end :])
    return digest.finalize()
