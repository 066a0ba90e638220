"""Judging a CMS SignedData with the algorithms of GB/T 35275 (SM2 with SM3), under its own OIDs or those of RFC 5652.

What stands in an OFD's SignedValue.dat of type ``Sign``, and in ``/Contents`` of PDFs signed with SM2. ECDSA and RSA with SHA-256 are
judged too, since an OFD may name them. In the order of the checks:

1. ``CMS_FORM``   one DER value (a notice: lengths left out of its frame, :mod:`keys.base.ber`), one signer, detached (or with exactly
   the content it is made over); the attributes name what they must
2. ``DATA_HASH``  the message digest is that of the content
3. ``SIGNATURE``  over the signed attributes, or over the content where there are none
4. ``SIGNING_TIME`` (only where it has not come), ``TIMESTAMP``  a token over the signature value, if there is one
5. ``CHAIN``, ``REVOCATION``, ``OUT_OF_SCOPE``   as for every signer of a document
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from keys.base import ber, der, der_values
from keys.base.der import Element, NotDer
from keys.custody import sm2
from keys.trust.entries import Use
from seal.foreign_rules import Algorithm, SystemRules
from seal.recognition import bounds_checks
from seal.verdict import Check, failed, notice, open_question, passed
from seal.verification_evidence import Evidence
from seal.verification_path import MAX_CANDIDATES, Party, Revoked, find_path, out_of_bounds, read_certificate, revocation
from seal.verification_rules import signature_checks
from seal.verification_stamp import revocation_check
from seal.verification_stamp_time import SKEW, TokenJudgement, judge_token, time_checks

SM3, SHA256 = sm2.SM3, "2.16.840.1.101.3.4.2.1"
_DATA = frozenset({"1.2.156.10197.6.1.4.2.1", "1.2.840.113549.1.7.1"})
SIGNED_DATA = frozenset({"1.2.156.10197.6.1.4.2.2", "1.2.840.113549.1.7.2"})
_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME = (f"1.2.840.113549.1.9.{number}" for number in (3, 4, 5))
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_TIME_STAMP_TOKEN = "1.2.840.113549.1.9.16.2.14"  # noqa: S105 - an attribute's type
_BARE_RSA = "1.2.840.113549.1.1.1"
_RULES = SystemRules(algorithms=frozenset(Algorithm))
_DIGEST_OF = {Algorithm.SM2_SM3: SM3, Algorithm.ECDSA_SHA256: SHA256, Algorithm.RSA_SHA256: SHA256}
_DIGEST_WORDS = {SM3: "SM3", SHA256: "SHA-256"}
IN_BER = "one value in BER, without some lengths; judged in DER"
_SIGNING_USES = ("digital_signature", "non_repudiation")
_CONTEXT_0, _CONTEXT_1, _NULL = 0xA0, 0xA1, 0x05


@dataclass(frozen=True, slots=True)
class Content:
    """What was signed: its digest under an OID of :data:`SM3` or :data:`SHA256`, and all of it where there are no attributes."""

    digest: Callable[[str], bytes]
    whole: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class SignedData:
    """A SignedData as read. ``attributes``: encoded values by OID; ``signed``: those attributes as they were signed, None without them."""

    digest: str
    content: bytes | None
    plain_data: bool
    content_type: bytes
    certificates: tuple[bytes, ...]
    signer: tuple[bytes, int]
    attributes: Mapping[str, bytes]
    signed: bytes | None
    algorithm: str
    signature: bytes
    token: bytes | None


@dataclass(frozen=True, slots=True)
class CmsJudgement:
    checks: tuple[Check, ...]
    signer: str | None = None
    time: dt.datetime | None = None


def octets_content(octets: bytes) -> Content:
    """The content that is at hand as a whole."""
    return Content(lambda oid: sm2.sm3(octets) if oid == SM3 else hashlib.sha256(octets).digest(), lambda: octets)


def read_signed_data(message: bytes) -> SignedData:
    """Strict DER, one signer, no attribute twice. Raises :class:`keys.base.der.NotDer` and ValueError."""
    kind, content = _exactly(der.members(der.read(message)), 2)
    if der_values.dotted(kind) not in SIGNED_DATA or content.tag != _CONTEXT_0:
        raise NotDer("no SignedData")
    version, algorithms, encapsulated, *rest = der.members(der_values.inner(content))
    der_values.integer(version)
    announced = [der_values.dotted(der.members(one)[0]) for one in _set(algorithms)]
    certificates = der_values.children(rest.pop(0)) if rest and rest[0].tag == _CONTEXT_0 else []
    if rest and rest[0].tag == _CONTEXT_1:
        rest.pop(0)  # revocation lists: whoever asks has lists of their own
    (signers,) = rest
    (signer,) = _set(signers)
    if len(certificates) > MAX_CANDIDATES:
        raise NotDer(f"more than {MAX_CANDIDATES} certificates")
    type_of_content, *inside = der.members(encapsulated)
    read = _signer(der.members(signer))
    if read.digest not in announced:
        raise NotDer("the signer's digest algorithm is not announced")
    return replace(
        read,
        content=der_values.octets(der_values.inner(_exactly(inside, 1)[0])) if inside else None,
        plain_data=der_values.dotted(type_of_content) in _DATA,
        content_type=type_of_content.encoded,
        certificates=tuple(one.encoded for one in certificates if one.tag == der.SEQUENCE),
    )


def _signer(parts: list[Element]) -> SignedData:
    """SignerInfo (RFC 5652 §5.3, GB/T 35275 §9.2): the signer by issuer and serial number."""
    version, identifier, digest, *rest = parts
    attributes = rest.pop(0) if rest and rest[0].tag == _CONTEXT_0 else None
    unsigned = rest.pop() if rest and rest[-1].tag == _CONTEXT_1 else None
    algorithm, signature = _exactly(rest, 2)
    issuer, serial = _exactly(der.members(identifier), 2)
    der_values.integer(version)
    return SignedData(
        digest=_algorithm(digest),
        content=None,
        plain_data=False,
        content_type=b"",
        certificates=(),
        signer=(issuer.encoded, der_values.integer(serial)),
        attributes=_attributes(attributes) if attributes else {},
        signed=der.encode(der_values.SET, attributes.value) if attributes else None,
        algorithm=_algorithm(algorithm),
        signature=der_values.octets(signature),
        token=_attributes(unsigned).get(_TIME_STAMP_TOKEN) if unsigned else None,
    )


def _algorithm(element: Element) -> str:
    """The OID of an AlgorithmIdentifier without parameters but NULL."""
    oid, *parameters = der.members(element)
    if [one.tag for one in parameters] not in ([], [_NULL]):
        raise NotDer("parameters of an algorithm that has none")
    return der_values.dotted(oid)


def _attributes(element: Element) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for attribute in der_values.children(element):
        kind, values = _exactly(der.members(attribute), 2)
        (value,) = _set(values)
        name = der_values.dotted(kind)
        if name in found:
            raise NotDer("an attribute twice")
        found[name] = value.encoded
    return found


def _set(element: Element) -> list[Element]:
    if element.tag != der_values.SET:
        raise NotDer("no SET")
    return der_values.children(element)


def _exactly(elements: list[Element], count: int) -> list[Element]:
    if len(elements) != count:
        raise NotDer(f"{len(elements)} members instead of {count}")
    return elements


def judge_cms(message: bytes, content: Content, evidence: Evidence) -> CmsJudgement:
    """See the module's steps. Never raises for what is in the message."""
    try:
        encoded, taken = ber.first_message(message)
        if taken != len(message):
            raise NotDer("octets behind it")
        stated = read_signed_data(encoded)
        time = _stated_time(stated)
        carried = tuple(party for party in map(read_certificate, stated.certificates) if party)
        signer = next((one for one in carried if (one.issuer, one.serial) == stated.signer), None)
        fault = _fault(stated, content, signer)
    except (ValueError, IndexError, KeyError) as error:
        return CmsJudgement((failed("CMS_FORM", f"no SignedData that can be read: {error}"[:160]),))
    if signer is None or fault:
        return CmsJudgement((failed("CMS_FORM", fault or "the signer's certificate is not in it"),), signer.name if signer else None, time)
    known = replace(evidence, candidates=(*carried, *evidence.candidates))
    form = passed("CMS_FORM", "one DER value") if encoded == message else notice("CMS_FORM", IN_BER)
    checks = (form, *_checks(stated, content, signer, known, time))
    return CmsJudgement(checks, signer.name, time)


