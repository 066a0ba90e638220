"""TimeStampToken and TimeStampResp (RFC 3161 §2.4.2, RFC 5816), written octet by octet as ``seal.cms`` does: DER, SETs sorted.

What does not change from one token to the next is encoded once for each signer; a token costs little more than its signature.
"""

import datetime as dt
from dataclasses import dataclass
from hashlib import sha256

from asn1crypto.x509 import Certificate

from keys.base import der
from keys.time.request import Failure, Request

_SET, _IMPLICIT_0, _MILLIS = 0x31, 0xA0, 0x80
_CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
_SIGNING_CERTIFICATE_V2 = der.object_identifier("1.2.840.113549.1.9.16.2.47")
_TST_INFO = der.object_identifier("1.2.840.113549.1.9.16.1.4")
_SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
_SHA256 = der.sequence(der.object_identifier("2.16.840.1.101.3.4.2.1"))
_ECDSA_SHA256 = der.sequence(der.object_identifier("1.2.840.10045.4.3.2"))
_TRUE = b"\x01\x01\xff"
_VERSION_1, _VERSION_3 = der.integer(1), der.integer(3)
_GRANTED = der.sequence(der.integer(0))
_REJECTION = der.integer(2)

# 2.25 is the arc of UUIDs, which anybody may use without asking (ITU-T X.667); the UUID a28e4afd-350b-4321-812f-6883fee1175d was
# drawn for this policy, which docs/time.md states.
DEFAULT_POLICY = "2.25.216073762430520423987309587640283633501"


@dataclass(frozen=True, slots=True)
class Promise:
    """What every token of an authority states.

    ``policy``    OID of the policy it is issued under
    ``accuracy``  genTime is right to this, either way; zero leaves it unsaid
    ``ordering``  any two tokens are ordered by their genTime, which then strictly grows
    """

    policy: str = DEFAULT_POLICY
    accuracy: dt.timedelta = dt.timedelta(seconds=1)
    ordering: bool = True


def write_info(promise: Promise, request: Request, serial: int, instant: dt.datetime) -> bytes:
    """TSTInfo, DER. ``instant`` is written to the millisecond."""
    return der.sequence(
        _VERSION_1,
        der.object_identifier(promise.policy),
        request.imprint,
        der.integer(serial),
        generalized_time(instant),
        _accuracy(promise.accuracy),
        _TRUE if promise.ordering else b"",
        request.nonce or b"",
    )


def generalized_time(instant: dt.datetime) -> bytes:
    """GeneralizedTime to the millisecond; DER writes no zeros at the end of a fraction (X.690 §11.7.3).

    Not finer: Java reads three digits.
    """
    utc = instant.astimezone(dt.UTC)
    fraction = f".{utc.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return der.encode(der.GENERALIZED_TIME, f"{utc:%Y%m%d%H%M%S}{fraction}Z".encode())


def _accuracy(accuracy: dt.timedelta) -> bytes:
    """Accuracy: seconds and milliseconds, each absent where it is zero."""
    seconds, millis = divmod(accuracy // dt.timedelta(milliseconds=1), 1000)
    parts = (der.integer(seconds) if seconds else b"", der.encode(_MILLIS, der.integer(millis)[2:]) if millis else b"")
    return der.sequence(*parts) if any(parts) else b""


class Template:
    """What one signer writes into each token. ``certificates``: its own, then its issuers up to but without the root, DER."""

    def __init__(self, certificates: tuple[bytes, ...]) -> None:
        body = Certificate.load(certificates[0])["tbs_certificate"]
        identifier = der.sequence(der.octet_string(sha256(certificates[0]).digest()))  # SHA-256 is the default and absent (RFC 5816)
        self._certificates = der.encode(_IMPLICIT_0, *sorted(certificates))
        self._signer_head = _VERSION_1 + der.sequence(body["issuer"].dump(), body["serial_number"].dump()) + _SHA256
        self._attributes = (
            _attribute(_CONTENT_TYPE, _TST_INFO),
            _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(identifier))),
        )

    def attributes(self, info: bytes) -> bytes:
        """The content of the signed attributes over a TSTInfo: sorted, without a tag."""
        return b"".join(sorted((*self._attributes, _attribute(_MESSAGE_DIGEST, der.octet_string(sha256(info).digest())))))

    @staticmethod
    def signed(attributes: bytes) -> bytes:
        """What is signed: the attributes under the tag of a SET (RFC 5652 §5.4)."""
        return der.encode(_SET, attributes)

    def token(self, info: bytes, attributes: bytes, signature: bytes, *, certificates: bool) -> bytes:
        """The ContentInfo. ``signature``: DER ECDSA-Sig-Value over :meth:`signed`."""
        signer = der.sequence(self._signer_head, der.encode(_IMPLICIT_0, attributes), _ECDSA_SHA256, der.octet_string(signature))
        signed_data = der.sequence(
            _VERSION_3,
            der.encode(_SET, _SHA256),
            der.sequence(_TST_INFO, der.encode(der.EXPLICIT_0, der.octet_string(info))),
            self._certificates if certificates else b"",
            der.encode(_SET, signer),
        )
        return der.sequence(_SIGNED_DATA, der.encode(der.EXPLICIT_0, signed_data))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der.sequence(kind, der.encode(_SET, value))


def granted(token: bytes) -> bytes:
    """TimeStampResp with a token."""
    return der.sequence(_GRANTED, token)


def rejected(failure: Failure, reason: str) -> bytes:
    """TimeStampResp without one; ``reason`` is for a person to read."""
    unused = 7 - failure % 8
    bits = bytes(failure // 8) + bytes((1 << unused,))
    status = der.sequence(_REJECTION, der.sequence(der.utf8_string(reason)), der.encode(der.BIT_STRING, bytes((unused,)), bits))
    return der.sequence(status)
