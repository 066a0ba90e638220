"""The list of trusted authorities as a document: JSON, signed as a JWS (RFC 7515 §7.2.2, flattened JSON serialisation).

``docs/trust-list.md`` describes the format for others and holds its JSON Schema. The signer's certificate and its chain stand
in the protected header (``x5c``); the certificate is one for signing trust lists (extended key usage 0.4.0.2231.3.0). The algorithm
is ES256, or ``SM2`` in the 国密 profile: SM2 with SM3, signer id 1234567812345678, r ‖ s; JOSE has registered no name for it.
"""

import base64
import binascii
import datetime as dt
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keys.base import der, der_values
from keys.custody.verifying import ECDSA_WITH_SHA256, SM2_WITH_SM3, algorithm_identifier, verify_signature
from keys.trust.certificates import Certificate, fingerprint, issued_by, read_certificate
from keys.trust.entries import JSON, Scope, Since, TrustedAuthority, Use
from keys.trust.errors import TrustBundleMalformed, TrustListMalformed, TrustListOutdated, TrustListSignatureBroken
from keys.trust.lifecycle import Status

FORMAT = "fujie-trust-list/1"
TYPE = "fujie-trust-list+json"
TRUST_LIST_SIGNING = "0.4.0.2231.3.0"
MAX_LIST = 8 << 20
_MAX_CHAIN = 6
_COORDINATE = 32
_ALGORITHMS = {"ES256": algorithm_identifier(ECDSA_WITH_SHA256), "SM2": algorithm_identifier(SM2_WITH_SM3)}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)
_SHOWN = frozenset({Status.ACTIVE, Status.SUSPENDED, Status.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class TrustList:
    """What a list says. ``previous`` is the SHA-256 (hex) of the list before it; ``issuer`` the base URL of who signed it."""

    issuer: str
    version: int
    issued_at: dt.datetime
    next_update: dt.datetime
    previous: str | None
    authorities: tuple[TrustedAuthority, ...]


@dataclass(frozen=True, slots=True)
class SignedList:
    """A list whose signature holds. ``chain``: its signer first, a root last; ``digest``: SHA-256 of the file."""

    list: TrustList
    chain: tuple[Certificate, ...]
    digest: bytes

    @property
    def root(self) -> bytes:
        """DER of the certificate that the signer's chain leads to."""
        return self.chain[-1].encoded


def instant_text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def authority_document(authority: TrustedAuthority) -> JSON:
    """One authority as the list says it. A proposal is nobody's business: the history begins where it was first trusted."""
    certificate = read_certificate(authority.certificate)
    shown = [step for step in authority.history if step.status in _SHOWN]
    return {
        "certificate": _base64(authority.certificate),
        "sha256": fingerprint(authority.certificate).hex(),
        "subject": certificate.name,
        "own": authority.own,
        "legal_effect": authority.legal_effect,
        "uses": sorted(authority.uses),
        "scope": authority.scope.to_json(),
        "valid_from": instant_text(authority.valid_from),
        "valid_to": instant_text(authority.valid_to),
        "status": shown[-1].status,
        "history": [{"status": step.status, "since": instant_text(step.since)} for step in shown],
        "subordinates": [_base64(one) for one in authority.subordinates],
        "revocation": {"crl": list(authority.crl_urls), "ocsp": list(authority.ocsp_urls)},
    }


def list_document(trust_list: TrustList) -> JSON:
    return {
        "format": FORMAT,
        "issuer": trust_list.issuer,
        "version": trust_list.version,
        "issued_at": instant_text(trust_list.issued_at),
        "next_update": instant_text(trust_list.next_update),
        "previous": trust_list.previous,
        "authorities": [authority_document(one) for one in trust_list.authorities],
    }


def sign_list(trust_list: TrustList, alg: str, chain: Sequence[bytes], sign: Callable[[bytes], bytes]) -> bytes:
    """The JWS, JSON. ``chain``: the signer's certificate first, DER; ``sign`` answers a DER SEQUENCE{r, s} over the message."""
    header = {"alg": alg, "typ": TYPE, "x5c": [_base64(one) for one in chain]}
    protected = _base64url(orjson.dumps(header, option=orjson.OPT_SORT_KEYS))
    payload = _base64url(orjson.dumps(list_document(trust_list), option=orjson.OPT_SORT_KEYS))
    pair = der.members(der.read(sign(f"{protected}.{payload}".encode())))
    signature = b"".join(der_values.integer(one).to_bytes(_COORDINATE) for one in pair)
    return orjson.dumps({"payload": payload, "protected": protected, "signature": _base64url(signature)})


def verify_list(data: bytes, roots: Sequence[bytes] = ()) -> SignedList:
    """The list, its signature and its signer's chain checked; whether it is current is :func:`require_current`'s to say.

    1. it is a flattened JWS of ours, its header says exactly what it must               TRUST_LIST_MALFORMED
    2. the chain of its header leads from a signer of trust lists to a self-issued root   TRUST_LIST_SIGNATURE_BROKEN
    3. where ``roots`` (DER) are given, it ends in one of them
    4. the signature over the octets as they stand holds
    5. the payload is a list of format fujie-trust-list/1                                 TRUST_LIST_MALFORMED
    """
    header, payload, message, signature = _parts(data)
    chain = _chain(header["x5c"])
    _check_chain(chain, roots)
    if not _holds(chain[0], header["alg"], message, signature):
        raise TrustListSignatureBroken("the signature does not hold")
    return SignedList(_read_list(payload), chain, hashlib.sha256(data).digest())


def require_current(signed: SignedList, now: dt.datetime) -> None:
    """Raises :class:`TrustListOutdated` for a list past its next update, not issued yet, or whose signer's chain has ended."""
    trust_list = signed.list
    if not trust_list.issued_at <= now <= trust_list.next_update or not all(one.valid_at(now) for one in signed.chain):
        raise TrustListOutdated(f"good from {instant_text(trust_list.issued_at)} to {instant_text(trust_list.next_update)}")


def _parts(data: bytes) -> tuple[Mapping[str, Any], bytes, bytes, bytes]:
    if len(data) > MAX_LIST:
        raise TrustListMalformed("larger than 8 MB")
    try:
        jws = orjson.loads(data)
        if set(jws) != {"payload", "protected", "signature"}:
            raise ValueError("not a flattened JWS")
        header = orjson.loads(_octets(jws["protected"]))
        if set(header) != {"alg", "typ", "x5c"} or header["typ"] != TYPE or header["alg"] not in _ALGORITHMS:
            raise ValueError("another header than a trust list has")
        message = f"{jws['protected']}.{jws['payload']}".encode()
        return header, _octets(jws["payload"]), message, _octets(jws["signature"])
    except _MALFORMED as error:
        raise TrustListMalformed(f"no signed trust list: {type(error).__name__}") from error


def _chain(texts: object) -> tuple[Certificate, ...]:
    try:
        if not isinstance(texts, list) or not 2 <= len(texts) <= _MAX_CHAIN:
            raise ValueError("no chain")
        return tuple(read_certificate(base64.b64decode(text, validate=True)) for text in texts)
    except (ValueError, TypeError, binascii.Error, TrustBundleMalformed) as error:
        raise TrustListMalformed("the chain of its signer cannot be read") from error


def _check_chain(chain: Sequence[Certificate], roots: Sequence[bytes]) -> None:
    signer, root = chain[0], chain[-1]
    if TRUST_LIST_SIGNING not in (signer.extended_key_usage or ()) or not signer.may("digital_signature"):
        raise TrustListSignatureBroken("its signer's certificate is not one for trust lists")
    links = [*itertools.pairwise(chain), (root, root)]
    if not all(issued_by(subject, issuer) for subject, issuer in links):
        raise TrustListSignatureBroken("its signer's chain does not hold")
    for below, issuer in enumerate(chain[1:]):
        if issuer.path_length is not None and below > issuer.path_length:
            raise TrustListSignatureBroken("its signer's chain is longer than an authority in it allows")
    if roots and root.encoded not in roots:
        raise TrustListSignatureBroken("its signer's chain leads to another root than the expected one")


def _holds(signer: Certificate, alg: str, message: bytes, signature: bytes) -> bool:
    if len(signature) != 2 * _COORDINATE:
        return False
    pair = (int.from_bytes(signature[:_COORDINATE]), int.from_bytes(signature[_COORDINATE:]))
    return verify_signature(signer.public, _ALGORITHMS[alg], message, der.sequence(*map(der.integer, pair)))


def _read_list(payload: bytes) -> TrustList:
    try:
        document = orjson.loads(payload)
        if document["format"] != FORMAT:
            raise ValueError("another format")
        next_update = _instant(document["next_update"])
        version, previous = document["version"], document["previous"]
        if not isinstance(version, int) or isinstance(version, bool) or version < 1 or not isinstance(previous, str | None):
            raise ValueError("no version")
        return TrustList(
            issuer=_text(document["issuer"]),
            version=version,
            issued_at=_instant(document["issued_at"]),
            next_update=next_update,
            previous=previous,
            authorities=tuple(_authority(one, next_update) for one in document["authorities"]),
        )
    except (*_MALFORMED, TrustBundleMalformed) as error:
        raise TrustListMalformed(f"its content is not of format {FORMAT}: {type(error).__name__}") from error


def _authority(document: Mapping[str, Any], until: dt.datetime) -> TrustedAuthority:
    certificate = base64.b64decode(document["certificate"], validate=True)
    if fingerprint(read_certificate(certificate).encoded).hex() != document["sha256"]:
        raise ValueError("a fingerprint that is not the certificate's")
    history = tuple(Since(Status(step["status"]), _instant(step["since"])) for step in document["history"])
    if not history or history[-1].status != document["status"] or any(step.status not in _SHOWN for step in history):
        raise ValueError("a history that does not lead to the status")
    if any(later.since < earlier.since for earlier, later in itertools.pairwise(history)):
        raise ValueError("a history that runs backwards")
    return TrustedAuthority(
        certificate=certificate,
        uses=frozenset(map(Use, document["uses"])),
        scope=Scope.from_json(document["scope"]),
        valid_from=_instant(document["valid_from"]),
        valid_to=_instant(document["valid_to"]),
        history=history,
        subordinates=tuple(base64.b64decode(one, validate=True) for one in document["subordinates"]),
        crl_urls=tuple(map(_text, document["revocation"]["crl"])),
        ocsp_urls=tuple(map(_text, document["revocation"]["ocsp"])),
        legal_effect=document["legal_effect"] is True,
        own=document["own"] is True,
        until=until,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _instant(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)


def _octets(text: str) -> bytes:
    """Unpadded base64url in its one spelling (RFC 7515 §2)."""
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("no base64url")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64url(octets) != text:
        raise ValueError("base64url in another spelling")
    return octets


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