def _fault(stated: SignedData, content: Content, signer: Party | None) -> str | None:
    """What stands against the form."""
    kind = _kind(stated)
    if kind is not None and stated.digest != _DIGEST_OF[kind]:
        return "the digest is not the signature algorithm's"
    if stated.digest not in _DIGEST_WORDS:
        return "a digest algorithm that is not accepted"
    if stated.content is not None and stated.content != content.whole():
        return "it carries other content than it is made over"
    if stated.signed is None:
        return None if stated.plain_data else "no signed attributes"
    if stated.attributes.get(_CONTENT_TYPE) != stated.content_type or _MESSAGE_DIGEST not in stated.attributes:
        return "the signed attributes do not name the content"
    bound = stated.attributes.get(_SIGNING_CERTIFICATE_V2)
    if bound is not None and signer is not None and not _names(bound, signer.encoded):
        return "the signed attributes name another certificate"
    return None


def _kind(stated: SignedData) -> Algorithm | None:
    return _RULES.algorithm(_full_algorithm(stated))


def _full_algorithm(stated: SignedData) -> str:
    """RSA may be named alone, with the digest beside it (RFC 3370 §3.2)."""
    return "1.2.840.113549.1.1.11" if stated.algorithm == _BARE_RSA and stated.digest == SHA256 else stated.algorithm


