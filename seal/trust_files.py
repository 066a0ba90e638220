"""Reading the files of ``--trust``: PEM bundles, and signed lists of trusted authorities (``docs/trust-list.md``)."""

from collections.abc import Iterable

from keys.trust.documents import SignedList, verify_list
from keys.trust.errors import TrustListMalformed, TrustListSignatureBroken
from seal.trust import Trust, TrustUnreadable


def read_trust(contents: Iterable[bytes]) -> Trust:
    """The trust of all files together.

    A signed list is taken for what it says: whoever names it trusts it, as with a PEM bundle, but its signature must hold. Where
    a PEM bundle stands beside it, the list must be signed under one of the bundle's certificates. Past its next update
    nothing on it is believed. Raises :class:`TrustUnreadable`.
    """
    files = list(contents)
    bundles = [data for data in files if not is_list(data)]
    pem = Trust.from_pem(*bundles)
    lists = [_verified(data, pem.certificates) for data in files if is_list(data)]
    return Trust(pem.certificates, pem.crls, tuple(one for signed in lists for one in signed.list.authorities))


def is_list(data: bytes) -> bool:
    return data.lstrip()[:1] == b"{"


def _verified(data: bytes, roots: tuple[bytes, ...]) -> SignedList:
    try:
        return verify_list(data, roots)
    except (TrustListMalformed, TrustListSignatureBroken) as error:
        raise TrustUnreadable(f"{error.code}: {error.detail}") from error
