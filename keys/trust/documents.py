"""The list of trusted authorities as a document: JSON, signed as :mod:`keys.trust.signed` says.

``docs/trust-list.md`` describes the format for others and holds its JSON Schema.
"""

import base64
import datetime as dt
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keys.trust.certificates import Certificate, fingerprint, read_certificate
from keys.trust.entries import JSON, Scope, Since, TrustedAuthority, Use
from keys.trust.errors import TrustBundleMalformed, TrustListMalformed, TrustListOutdated
from keys.trust.lifecycle import Status
from keys.trust.signed import MALFORMED, sign_document, verify_document

FORMAT = "fujie-trust-list/1"
TYPE = "fujie-trust-list+json"
_SHOWN = frozenset({Status.ACTIVE, Status.SUSPENDED, Status.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class TrustList:
    """What a list says. ``previous`` is the SHA-256 (hex) of the list before it; ``issuer`` the base URL of who signed it.

    ``code_keys``: the public keys of the issuer's offline codes, as its key set says them.
    """

    issuer: str
    version: int
    issued_at: dt.datetime
    next_update: dt.datetime
    previous: str | None
    authorities: tuple[TrustedAuthority, ...]
    code_keys: tuple[JSON, ...] = ()


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
    } | ({"code_keys": list(trust_list.code_keys)} if trust_list.code_keys else {})


def sign_list(trust_list: TrustList, alg: str, chain: Sequence[bytes], sign: Callable[[bytes], bytes]) -> bytes:
    """The JWS, JSON. ``chain``: the signer's certificate first, DER; ``sign`` answers a DER SEQUENCE{r, s} over the message."""
    return sign_document(TYPE, list_document(trust_list), alg, chain, sign)


def verify_list(data: bytes, roots: Sequence[bytes] = ()) -> SignedList:
    """The list, its signature and its signer's chain checked; whether it is current is :func:`require_current`'s to say.

    1. what :func:`keys.trust.signed.verify_document` checks, and raises
    2. the payload is a list of format fujie-trust-list/1                                 TRUST_LIST_MALFORMED
    """
    signed = verify_document(TYPE, data, roots)
    return SignedList(_read_list(signed.payload), signed.chain, signed.digest)


def require_current(signed: SignedList, now: dt.datetime) -> None:
    """Raises :class:`TrustListOutdated` for a list past its next update, not issued yet, or whose signer's chain has ended."""
    trust_list = signed.list
    if not trust_list.issued_at <= now <= trust_list.next_update or not all(one.valid_at(now) for one in signed.chain):
        raise TrustListOutdated(f"good from {instant_text(trust_list.issued_at)} to {instant_text(trust_list.next_update)}")


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
            code_keys=tuple(dict(one) for one in document.get("code_keys", ())),
        )
    except (*MALFORMED, TrustBundleMalformed) as error:
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


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