def _names(attribute: bytes, certificate: bytes) -> bool:
    """ESSCertIDv2 (RFC 5035 §4): the first one is the signer's; SHA-256 where no algorithm is named."""
    first = der.members(der.members(der.members(der.read(attribute))[0])[0])
    named = _algorithm(first[0]) if first[0].tag == der.SEQUENCE else SHA256
    digest = sm2.sm3(certificate) if named == SM3 else hashlib.sha256(certificate).digest()
    return named in _DIGEST_WORDS and first[1 if first[0].tag == der.SEQUENCE else 0].value == digest


def _stated_time(stated: SignedData) -> dt.datetime | None:
    value = stated.attributes.get(_SIGNING_TIME)
    return der.parse_time(der.read(value).value) if value is not None else None


def _checks(stated: SignedData, content: Content, signer: Party, evidence: Evidence, time: dt.datetime | None) -> Iterator[Check]:
    yield _data_hash(stated, content)
    message = stated.signed if stated.signed is not None else content.whole()
    yield from signature_checks("SIGNATURE", signer, _full_algorithm(stated), message, stated.signature, _RULES)
    token = _token(stated, evidence, time)
    yield from time_checks(time, evidence.known or evidence.at)
    yield token.check
    yield from signer_checks(signer, evidence, time, token.proven)


def _data_hash(stated: SignedData, content: Content) -> Check:
    if stated.signed is None:
        return passed("DATA_HASH", "signed directly: its signature says whether it is unchanged")
    holds = der.octet_string(content.digest(stated.digest)) == stated.attributes[_MESSAGE_DIGEST]
    words = _DIGEST_WORDS[stated.digest]
    return passed("DATA_HASH", words) if holds else failed("DATA_HASH", f"{words}: changed after signing")


def _token(stated: SignedData, evidence: Evidence, time: dt.datetime | None) -> TokenJudgement:
    if stated.token is None:
        return TokenJudgement(notice("TIMESTAMP", "no trusted time stamp: the time is the signer's claim"))
    judged = judge_token("TIMESTAMP", stated.token, stated.signature, evidence.surroundings)
    if judged.proven is None or (time is not None and judged.proven < time - SKEW):
        return TokenJudgement(notice("TIMESTAMP", "there is a time stamp that does not hold or is not trusted"))
    return judged


def signer_checks(signer: Party, evidence: Evidence, time: dt.datetime | None, proven: dt.datetime | None) -> Iterator[Check]:
    """``CHAIN`` at the instant of judging, or at the proven one, then ``REVOCATION`` and the bounds of trust."""
    standpoint = evidence.standpoint
    path = find_path(signer, evidence.candidates, standpoint.anchors(Use.DOCUMENT_SIGNER, time))
    if path is None:
        objection = standpoint.objection(signer, Use.DOCUMENT_SIGNER, time)
        yield open_question("CHAIN", objection or "no chain from the signer to a trusted root")
        yield open_question("REVOCATION", "not asked without a chain")
        return
    instant = proven or evidence.at
    outside = out_of_bounds(path, instant)
    if outside is not None and instant < outside.not_before:
        yield open_question("CHAIN", f"not yet valid: {outside.name}", "NOT_YET_VALID")
    elif outside is not None:
        yield open_question("CHAIN", f"expired: {outside.name}", "OUT_OF_BOUNDS_NO_POE")
    elif not signer.may(*_SIGNING_USES):
        yield failed("CHAIN", "the signer's certificate is not one for signatures", "CHAIN_CONSTRAINTS_FAILURE")
    else:
        yield passed("CHAIN", " < ".join(party.name for party in path))
    known = revocation(path, evidence.covered, evidence.at)
    yield revocation_check("REVOCATION", evidence.revocation(path), time, isinstance(known, Revoked), proven)
    yield from bounds_checks(standpoint, path, Use.DOCUMENT_SIGNER, time)
