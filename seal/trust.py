"""Whom we trust: the roots, and what else the asker has at hand, from PEM bundles and signed lists of trusted authorities.

Light on purpose: no parser of certificates is loaded here (:mod:`seal.trust_files` reads signed lists).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keys.base.errors import InvalidInput
from keys.trust.entries import TrustedAuthority
from seal.foreign_rules import AuthorityRules

_BLOCK = re.compile(rb"-----BEGIN (CERTIFICATE|X509 CRL)-----\s*([A-Za-z0-9+/=\s]*?)-----END \1-----")


class TrustUnreadable(InvalidInput):
    code = "TRUST_UNREADABLE"
    public = (
        "信任文件既不是有效的 PEM 文件，也不是签名的信任列表。",
        "The trust file is neither a valid PEM bundle nor a signed trust list.",
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """DER certificates, CRLs and OCSP responses, and authorities that are trusted within bounds.

    Self-issued certificates are the anchors, for every use; any other certificate only helps to build a chain up to one of
    them. Each of ``authorities`` is an anchor too, root or not, for its uses, within its scope and its time.
    ``rules`` say what may differ in the seals of some of them (:mod:`seal.foreign_rules`).
    Without an anchor no chain can be found and every signature stays INDETERMINATE.
    """

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    authorities: tuple[TrustedAuthority, ...] = ()
    responses: tuple[bytes, ...] = ()
    rules: tuple[AuthorityRules, ...] = ()

    @classmethod
    def from_pem(cls, *bundles: bytes) -> "Trust":
        """Certificates and CRLs of PEM bundles, other text ignored (RFC 7468). Raises :class:`TrustUnreadable`."""
        blocks = [(kind, _decoded(body)) for bundle in bundles for kind, body in _BLOCK.findall(bundle)]
        if any(bundle.strip() for bundle in bundles) and not blocks:
            raise TrustUnreadable("no certificate in it")
        return cls(
            tuple(der for kind, der in blocks if kind == b"CERTIFICATE"),
            tuple(der for kind, der in blocks if kind == b"X509 CRL"),
        )

    def to_json(self) -> dict[str, Any]:
        """What crosses a process boundary; octets in hexadecimal."""
        return {
            "certificates": [one.hex() for one in self.certificates],
            "crls": [one.hex() for one in self.crls],
            "authorities": [one.to_json() for one in self.authorities],
            "responses": [one.hex() for one in self.responses],
            "rules": [one.to_json() for one in self.rules],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Trust":
        """The inverse of :meth:`to_json`."""
        return cls(
            tuple(bytes.fromhex(one) for one in value["certificates"]),
            tuple(bytes.fromhex(one) for one in value["crls"]),
            tuple(TrustedAuthority.from_json(one) for one in value["authorities"]),
            tuple(bytes.fromhex(one) for one in value["responses"]),
            tuple(AuthorityRules.from_json(one) for one in value.get("rules", ())),
        )


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise TrustUnreadable("broken base64") from error
