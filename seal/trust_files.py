"""Reading the files of ``--trust``: PEM bundles, and signed lists of trusted authorities (``docs/trust-list.md``)."""

from collections.abc import Iterable
from typing import Any

import orjson

from keys.trust.documents import SignedList, verify_list
from keys.trust.errors import TrustListMalformed, TrustListSignatureBroken
from seal.foreign_rules import FORMAT, read_rules_document
from seal.trust import Trust, TrustUnreadable


def read_trust(contents: Iterable[bytes]) -> Trust:
    """The trust of all files together.

    A signed list is taken for what it says: whoever names it trusts it, as with a PEM bundle, but its signature must hold. Where
    a PEM bundle stands beside it, the list must be signed under one of the bundle's certificates. Past its next update
    nothing on it is believed. A document of rules (``fujie seal rules export``) says what may differ in the seals of some of them.
    Raises :class:`TrustUnreadable`, ``RulesMalformed``.
    """
    given = list(contents)
    documents = [document for document in map(_rules_document, given) if document is not None]
    files = [data for data in given if _rules_document(data) is None]
    bundles = [data for data in files if not is_list(data)]
    pem = Trust.from_pem(*bundles)
    lists = [_verified(data, pem.certificates) for data in files if is_list(data)]
    rules = tuple(one for document in documents for one in read_rules_document(document))
    return Trust(pem.certificates, pem.crls, tuple(one for signed in lists for one in signed.list.authorities), rules=rules)


def is_list(data: bytes) -> bool:
    return data.lstrip()[:1] == b"{"


def _rules_document(data: bytes) -> dict[str, Any] | None:
    """The document, where it says that it is one of rules."""
    if not is_list(data) or FORMAT.encode() not in data:
        return None
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def _verified(data: bytes, roots: tuple[bytes, ...]) -> SignedList:
    try:
        return verify_list(data, roots)
    except (TrustListMalformed, TrustListSignatureBroken) as error:
        raise TrustUnreadable(f"{error.code}: {error.detail}") from error
