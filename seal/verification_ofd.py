"""Judging an OFD (GB/T 33190-2016 §18): every signature of the package, each over every part.

1. ``FORMAT``     the package leaves no two readers two opinions (:mod:`seal.ofd_package`), and describes its signatures in full
2. ``COVERAGE``   every part is referenced, or is a part of a signature itself: nothing can be added that a signature does not speak of
3. ``DATA_HASH``  every referenced part is there and has the digest that is stated, under SM3 or SHA-2
4. the value: a GM/T 0031 stamp over SM3 of Signature.xml, whose propertyInfo is that file's absolute path (:mod:`seal.verification_stamp`),
   or a CMS SignedData over Signature.xml (:mod:`seal.verification_cms`)
5. a seal laid beside the signature is the one in its stamp

A later signature adds its own parts and an entry in the list; an earlier one neither speaks of them nor breaks by them. What a
signature's parts hold cannot be anything else, because that signature is judged too, and the worst of all speaks for the file.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives import hashes

from keys.base import der
from seal.ofd import ROOT, Ofd, OfdRefused, OfdSignature, OfdUnreadable, read_ofd
from seal.ofd_package import PackageRefused, shown
from seal.trust import Trust
from seal.verdict import Check, Kind, SignatureVerdict, Verdict, failed, judged, passed, summed_up, unreadable, unsigned
from seal.verification_cms import SM3, judge_cms, octets_content
from seal.verification_evidence import Covered, Evidence
from seal.verification_pdf import SecurityStore, evidence_from
from seal.verification_stamp import judge_stamp

_SEAL, _SIGN = "Seal", "Sign"
_SHOWN = 3


# CheckMethod: GB/T 33190 leaves the words open; producers write a name or an OID. MD5 and SHA-1 protect nothing.
METHODS: Mapping[str, str] = {
    "1.2.156.10197.1.401": "SM3",
    "SM3": "SM3",
    "2.16.840.1.101.3.4.2.1": "SHA-256",
    "SHA256": "SHA-256",
    "SHA-256": "SHA-256",
    "2.16.840.1.101.3.4.2.2": "SHA-384",
    "SHA384": "SHA-384",
    "SHA-384": "SHA-384",
    "2.16.840.1.101.3.4.2.3": "SHA-512",
    "SHA512": "SHA-512",
    "SHA-512": "SHA-512",
}

_ALGORITHMS: Mapping[str, hashes.HashAlgorithm] = {
    "SM3": hashes.SM3(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}


def judge_ofd(data: bytes, trust: Trust, at: dt.datetime) -> Verdict:
    """The verdict on a package. May raise; :func:`seal.verification.verify` does not."""
    try:
        ofd = read_ofd(data)
    except OfdUnreadable as error:
        return unreadable(Kind.OFD, error.detail)
    except OfdRefused as error:
        if ROOT.encode() not in data:
            return unreadable(Kind.OFD, "a package that is not an OFD")
        return summed_up(Kind.OFD, (judged("OFD", (failed("FORMAT", error.detail),)),))
    if not ofd.signatures:
        return unsigned(Kind.OFD)
    evidence = evidence_from(trust, SecurityStore((), ()), at)
    digests: dict[tuple[str, str], bytes | None] = {}
    return summed_up(Kind.OFD, [_judge(ofd, signature, evidence, digests) for signature in ofd.signatures])


def _judge(ofd: Ofd, signature: OfdSignature, evidence: Evidence, digests: dict[tuple[str, str], bytes | None]) -> SignatureVerdict:
    checks = [passed("FORMAT", "OFD package"), _coverage(ofd, signature), _references(ofd, signature, digests)]
    try:
        value, beside = ofd.value(signature), ofd.seal(signature)
    except OfdRefused as error:
        return judged(signature.id, (failed("FORMAT", error.detail), *checks[1:]))
    if _is_stamp(value):
        return _stamped(signature, value, beside, checks, evidence)
    answer = judge_cms(value, octets_content(signature.encoded), evidence)
    own = [*_type(signature, _SIGN), *answer.checks]
    if beside is not None:
        own.append(failed("SEAL_FORMAT", "a seal is laid beside a signature that has none"))
    return judged(signature.id, (*checks, *own), signer=answer.signer, signing_time=answer.time, level="CMS")


def _is_stamp(value: bytes) -> bool:
    """An SES_Signature begins with toSign, a SEQUENCE; a ContentInfo with an OBJECT IDENTIFIER, and only it may leave out its length."""
    if value[1:2] == b"\x80":
        return False
    try:
        return der.members(der.outermost(value))[0].tag == der.SEQUENCE
    except (der.NotDer, IndexError):
        return True  # whatever it is, the stamp's form is what it lacks


def _stamped(signature: OfdSignature, value: bytes, beside: bytes | None, checks: list[Check], evidence: Evidence) -> SignatureVerdict:
    content = octets_content(signature.encoded)
    covered = Covered(content.digest(SM3), signature.path, None, hashlib.sha256(signature.encoded).digest())
    answer = judge_stamp(value, evidence, covered)
    own = [*_type(signature, _SEAL), *answer.checks]
    if beside is not None and answer.seal_encoded not in (None, beside):
        own.append(failed("SEAL_FORMAT", "the package shows another seal than the one in the stamp"))
    return judged(signature.id, (*checks, *own), signer=answer.signer, signing_time=answer.time, level="SES", seal=answer.seal)


def _type(signature: OfdSignature, found: str) -> Iterator[Check]:
    if signature.type != found:
        yield failed("FORMAT", f"listed as {shown(signature.type)}, and is a {found}")


def _coverage(ofd: Ofd, signature: OfdSignature) -> Check:
    """Every part is spoken of, or is a part of a signature."""
    named = {reference.name for reference in signature.references}
    if len(named) != len(signature.references):
        return failed("COVERAGE", "a part is referenced twice")
    outside = sorted(set(ofd.package.parts) - named - ofd.own_parts)
    if outside:
        listed = ", ".join(shown(name) for name in outside[:_SHOWN])
        return failed("COVERAGE", f"{len(outside)} parts are not covered: {listed}")
    return passed("COVERAGE", f"the entire package: {len(named)} parts")


def _references(ofd: Ofd, signature: OfdSignature, digests: dict[tuple[str, str], bytes | None]) -> Check:
    method = METHODS.get(signature.digest.strip().upper())
    if method is None:
        return failed("DATA_HASH", f"a digest that is not accepted: {shown(signature.digest)}")
    for reference in signature.references:
        if reference.name not in ofd.package.parts:
            return failed("DATA_HASH", f"{method}: a part is missing: {shown(reference.name)}")
        key = (method, reference.name)
        if key not in digests:
            digests[key] = _digest(ofd, *key)
        if digests[key] is None or digests[key] != reference.digest:
            return failed("DATA_HASH", f"{method}: a part was changed after it was sealed: {shown(reference.name)}")
    return passed("DATA_HASH", f"{method}: every part")


def _digest(ofd: Ofd, method: str, name: str) -> bytes | None:
    """None for a part that cannot be unpacked."""
    digest = hashes.Hash(_ALGORITHMS[method])
    try:
        for chunk in ofd.package.chunks(name):
            digest.update(chunk)
    except PackageRefused:
        return None
    return digest.finalize()
