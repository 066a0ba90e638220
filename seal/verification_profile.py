"""Judging a PDF of our own profile: one certifying signature over the whole file, carrying a GM/T 0031 stamp.

The profile leaves no freedom, so neither does the judgement. In the order of the checks:

1. ``FORMAT``     one signature field; the dictionary is an ``ETSI.CAdES.detached`` signature.
2. ``COVERAGE``   ``[0 a b c]`` leaves out exactly one hexadecimal string, which is this signature's ``/Contents``, and ends with the file.
3. ``DOCMDP``     the catalogue names this signature as the certification, and it permits no change (P 1).
4. ``CMS_FORM``   the SignedData, written again from the values it states and the digest we computed, gives the same octets,
   in lower-case hexadecimal and followed by zeros only; its certificates are those of the covered DSS.
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
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from seal import der
from seal.asn1_structures import SES_ATTRIBUTE
from seal.cms import Signed
from seal.extraction import first_value
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
class Gap:
    """The hole in the ByteRange: where it stands and the DER value at its start."""

    start: int
    end: int
    message: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Stated:
    """What the CMS in the gap says. ``attributes``: the signed attributes, DER, with the SET's universal tag."""

    certificates: tuple[bytes, ...]
    signer: Party
    digest: bytes
    ses: bytes
    attributes: bytes
    signature: bytes


def is_ours(field: SignatureField) -> bool:
    """Whether the signature claims our profile: its CMS holds a GM/T 0031 stamp as an attribute."""
    contents = entry(field.dictionary, "/Contents")
    octets = getattr(contents, "original_bytes", b"")
    return _SES_OID in octets


def judge_profile(data: bytes, reader: PdfFileReader, fields: list[SignatureField], trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a PDF whose last signature claims our profile."""
    field = fields[-1]
    checks: list[Check] = []
    try:
        checks += _shape(fields, reader)
        gap = _gap(data, field.dictionary)
        stated = _stated(gap.message)
        store = security_store(reader)
    except UNREADABLE as error:
        checks.append(failed("FORMAT", f"not of the form of our certificates: {_reason(error)}"))
        return summed_up(Kind.PDF, (judged(field.name, checks),))
    evidence = evidence_from(trust, store, at, stated.certificates)
    signing_time = _claimed_time(field.dictionary)
    checks += _coverage(data, gap, field.dictionary)
    checks += _certification(reader, field)
    checks += _integrity(data, gap, stated, store)
    checks += signer_checks(stated.signer, stated.certificates, evidence, signing_time)
    checks.append(notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim"))
    stamp = judge_stamp(stated.ses, evidence, Covered(_sm3(data, gap), _range_text(data, gap), signing_time))
    signature = judged(
        field.name,
        (*checks, *stamp.checks),
        signer=stated.signer.name,
        signing_time=signing_time,
        level=LEVEL,
        seal=stamp.seal,
    )
    return summed_up(Kind.PDF, (signature,), attached_metadata(reader))


def _reason(error: BaseException) -> str:
    return str(error)[:120] or type(error).__name__


def _shape(fields: list[SignatureField], reader: PdfFileReader) -> Iterator[Check]:
    dictionary = fields[-1].dictionary
    stated = {key: entry(dictionary, key) for key in ("/Type", "/Filter", "/SubFilter")}
    if stated != {"/Type": "/Sig", "/Filter": "/Adobe.PPKLite", "/SubFilter": "/ETSI.CAdES.detached"}:
        raise ValueError("the signature dictionary is of another kind")
    if len(fields) != 1 or reader.encrypted:
        raise ValueError("more than one signature, or encrypted")
    yield passed("FORMAT", "PDF with one certifying signature")


def _gap(data: bytes, dictionary: generic.DictionaryObject) -> Gap:
    numbers = [int(number) for number in dictionary["/ByteRange"]]
    if len(numbers) != 4 or numbers[0] != 0 or not 0 < numbers[1] < numbers[2] <= len(data):
        raise ValueError("no usable ByteRange")
    start, end = numbers[1], numbers[2]
    text = data[start + 1 : end - 1]
    octets = bytes.fromhex(text.decode("ascii"))
    return Gap(start, end, first_value(octets), text)


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


def _claimed_time(dictionary: generic.DictionaryObject) -> dt.datetime | None:
    try:
        instant = generic.parse_pdf_date(str(dictionary["/M"]), strict=True)
        return instant.astimezone(dt.UTC) if instant.tzinfo else None
    except UNREADABLE:
        return None


def _coverage(data: bytes, gap: Gap, dictionary: generic.DictionaryObject) -> Iterator[Check]:
    last = int(dictionary["/ByteRange"][3])
    if gap.end + last != len(data):
        yield failed("COVERAGE", f"{len(data) - gap.end - last} octets at the end of the file are not covered")
    elif data[gap.start] != 0x3C or data[gap.end - 1] != 0x3E:
        yield failed("COVERAGE", "the part left out is not one hexadecimal string")
    elif dictionary["/Contents"].original_bytes != bytes.fromhex(gap.text.decode("ascii")):
        yield failed("COVERAGE", "the part left out is not this signature's Contents")
    else:
        yield passed("COVERAGE", "the entire file")


def _certification(reader: PdfFileReader, field: SignatureField) -> Iterator[Check]:
    try:
        certified = reader.root["/Perms"].raw_get("/DocMDP").reference
        (reference,) = field.dictionary["/Reference"]
        permission = reference["/TransformParams"]["/P"]
        holds = certified == field.reference and reference["/TransformMethod"] == "/DocMDP" and permission == 1
    except UNREADABLE:
        holds = False
    yield passed("DOCMDP", "certified, no change permitted (P 1)") if holds else failed("DOCMDP", "not certified with P 1")


def _integrity(data: bytes, gap: Gap, stated: Stated, store: SecurityStore) -> Iterator[Check]:
    digest = hashlib.sha256(memoryview(data)[: gap.start])
    digest.update(memoryview(data)[gap.end :])
    yield _form(gap, stated, store, digest.digest())
    holds = digest.digest() == stated.digest
    yield passed("DATA_HASH", "SHA-256") if holds else failed("DATA_HASH", "SHA-256: the file was changed after signing")
    if signature_holds(stated.signer.public, _ECDSA_WITH_SHA256, stated.attributes, stated.signature):
        yield passed("SIGNATURE", "ECDSA with SHA-256")
    else:
        yield failed("SIGNATURE", "the signature does not hold")


def _form(gap: Gap, stated: Stated, store: SecurityStore, digest: bytes) -> Check:
    """LIBRARIES.md, rule 7: what we would have written is what stands there."""
    others = [certificate for certificate in stated.certificates if certificate != stated.signer.encoded]
    # The digest is judged by DATA_HASH: a changed document does not make the SignedData malformed.
    message = Signed((stated.signer.encoded, *others), stated.digest, stated.ses).content_info(stated.signature)
    if message.hex().encode().ljust(len(gap.text), b"0") != gap.text or len(gap.text) % 2:
        return failed("CMS_FORM", "Contents is not the one canonical SignedData followed by zeros")
    if not set(stated.certificates) <= set(store.certificates):
        return failed("CMS_FORM", "a certificate of the signature is not in the covered DSS")
    return passed("CMS_FORM", "canonical")


def _sm3(data: bytes, gap: Gap) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(memoryview(data)[: gap.start])
    digest.update(memoryview(data)[gap.end :])
    return digest.finalize()


def _range_text(data: bytes, gap: Gap) -> str:
    return f"[0 {gap.start} {gap.end} {len(data) - gap.end}]"
