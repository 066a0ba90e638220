"""Reading the SignedData of our own profile: what it states, and whether it is written as we would have written it.

Taken apart by offsets, not by a general decoder: the form is decided by :func:`canonical`, which writes the whole again from what was
read and compares octets (LIBRARIES.md, "Verifying PDFs", rule 7), so nothing that was passed over can hide.
"""

from dataclasses import dataclass

from keys.base import der, der_values
from keys.base.der import Element
from keys.time.reading import read_token
from seal.asn1_structures import SES_ATTRIBUTE
from seal.cms import Signed
from seal.verification_path import Party, read_certificate

_SET, _CERTIFICATES = 0x31, 0xA0
_SIGNATURE_TIME_STAMP = der.object_identifier("1.2.840.113549.1.9.16.2.14")
_MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
_SES = der.object_identifier(SES_ATTRIBUTE)


@dataclass(frozen=True, slots=True)
class Stated:
    """What the CMS in the gap says. ``attributes``: the signed attributes, DER, with the SET's universal tag.

    ``unsigned``: the unsigned attributes as they stand, or empty; ``token``: the signature time stamp within them, if there is one.
    """

    message: bytes
    certificates: tuple[bytes, ...]
    signer: Party
    digest: bytes
    ses: bytes
    attributes: bytes
    signature: bytes
    unsigned: bytes = b""
    token: bytes | None = None


def read_stated(message: bytes) -> Stated:
    """Raises ValueError (``NotDer``), IndexError or KeyError where it is no SignedData of ours."""
    _, content = der.members(der.outermost(message))  # every part is read strictly by whoever reads it, and canonical() by octets
    _, _, _, carried, *_, signer_infos = der.members(der_values.inner(content))
    (signer_info,) = der_values.children(signer_infos)
    _, named, _, signed, _, signature, *unsigned = der.members(signer_info)
    certificates = tuple(one.encoded for one in der_values.children(carried))
    attributes = _attributes(signed)
    return Stated(
        message=message,
        certificates=certificates,
        signer=_signer(certificates, named),
        digest=der_values.octets(der.outermost(attributes[_MESSAGE_DIGEST])),
        ses=der_values.octets(der.outermost(attributes[_SES])),
        attributes=der.encode(_SET, signed.value),
        signature=der_values.octets(signature),
        unsigned=b"".join(one.encoded for one in unsigned),
        token=_attributes(unsigned[0]).get(_SIGNATURE_TIME_STAMP) if unsigned else None,
    )


def _attributes(element: Element) -> dict[bytes, bytes]:
    """The one value of each attribute by its type, DER."""
    found: dict[bytes, bytes] = {}
    for attribute in der_values.children(element):
        kind, values = der.members(attribute)
        (value,) = der_values.children(values)
        if kind.encoded in found:
            raise ValueError("an attribute that is there twice")
        found[kind.encoded] = value.encoded
    return found


def _signer(certificates: tuple[bytes, ...], named: Element) -> Party:
    issuer, serial = der.members(named)
    wanted = issuer.encoded, der_values.integer(serial)
    for party in map(read_certificate, certificates):
        if party is not None and (party.issuer, party.serial) == wanted:
            return party
    raise ValueError("the signer's certificate is not there")


def canonical(stated: Stated, octets: bytes) -> bool:
    """Whether ``octets`` (what the gap spells) are what we would have written from the same values, padded with zeros.

    The digest is judged elsewhere: a changed document does not make the SignedData malformed.
    """
    if stated.unsigned and stated.token is None:
        return False
    if stated.token is not None and not plain_token(stated.token):
        return False
    others = [certificate for certificate in stated.certificates if certificate != stated.signer.encoded]
    signed = Signed((stated.signer.encoded, *others), stated.digest, stated.ses)
    message = signed.content_info(stated.signature, stated.token)
    return octets.startswith(message) and not octets[len(message) :].strip(b"\0")


def plain_token(token: bytes) -> bool:
    """Whether a time-stamp token holds nothing but what is judged: sorted certificates, no lists, one signer without unsigned attributes.

    Its signed attributes are covered by its own signature, its content by them; the rest is written here again and compared.
    """
    try:
        read = read_token(token)
        kind, content = der.members(der.outermost(token))  # which read_token has read strictly, to the last octet
        version, algorithms, encapsulated, _, signer_infos = der.members(der_values.inner(content))
        (signer_info,) = der_values.children(signer_infos)
        numbered, named, digest, attributes, algorithm, signature = der.members(signer_info)
    except (ValueError, IndexError):
        return False
    signer = der.sequence(*(one.encoded for one in (numbered, named, digest, attributes, algorithm, signature)))
    signed_data = der.sequence(
        version.encoded,
        der.encode(_SET, digest.encoded),
        encapsulated.encoded,
        der.encode(_CERTIFICATES, *sorted(read.certificates)),
        der.encode(_SET, signer),
    )
    canonical_form = der.sequence(kind.encoded, der.encode(der.EXPLICIT_0, signed_data))
    return canonical_form == token and _plain_attributes(attributes) and algorithms.encoded == der.encode(_SET, digest.encoded)


def _plain_attributes(element: Element) -> bool:
    """DER: in ascending order (X.690 §11.6)."""
    found = [one.encoded for one in der_values.children(element)]
    return found == sorted(found)
