"""Which addresses our service may ask, of those that somebody with rights registered. Pure.

An address on the machine itself or within the house's networks is one that other services trust: whoever can register it could make ours
ask what it may not (SSRF). So only public addresses are asked, unless the operator names the networks (GB/T 20984, OWASP A10).
"""

import ipaddress
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reachable:
    """``networks``: what may be asked although it is not public."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def read(cls, text: str) -> "Reachable":
        """CIDR, separated by commas. Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()))

    def permits(self, address: str) -> bool:
        """Whether an IP address may be asked; what is none may not. An IPv4 address within one of IPv6 counts as itself.

        >>> [Reachable().permits(one) for one in ("8.8.8.8", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::ffff:127.0.0.1", "::1")]
        [True, False, False, False, False, False]
        >>> Reachable.read("10.0.0.0/8").permits("10.1.2.3")
        True
        """
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        found = _inner(found) or found
        return any(found in network for network in self.networks) or (found.is_global and not found.is_multicast)

    def names(self, address: str) -> bool:
        """Whether an IP address lies within the networks that the operator named, public or not.

        >>> [Reachable.read("10.0.0.0/8").names(one) for one in ("10.1.2.3", "8.8.8.8", "nobody")]
        [True, False, False]
        """
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any((_inner(found) or found) in network for network in self.networks)


PUBLIC = Reachable()
"""What is asked where the operator names nothing."""


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def is_literal(host: str) -> bool:
    """Whether a host is an address by itself, or a name that never leads elsewhere than to this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
