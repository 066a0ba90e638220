"""Writing seals and stamps: version 5 by default, version 4 on request (STANDARDS.md §3).

A seal: sign :func:`build_seal_info`'s octets with the maker's SM2 key, then :func:`assemble_seal`. A stamp: sign
:func:`build_tbs_sign`'s octets with the signer's SM2 key, then :func:`assemble_ses_signature`. Signatures are DER
SEQUENCE{r, s}; a raw r‖s is never written.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from keys.base import der
from keys.custody import sm2
from seal.asn1_structures import CERTIFICATES, DIGESTS, SM2_WITH_SM3

WRITTEN_VERSIONS = (5, 4)
DEFAULT_VERSION = 5
ORGANISATION_SEAL, PERSONAL_SEAL = 1, 2
DIGEST_TYPE = b"SM3"
"""``type`` of our CertDigestObj: the algorithm by its name. The standards leave the word to the maker."""
_PRINTABLE_STRING = 0x13
_ALGORITHM = der.object_identifier(SM2_WITH_SM3)


class SignerList(StrEnum):
    """How a seal names who may stamp: by whole certificates (certListType 1) or by their SM3 digests (2)."""

    CERTIFICATES = "certificates"
    DIGESTS = "digests"


@dataclass(frozen=True, slots=True)
class SealContent:
    """What a maker puts into a seal. ``certificates`` (DER) are those who may stamp; sizes are whole millimetres."""

    es_id: str
    name: str
    certificates: tuple[bytes, ...]
    created: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime
    picture: bytes
    width_mm: int
    height_mm: int
    picture_type: str = "PNG"
    type: int = ORGANISATION_SEAL
    vendor: str = "FUJIE"
    signer_list: SignerList = SignerList.CERTIFICATES


def build_seal_info(content: SealContent, version: int = DEFAULT_VERSION) -> bytes:
    """DER(eSealInfo), the octets the maker signs."""
    return der.sequence(
        der.sequence(der.ia5_string("ES"), der.integer(_written(version)), der.ia5_string(content.vendor)),
        der.ia5_string(content.es_id),
        der.sequence(
            der.integer(content.type),
            der.utf8_string(content.name),
            *_signers(content),
            der.generalized_time(content.created),
            der.generalized_time(content.valid_from),
            der.generalized_time(content.valid_to),
        ),
        der.sequence(
            der.ia5_string(content.picture_type),
            der.octet_string(content.picture),
            der.integer(content.width_mm),
            der.integer(content.height_mm),
        ),
    )


def _signers(content: SealContent) -> tuple[bytes, bytes]:
    """certListType and certList."""
    if content.signer_list is SignerList.CERTIFICATES:
        return der.integer(CERTIFICATES), der.sequence(*(der.octet_string(one) for one in content.certificates))
    return der.integer(DIGESTS), der.sequence(*(_digest(one) for one in content.certificates))


def _digest(certificate: bytes) -> bytes:
    """A CertDigestObj: SM3 of the certificate's DER."""
    return der.sequence(der.encode(_PRINTABLE_STRING, DIGEST_TYPE), der.octet_string(sm2.sm3(certificate)))


def assemble_seal(seal_info: bytes, maker_certificate: bytes, signature: bytes, timestamp: bytes | None = None) -> bytes:
    """DER(SESeal). ``timestamp`` (a token over the signature value) belongs to version 5 only."""
    parts = [seal_info, der.octet_string(maker_certificate), _ALGORITHM, der.bit_string(signature)]
    return der.sequence(*parts, *_timestamp(timestamp))


def build_tbs_sign(seal: bytes, time: dt.datetime, data_hash: bytes, property_info: str, version: int = DEFAULT_VERSION) -> bytes:
    """DER(TBS_Sign), the octets the stamping key signs. ``data_hash`` is SM3 of what is stamped, ``seal`` a DER SESeal."""
    return der.sequence(
        der.integer(_written(version)),
        seal,
        der.generalized_time(time),
        der.bit_string(data_hash),
        der.ia5_string(property_info),
    )


def assemble_ses_signature(tbs_sign: bytes, certificate: bytes, signature: bytes, timestamp: bytes | None = None) -> bytes:
    """DER(SES_Signature)."""
    return der.sequence(tbs_sign, der.octet_string(certificate), _ALGORITHM, der.bit_string(signature), *_timestamp(timestamp))


def _timestamp(token: bytes | None) -> tuple[bytes, ...]:
    return () if token is None else (der.encode(der.EXPLICIT_0, der.bit_string(token)),)


def _written(version: int) -> int:
    if version not in WRITTEN_VERSIONS:
        raise ValueError(f"version {version} is read only")
    return version
