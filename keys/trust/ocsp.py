"""OCSP (RFC 6960) as a client: the request, and what an answer must be before anybody believes it. Plain functions.

An answer counts when its responder is the issuer or certified by it for this (RFC 6960 §4.2.2.2), its signature holds, it speaks of
this certificate, is current, and returns our nonce; one without a nonce is a pre-signed answer and counts for as long as it says.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from asn1crypto import core, ocsp

from keys.base.errors import FujieError
from keys.custody.verifying import verify_signature
from keys.trust.certificates import Certificate, issued_by, read_certificate

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
SKEW = dt.timedelta(minutes=5)
OLDEST_WITHOUT_END = dt.timedelta(hours=1)
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


class RevocationAnswerRefused(FujieError):
    """A responder's or list's answer that cannot be believed: garbled, of somebody else, stale, or wrongly signed."""

    code = "REVOCATION_ANSWER_REFUSED"
    status = 502
    public = ("对方的吊销信息无法采信。", "The other side's revocation data cannot be relied on.")


class OcspStatus(StrEnum):
    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """``fresh``: it returned our nonce. ``encoded`` is the OCSPResponse, DER."""

    status: OcspStatus
    revoked_at: dt.datetime | None
    this_update: dt.datetime
    next_update: dt.datetime | None
    fresh: bool
    encoded: bytes


def ocsp_request(certificate: Certificate, issuer: Certificate, nonce: bytes) -> bytes:
    """OCSPRequest, DER, with SHA-1 names (what every responder knows) and a nonce (RFC 8954)."""
    built = ocsp.OCSPRequest(
        {
            "tbs_request": {
                "request_list": [{"req_cert": _certificate_id(certificate, issuer)}],
                "request_extensions": [{"extn_id": "nonce", "critical": False, "extn_value": core.OctetString(nonce)}],
            }
        }
    )
    encoded: bytes = built.dump()
    return encoded


def _certificate_id(certificate: Certificate, issuer: Certificate) -> dict[str, object]:
    """RFC 6960 §4.1.1: digests that name, not digests that protect."""
    return {
        "hash_algorithm": {"algorithm": "sha1", "parameters": core.Null()},
        "issuer_name_hash": hashlib.sha1(issuer.subject, usedforsecurity=False).digest(),
        "issuer_key_hash": hashlib.sha1(_key_octets(issuer), usedforsecurity=False).digest(),
        "serial_number": certificate.serial,
    }


def _key_octets(issuer: Certificate) -> bytes:
    fields = core.Sequence.load(issuer.public)
    octets: bytes = fields[1].contents[1:]
    return octets


def read_answer(encoded: bytes, certificate: Certificate, issuer: Certificate, nonce: bytes, now: dt.datetime) -> OcspAnswer:
    """The answer, believed. Raises :class:`RevocationAnswerRefused` with the reason."""
    try:
        response = ocsp.OCSPResponse.load(encoded, strict=True)
        status = response["response_status"].native
        if status != "successful":
            raise RevocationAnswerRefused(f"the responder says {status}")
        basic = response["response_bytes"]["response"].parsed
        _check_signer(basic, issuer, now)
        fresh = _check_nonce(basic, nonce)
        return _about(basic, certificate, issuer, now, fresh, encoded)
    except _UNREADABLE as error:
        raise RevocationAnswerRefused(f"no OCSP response: {type(error).__name__}") from error


def _check_signer(basic: Any, issuer: Certificate, now: dt.datetime) -> None:
    signed, signature = basic["tbs_response_data"].dump(), basic["signature"].native
    algorithm = basic["signature_algorithm"].dump()
    offered = [one.dump() for one in basic["certs"] or ()][:8]
    for signer in _allowed(offered, issuer, now):
        if verify_signature(signer.public, algorithm, signed, signature):
            return
    raise RevocationAnswerRefused("signed by nobody who may answer for this issuer")


def _allowed(offered: Sequence[bytes], issuer: Certificate, now: dt.datetime) -> Iterator[Certificate]:
    yield issuer
    for one in map(read_certificate, offered):
        if OCSP_SIGNING in (one.extended_key_usage or ()) and one.valid_at(now) and issued_by(one, issuer):
            yield one


def _check_nonce(basic: Any, nonce: bytes) -> bool:
    for extension in basic["tbs_response_data"]["response_extensions"] or ():
        if extension["extn_id"].native == "nonce":
            if extension["extn_value"].parsed.native != nonce:
                raise RevocationAnswerRefused("the answer to another request: its nonce is not ours")
            return True
    return False


def _about(basic: Any, certificate: Certificate, issuer: Certificate, now: dt.datetime, fresh: bool, encoded: bytes) -> OcspAnswer:
    wanted = _certificate_id(certificate, issuer)
    for single in basic["tbs_response_data"]["responses"]:
        named = single["cert_id"]
        if all(named[part].native == wanted[part] for part in ("issuer_name_hash", "issuer_key_hash", "serial_number")):
            return _current(single, now, fresh, encoded)
    raise RevocationAnswerRefused("it speaks of another certificate")


def _current(single: Any, now: dt.datetime, fresh: bool, encoded: bytes) -> OcspAnswer:
    this_update, next_update = single["this_update"].native, single["next_update"].native
    end = next_update or this_update + OLDEST_WITHOUT_END
    if not this_update - SKEW <= now <= end:
        raise RevocationAnswerRefused("it is not current")
    kind = single["cert_status"].name
    revoked_at = single["cert_status"].chosen["revocation_time"].native if kind == "revoked" else None
    return OcspAnswer(OcspStatus(kind), revoked_at, this_update, next_update, fresh, encoded)
