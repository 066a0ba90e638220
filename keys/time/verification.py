"""Is this a time stamp of that digest, by somebody we trust? A plain function: no clock, no network.

1. it is a TimeStampToken in DER with one signer                                     RFC 3161 §2.4.2
2. its imprint is the digest, under the same algorithm
3. the signed attributes name the content type, its digest and the signer's certificate   RFC 5652 §5.4, RFC 5816
4. the signature holds under that certificate
5. the certificate is for time stamping and for nothing else, and says so critically  RFC 3161 §2.3
6. a path leads from it to an anchor, every certificate on it valid at genTime

Revocation is not asked here: whoever keeps revocation lists asks ``keys.pki.validation`` about :attr:`Timestamp.path` at an instant
of their own choice, since a list of today says more about a token of last year than one of that day.
"""

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asn1crypto.x509 import Certificate

from keys.base import der, der_values
from keys.base.der import NotDer
from keys.custody.sm2 import sm3
from keys.custody.verifying import algorithm_identifier, verify_signature_once
from keys.pki.validation import Material, Party, Rules, validate
from keys.time.errors import TimestampInvalid
from keys.time.imprints import Imprint
from keys.time.reading import SignerInfo, Token, read_token

TIME_STAMPING = "1.3.6.1.5.5.7.3.8"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_TST_INFO = der.object_identifier("1.2.840.113549.1.9.16.1.4")
_RSA = "1.2.840.113549.1.1.1"
_RULES = Rules(revocation=False, extended_key_usage=TIME_STAMPING, extended_required=True)
_SIGNING_USE = frozenset({"digital_signature", "non_repudiation"})

_DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "2.16.840.1.101.3.4.2.1": lambda data: hashlib.sha256(data).digest(),
    "2.16.840.1.101.3.4.2.2": lambda data: hashlib.sha384(data).digest(),
    "2.16.840.1.101.3.4.2.3": lambda data: hashlib.sha512(data).digest(),
    "1.2.156.10197.1.401": sm3,
}
# An RSA signer may name the bare key algorithm and leave the hash to digestAlgorithm (RFC 3370 §3.2).
_RSA_WITH: Mapping[str, str] = {
    "2.16.840.1.101.3.4.2.1": "1.2.840.113549.1.1.11",
    "2.16.840.1.101.3.4.2.2": "1.2.840.113549.1.1.12",
    "2.16.840.1.101.3.4.2.3": "1.2.840.113549.1.1.13",
}


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A time stamp that was found good.

    ``instant``, ``accuracy``, ``ordering``, ``policy``, ``serial``, ``nonce`` as its authority states them;
    ``path`` the signer's certificate, then its issuers up to the anchor, DER; ``signer`` the signer's name for people
    """

    instant: dt.datetime
    accuracy: dt.timedelta | None
    ordering: bool
    policy: str
    serial: int
    nonce: int | None
    signer: str
    path: tuple[bytes, ...]


def verify_token(octets: bytes, imprint: Imprint, anchors: Sequence[bytes], more: Sequence[bytes] = ()) -> Timestamp:
    """The facts of a token over ``imprint`` whose signer an anchor (certificate, DER) vouches for; ``TimestampInvalid``.

    ``more``: certificates to build the path with besides those the token carries.
    """
    try:
        return _judge(read_token(octets), imprint, anchors, more)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise TimestampInvalid(f"no time stamp: {error}") from error


def _judge(token: Token, imprint: Imprint, anchors: Sequence[bytes], more: Sequence[bytes]) -> Timestamp:
    if token.info.imprint.algorithm != imprint.algorithm or not hmac.compare_digest(token.info.imprint.digest, imprint.digest):
        raise TimestampInvalid("it stamps something else")
    material = Material.read(anchors, (*token.certificates, *more))
    signer = _signer(token.signer, material.candidates)
    _check_attributes(token, signer)
    _check_signature(token.signer, signer)
    _check_purpose(signer)
    info = token.info
    found = validate(signer, material, info.instant, _RULES)
    if found.fault is not None:
        raise TimestampInvalid(f"nobody who is trusted vouches for its signer at that instant: {found.fault.reason}")
    path = tuple(one.encoded for one in found.path)
    return Timestamp(info.instant, info.accuracy, info.ordering, info.policy, info.serial, info.nonce, signer.name, path)


def _signer(info: SignerInfo, parties: Sequence[Party]) -> Party:
    for party in parties:
        if (party.issuer, party.serial) == info.issuer_and_serial:
            return party
    raise TimestampInvalid("its signer's certificate is not there")


def _check_attributes(token: Token, signer: Party) -> None:
    attributes = token.signer.attributes
    digest = _DIGESTS.get(token.signer.digest_algorithm)
    if digest is None:
        raise TimestampInvalid("a digest algorithm that is not accepted")
    expected = der.octet_string(digest(token.content))
    if attributes.get(_CONTENT_TYPE) != _TST_INFO or attributes.get(_MESSAGE_DIGEST) != expected:
        raise TimestampInvalid("its content was changed")
    try:
        named = _names_certificate(attributes, signer.encoded)
    except NotDer:
        named = False
    if not named:
        raise TimestampInvalid("it does not name its signer's certificate")


def _names_certificate(attributes: Mapping[str, bytes], certificate: bytes) -> bool:
    """Whether each ESSCertID that is there (the first of each list) has the certificate's digest; one must be there (RFC 5816 §2.2.1)."""
    answers = []
    if (older := attributes.get(_SIGNING_CERTIFICATE)) is not None:
        answers.append(_first_identifier(older)[0].value == hashlib.sha1(certificate).digest())  # noqa: S324 - what ESSCertID is
    if (newer := attributes.get(_SIGNING_CERTIFICATE_V2)) is not None:
        members = _first_identifier(newer)
        named = members[0].tag == der.SEQUENCE
        kind = der_values.dotted(der.members(members[0])[0]) if named else "2.16.840.1.101.3.4.2.1"
        digest = _DIGESTS.get(kind)
        answers.append(digest is not None and members[1 if named else 0].value == digest(certificate))
    return bool(answers) and all(answers)


def _first_identifier(attribute: bytes) -> list[der.Element]:
    identifiers = der.members(der.read(attribute))
    members = der.members(der.members(identifiers[0])[0]) if identifiers and identifiers[0].value else []
    if not members or (members[0].tag == der.SEQUENCE and (len(members) < 2 or not members[0].value)):
        raise NotDer("no ESSCertID")
    return members


def _check_signature(info: SignerInfo, signer: Party) -> None:
    algorithm = info.algorithm
    if der_values.dotted(der.members(der.read(algorithm))[0]) == _RSA:
        algorithm = algorithm_identifier(_RSA_WITH.get(info.digest_algorithm, _RSA), b"\x05\x00")
    if not verify_signature_once(signer.public, algorithm, info.signed, info.signature):
        raise TimestampInvalid("its signature does not hold")


def _check_purpose(signer: Party) -> None:
    if signer.extended_key_usage != frozenset({TIME_STAMPING}) or not _purpose_is_critical(signer.encoded):
        raise TimestampInvalid("its signer's certificate is not for time stamping alone")
    if signer.key_usage is not None and not signer.key_usage <= _SIGNING_USE:
        raise TimestampInvalid("its signer's key is for other uses too")


@lru_cache(maxsize=64)
def _purpose_is_critical(certificate: bytes) -> bool:
    return any(
        one["extn_id"].native == "extended_key_usage" and one["critical"].native
        for one in Certificate.load(certificate)["tbs_certificate"]["extensions"]
    )
