"""Revocation lists of others (RFC 5280 §5): what one must be before it is kept. Plain functions, no clock."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from asn1crypto import crl

from keys.base import der
from keys.custody.verifying import verify_signature
from keys.trust.certificates import Certificate, fingerprint
from keys.trust.ocsp import SKEW, RevocationAnswerRefused

_UNDERSTOOD = frozenset({"issuing_distribution_point"})
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class ReadList:
    """A believed list; ``issuer`` is SHA-256 of its issuer's certificate."""

    issuer: bytes
    this_update: dt.datetime
    next_update: dt.datetime
    encoded: bytes


def read_list(encoded: bytes, issuers: Sequence[Certificate], now: dt.datetime) -> ReadList:
    """The list, believed: signed by one of ``issuers`` that may sign lists, current, and of a form that is understood.

    An indirect or delta list is refused: what it leaves out would look unrevoked. Raises ``RevocationAnswerRefused``.
    """
    try:
        signed, algorithm, signature = der.members(der.read(encoded))
        body = crl.CertificateList.load(encoded, strict=True)["tbs_cert_list"]
        this_update, next_update = body["this_update"].native, body["next_update"].native
        name = body["issuer"].dump()
        unknown = {one["extn_id"].native for one in body["crl_extensions"] or () if one["critical"].native} - _UNDERSTOOD
        agreed = body["signature"].dump() == algorithm.encoded
        partial = _is_partial(body)
    except _UNREADABLE as error:
        raise RevocationAnswerRefused(f"no revocation list: {type(error).__name__}") from error
    if unknown or partial or not agreed:
        raise RevocationAnswerRefused("a list of a form that is not understood")
    if next_update is None or not this_update - SKEW <= now <= next_update:
        raise RevocationAnswerRefused("it is not current")
    for issuer in issuers:
        may = issuer.subject == name and issuer.may("crl_sign")
        if may and verify_signature(issuer.public, algorithm.encoded, signed.encoded, signature.value[1:]):
            return ReadList(fingerprint(issuer.encoded), this_update, next_update, encoded)
    raise RevocationAnswerRefused("not signed by the authority it should be of")


def _is_partial(body: crl.TbsCertList) -> bool:
    for one in body["crl_extensions"] or ():
        if one["extn_id"].native != "issuing_distribution_point":
            continue
        point = one["extn_value"].parsed
        return bool(point["indirect_crl"].native or point["only_some_reasons"].native or point["only_contains_attribute_certs"].native)
    return False
