"""Name constraints (RFC 5280 §4.2.1.10, §6.1.3 (b), (c), §6.1.4 (g)) along a path.

Permitted subtrees are kept as each authority wrote them: a name must be within one subtree of *every* authority that permits its
kind, which is their intersection. A constraint on a kind that is not understood here refuses every name of that kind.
"""

import ipaddress
from collections.abc import Iterator

from keys.pki.validation_certificate import Party
from keys.pki.validation_extensions import ADDRESS, DIRECTORY, DNS, EMAIL, URI, GeneralName
from keys.pki.validation_names import EMAIL_ADDRESS, texts, within
from keys.pki.validation_rules import Budget

_EMPTY_NAME = b"\x30\x00"


class Constraints:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._permitted: list[dict[int, list[bytes]]] = []
        self._excluded: dict[int, list[bytes]] = {}

    def add(self, party: Party) -> None:
        """What this authority permits and excludes to those below it."""
        self._budget.step(len(party.permitted) + len(party.excluded))
        if party.permitted:
            self._permitted.append(_by_kind(party.permitted))
        for kind, bases in _by_kind(party.excluded).items():
            self._excluded.setdefault(kind, []).extend(bases)

    def refused(self, party: Party) -> str | None:
        """The first name of the certificate that is not allowed, as its kind; None where all are."""
        if not (self._permitted or self._excluded):
            return None
        for kind, value in _names(party):
            if self._is_excluded(kind, value) or not all(self._is_permitted(kind, value, group) for group in self._permitted):
                return _KINDS.get(kind, "another name")
        return None

    def _is_excluded(self, kind: int, value: bytes) -> bool:
        bases = self._excluded.get(kind, ())
        self._budget.step(len(bases))
        return any(_matches(kind, base, value, excluding=True) for base in bases)

    def _is_permitted(self, kind: int, value: bytes, group: dict[int, list[bytes]]) -> bool:
        bases = group.get(kind)
        if bases is None:
            return True
        self._budget.step(len(bases))
        return any(_matches(kind, base, value, excluding=False) for base in bases)


_KINDS = {DNS: "a DNS name", EMAIL: "an e-mail address", DIRECTORY: "a directory name", URI: "a URI", ADDRESS: "an IP address"}


def _by_kind(subtrees: tuple[GeneralName, ...]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for kind, base in subtrees:
        found.setdefault(kind, []).append(base)
    return found


def _names(party: Party) -> Iterator[GeneralName]:
    if party.subject != _EMPTY_NAME:
        yield DIRECTORY, party.subject
    yield from party.alternative_names
    if not any(kind == EMAIL for kind, _ in party.alternative_names):
        for text in texts(party.subject, EMAIL_ADDRESS):
            yield EMAIL, text.encode()


def _matches(kind: int, base: bytes, value: bytes, *, excluding: bool) -> bool:
    """Whether the name is within the subtree. What cannot be judged is excluded by every subtree and permitted by none."""
    if kind == DIRECTORY:
        return within(base, value)
    if kind == ADDRESS:
        return _address_matches(base, value, excluding)
    try:
        pattern, name = base.decode("ascii"), value.decode("ascii")
    except UnicodeDecodeError:
        return excluding
    if kind == DNS:
        return _dns_matches(pattern.lower(), name.lower(), excluding)
    if kind == EMAIL:
        return _email_matches(pattern, name, excluding)
    return _uri_matches(pattern.lower(), name, excluding) if kind == URI else excluding


def _dns_matches(base: str, name: str, excluding: bool) -> bool:
    if "*" in base or base.startswith("."):
        return excluding
    if not base or name == base or name.endswith(f".{base}"):
        return True
    # A wildcard stands for every name it may match: one of them in an excluded subtree is enough.
    return excluding and name.startswith("*.") and base.partition(".")[2] == name[2:]


def _email_matches(base: str, name: str, excluding: bool) -> bool:
    local, at, host = name.rpartition("@")
    if not at or not local:
        return excluding
    if "@" in base:
        wanted, _, domain = base.rpartition("@")
        return local == wanted and host.lower() == domain.lower()
    return _host_matches(base.lower(), host.lower())


def _host_matches(base: str, host: str) -> bool:
    """A leading period stands for everything below, no period for this host alone."""
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else host == base


def _uri_matches(base: str, uri: str, excluding: bool) -> bool:
    host = _host_of(uri)
    return excluding if host is None else _host_matches(base, host)


def _host_of(uri: str) -> str | None:
    """The host of a URI with an authority; None for an address or no host, which no constraint can judge."""
    scheme, separator, rest = uri.partition("://")
    if not separator or not scheme:
        return None
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    host = authority.partition(":")[0].lower()
    if not host or authority.startswith("["):
        return None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return None


def _address_matches(base: bytes, value: bytes, excluding: bool) -> bool:
    if len(base) not in (8, 32) or len(value) not in (4, 16):
        return excluding
    half = len(base) // 2
    network, mask = int.from_bytes(base[:half]), int.from_bytes(base[half:])
    holes = ~mask & ((1 << 8 * half) - 1)
    if holes & (holes + 1):
        return excluding
    return len(value) == half and int.from_bytes(value) & mask == network & mask
