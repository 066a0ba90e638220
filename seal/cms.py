"""The SignedData of our own PDF profile, written octet by octet (RFC 5652, ETSI EN 319 122-1 and 319 142-1 baseline B-B and B-T).

Everything in it follows from a few values, so that a verifier can write it again from what it has validated and compare
octets: nothing in a ``/Contents`` of ours can be changed unnoticed. DER throughout; SET OF members are sorted (X.690 §11.6).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from asn1crypto.x509 import Certificate

from keys.base import der
from seal.asn1_structures import SES_ATTRIBUTE

_SET, _IMPLICIT_0, _IMPLICIT_1 = 0x31, 0xA0, 0xA1
_CERTIFICATES = 1024
_DATA = der.object_identifier("1.2.840.113549.1.7.1")
_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2 = der.object_identifier("1.2.840.113549.1.9.16.2.47")
_SIGNATURE_TIME_STAMP = der.object_identifier("1.2.840.113549.1.9.16.2.14")
_SES = der.object_identifier(SES_ATTRIBUTE)
_SHA256 = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256 = der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))
_VERSION_1 = der.integer(1)


def set_of(*members: bytes, tag: int = _SET) -> bytes:
    """A DER SET OF: members in ascending order of their encodings."""
    return der.encode(tag, *sorted(members))


@dataclass(frozen=True, slots=True)
class Signed:
    """What a SignedData of our profile is made of.

    ``certificates``  DER: the signer's, then its issuers without the root
    ``digest``        SHA-256 of the ByteRange octets
    ``ses``           the DER SES_Signature over the same octets (GM/T 0031); None: PAdES alone, for readers of that
    """

    certificates: tuple[bytes, ...]
    digest: bytes
    ses: bytes | None

    @property
    def signer(self) -> bytes:
        return self.certificates[0]

    def attributes(self) -> bytes:
        """The signed attributes as they are signed: a SET OF with its universal tag (RFC 5652 §5.4)."""
        return set_of(*self._attributes())

    def content_info(self, signature: bytes, token: bytes | None = None) -> bytes:
        """The whole ContentInfo. ``signature``: DER ECDSA-Sig-Value over :meth:`attributes`; ``token``: a time stamp over it (B-T)."""
        signer_info = der.sequence(
            _VERSION_1,
            _issuer_and_serial(self.signer),
            _SHA256,
            set_of(*self._attributes(), tag=_IMPLICIT_0),
            _ECDSA_SHA256,
            der.octet_string(signature),
            b"" if token is None else der.encode(_IMPLICIT_1, _attribute(_SIGNATURE_TIME_STAMP, token)),
        )
        signed_data = der.sequence(
            _VERSION_1,
            set_of(_SHA256),
            der.sequence(_DATA),
            set_of(*self.certificates, tag=_IMPLICIT_0),
            set_of(signer_info),
        )
        return der.sequence(_SIGNED_DATA, der.encode(der.EXPLICIT_0, signed_data))

    def _attributes(self) -> Iterable[bytes]:
        # PAdES forbids signing-time here: the claimed time stands in /M (EN 319 142-1 §6.3).
        yield _CONTENT_TYPE_DATA
        yield _attribute(_MESSAGE_DIGEST, der.octet_string(self.digest))
        yield _signing_certificate(self.signer)
        if self.ses is not None:
            yield _attribute(_SES, der.octet_string(self.ses))


@dataclass(frozen=True, slots=True)
class Unstamped:
    """A signature that ends its file and has no time stamp yet.

    ``start``, ``end``  where its ``/Contents`` stand; ``message``: the SignedData in it; ``imprint``: SHA-256 of the signature's value
    """

    start: int
    end: int
    message: bytes
    imprint: bytes

    @classmethod
    def at(cls, start: int, end: int, message: bytes) -> "Unstamped":
        """Raises ``NotDer``."""
        return cls(start, end, message, sha256(signature_of(message)).digest())


def signature_of(message: bytes) -> bytes:
    """The signature value in a SignedData of ours, what a signature time stamp is over. Raises ``NotDer``."""
    return der.members(_signer_info(message))[5].value


def with_token(message: bytes, token: bytes) -> bytes:
    """A SignedData of ours with a signature time stamp as its only unsigned attribute. Raises ``NotDer``."""
    kind, content = der.members(der.outermost(message))
    signed_data = der.outermost(content.value)
    parts = [one.encoded for one in der.members(signed_data)]
    signed = [one.encoded for one in der.members(_signer_info(message))]
    if len(signed) != _UNSTAMPED:
        raise der.NotDer("not a SignedData without unsigned attributes")
    stamped = der.sequence(*signed, der.encode(_IMPLICIT_1, _attribute(_SIGNATURE_TIME_STAMP, token)))
    return der.sequence(kind.encoded, der.encode(der.EXPLICIT_0, der.sequence(*parts[:-1], set_of(stamped))))


def token_of(message: bytes) -> bytes | None:
    """The signature time stamp in a SignedData of ours, if there is one. Raises ``NotDer`` for other unsigned attributes."""
    unsigned = der.members(_signer_info(message))[_UNSTAMPED:]
    if not unsigned:
        return None
    kind, values = der.members(der.outermost(unsigned[0].value))
    if kind.encoded != _SIGNATURE_TIME_STAMP:
        raise der.NotDer("an unsigned attribute that is not ours")
    return der.outermost(values.value).encoded


_UNSTAMPED = 6  # members of a SignerInfo without unsigned attributes


def _signer_info(message: bytes) -> der.Element:
    signed_data = der.outermost(der.members(der.outermost(message))[1].value)
    return der.outermost(der.members(signed_data)[-1].value)


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.encode(_SET, value))


_CONTENT_TYPE_DATA = _attribute(_CONTENT_TYPE, _DATA)


@lru_cache(maxsize=_CERTIFICATES)
def _signing_certificate(certificate: bytes) -> bytes:
    """SigningCertificateV2 with one ESSCertIDv2; SHA-256 is its default algorithm and therefore absent (RFC 5035 §4)."""
    identifier = der.sequence(der.octet_string(sha256(certificate).digest()))
    return _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(identifier)))


@lru_cache(maxsize=_CERTIFICATES)
def _issuer_and_serial(certificate: bytes) -> bytes:
    body = Certificate.load(certificate)["tbs_certificate"]
    return der.sequence(body["issuer"].dump(), body["serial_number"].dump())
