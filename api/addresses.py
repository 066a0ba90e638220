"""The network address a request comes from: the peer of the connection, never what a header claims.

``fujie serve`` reads no ``X-Forwarded-For``; behind a proxy every address is the proxy's, so a window there is named and has no
networks (docs/seal-authority.md).
"""

import ipaddress

from starlette.requests import HTTPConnection

from keys.base.actor import Actor, ActorKind
from seal.places import place_of
from seal.policy_facts import Place


def address_of(request: HTTPConnection) -> str | None:
    """As the policy compares it: an IPv4 address that came by an IPv6 socket is one (RFC 4291 §2.5.5.2)."""
    return plain_address(request.client.host) if request.client else None


async def place_at(request: HTTPConnection, actor: Actor, window: str | None = None) -> Place:
    """Where the actor is: the address, and the window they are posted to (``window``: which, where there are several)."""
    address = address_of(request)
    if actor.kind is not ActorKind.PERSON:
        return Place(None, address)
    async with request.app.state.house.database.session() as session:
        return await place_of(session, actor, window, address)


def plain_address(text: str) -> str:
    """An address without its wrapping.

    >>> plain_address("::ffff:10.3.7.7")
    '10.3.7.7'
    """
    try:
        read = ipaddress.ip_address(text)
    except ValueError:
        return text
    mapped = read.ipv4_mapped if isinstance(read, ipaddress.IPv6Address) else None
    return str(mapped or read)
