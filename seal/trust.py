"""Whom we trust: the roots, and what else the asker has at hand, from one PEM bundle."""

import base64
import binascii
import re
from dataclasses import dataclass

from keys.base.errors import InvalidInput

_BLOCK = re.compile(rb"-----BEGIN (CERTIFICATE|X509 CRL)-----\s*([A-Za-z0-9+/=\s]*?)-----END \1-----")


class TrustUnreadable(InvalidInput):
    code = "TRUST_UNREADABLE"
    public = ("信任列表文件不是有效的 PEM 文件。", "The trust file is not a valid PEM bundle.")


@dataclass(frozen=True, slots=True)
class Trust:
    """DER certificates and CRLs.

    Self-issued certificates are the anchors; any other certificate only helps to build a chain up to one of them.
    Without an anchor no chain can be found and every signature stays INDETERMINATE.
    """

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()

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


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise TrustUnreadable("broken base64") from error
