"""Messages between instances, both ways.

A message that comes in (:func:`receive`):
  1. *claimed*    the key that its signature names is that of a peer with whom we exchange
  2. *channel*    the TLS certificate it came with was issued by that peer's authority, for that peer's host
  3. *signature*  the key signed exactly this message, to us, just now
  4. *once*       its nonce was not seen before; remembered in a transaction of its own, whatever becomes of the message
  5. *answer*     what was asked; a refusal is an answer too
  6. *sign*       the answer, bound to the message, with the newest key of ours that the peer knows

A message that goes out (:func:`ask`) is signed the same way, and its answer believed only where a key of that very peer signed it for
that very message. Steps 1 to 4 say nothing to a stranger but that the message was refused; why stands in the audit log.
"""

import base64
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from asn1crypto import x509
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from certs.federation import JSON, MessageKey, MessageRefused, PeerAnsweredWrong, PeerStatus, PeerUnreachable
from certs.federation_keys import OwnKey, own_card, own_keys, signer
from certs.federation_models import NonceRow, PeerRow
from certs.federation_peers import Peer, get_peer
from certs.federation_signatures import (
    PATIENCE,
    Claimed,
    Headers,
    SignatureRefused,
    claimed_answer,
    claimed_request,
    sign_answer,
    sign_request,
    verify_answer,
    verify_request,
)
from certs.library import Library
from keys.base.actor import ANONYMOUS
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.custody.store import KeyStore
from keys.evidence.audit import Event, Outcome, record_alone
from keys.trust.certificates import issued_by, read_certificate
from keys.trust.errors import TrustBundleMalformed

PREFIX = "/federation/v1"
LARGEST_MESSAGE = 1 << 20
LARGEST_ANSWER = 64 << 20


class Channel(Protocol):
    """The way to a peer: mutual TLS (``api.federation_channel``), or what stands for it."""

    async def post(self, peer: Peer, path: str, headers: Mapping[str, str], body: bytes) -> "Reply":
        """The answer, whole. Raises ``PeerUnreachable``."""
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came. ``headers`` in lower case, each once; ``certificate``: of the TLS client, DER, already verified by TLS."""

    path: str
    headers: Headers
    body: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """What both directions need."""

    library: Library
    keystore: KeyStore
    channel: Channel


Handler = Callable[[Exchange, Peer, JSON], Awaitable[JSON]]


async def receive(exchange: Exchange, handlers: Mapping[str, Handler], message: Incoming) -> Reply:
    """See the module. Raises ``MessageRefused`` where there is nobody to answer to."""
    database, now = exchange.library.database, exchange.library.clock.now()
    try:
        peer, keys = await _admitted(exchange, message, now)
    except SignatureRefused as refused:
        event = Event("certs.federation.receive", f"path:{message.path[:60]}", Outcome.REFUSED, ANONYMOUS, {"why": str(refused)})
        await record_alone(database, now, event)
        raise MessageRefused from None
    status, content = await _answered(exchange, handlers, peer, message)
    body, key = orjson.dumps(content), signer(keys, peer.knows)
    headers = sign_answer(status, body, message.headers, now, key.public, lambda octets: key.sign(exchange.keystore, octets))
    return Reply(status, headers, body)


async def _admitted(exchange: Exchange, message: Incoming, now: dt.datetime) -> tuple[Peer, tuple[OwnKey, ...]]:
    claimed = claimed_request(message.headers)
    async with exchange.library.database.begin() as session:
        peer, key = await _claimed_by(session, claimed)
        own, keys = await own_card(session), await own_keys(session)
        check_certificate(peer, message.certificate, now)
        verify_request(claimed, own.address + message.path, message.headers, message.body, key, now)
        values = {"peer_id": peer.id, "nonce": claimed.nonce, "expires_at": now + 2 * PATIENCE}
        new = insert(NonceRow).values(values).on_conflict_do_nothing().returning(NonceRow.nonce)
        if await session.scalar(new) is None:
            raise SignatureRefused("this message came before")
    return peer, keys


async def _claimed_by(session: AsyncSession, claimed: Claimed) -> tuple[Peer, MessageKey]:
    """The peer that the key is of, if we exchange with it."""
    holds: Any = [{"kid": claimed.kid}]
    query = select(PeerRow.id).where(PeerRow.status == PeerStatus.ACTIVE.value, PeerRow.keys.contains(holds))
    found = list(await session.scalars(query.limit(2)))
    if len(found) != 1:
        raise SignatureRefused("a key of nobody with whom we exchange")
    peer = await get_peer(session, found[0])
    return peer, next(one for one in peer.keys if one.kid == claimed.kid)


def check_certificate(peer: Peer, certificate: bytes, now: dt.datetime) -> None:
    """Raises :class:`SignatureRefused` unless it is one of this peer: issued directly by its authority, in force, for its host."""
    try:
        leaf = read_certificate(certificate)
        authorities = [read_certificate(one) for one in peer.card.authorities]
    except TrustBundleMalformed as error:
        raise SignatureRefused("no certificate") from error
    if not any(issued_by(leaf, one) for one in authorities) or not leaf.valid_at(now):
        raise SignatureRefused("a certificate of another authority than the peer's")
    if peer.card.host not in hosts_of(certificate):
        raise SignatureRefused("a certificate of another host than the peer's")


def hosts_of(certificate: bytes) -> frozenset[str]:
    """The names and addresses in a certificate's subjectAltName."""
    names = x509.Certificate.load(certificate).subject_alt_name_value
    return frozenset(str(one.native) for one in names if one.name in ("dns_name", "ip_address")) if names else frozenset()


async def _answered(exchange: Exchange, handlers: Mapping[str, Handler], peer: Peer, message: Incoming) -> tuple[int, JSON]:
    try:
        handler = handlers.get(message.path)
        if handler is None:
            return 404, {"code": "NOT_FOUND"}
        given = orjson.loads(message.body)
        if not isinstance(given, dict):
            raise ValueError("no object")
        return 200, await handler(exchange, peer, given)
    except FujieError as error:
        return error.status, {"code": error.code, "title": list(error.public), "reason": str(error.extra.get("reason", ""))}
    except (ValueError, TypeError, KeyError):
        return 422, {"code": "FEDERATION_MESSAGE_MALFORMED"}


class PeerRefused(PeerUnreachable):
    """The peer answered, and the answer is no. ``extra['code']`` is its word, in its own codes."""

    code = "FEDERATION_PEER_REFUSED"
    status = 403
    public = ("对方实例拒绝了该请求。", "The other instance refused this.")

    def __init__(self, code: str, reason: str = "", title: tuple[str, str] | None = None) -> None:
        if title is not None:
            vars(self).update(public=title)
        super().__init__(f"peer says {code[:60]}", peer_code=code[:60], reason=reason[:60])
        self.peer_code = code[:60]


async def ask(exchange: Exchange, peer: Peer, name: str, content: Mapping[str, Any]) -> JSON:
    """Ask a peer; its answer. Raises ``PeerUnreachable``, ``PeerAnsweredWrong``, :class:`PeerRefused`."""
    async with exchange.library.database.session() as session:
        keys = await own_keys(session)
    key, body, now = signer(keys, peer.knows), orjson.dumps(content), exchange.library.clock.now()
    path = f"{PREFIX}/{name}"
    headers = sign_request(peer.address + path, body, now, key.public, lambda octets: key.sign(exchange.keystore, octets))
    reply = await exchange.channel.post(peer, path, headers, body)
    return _believed(exchange, peer, headers, reply)


def _believed(exchange: Exchange, peer: Peer, request: Headers, reply: Reply) -> JSON:
    try:
        claimed = claimed_answer(reply.headers)
        key = next((one for one in peer.keys if one.kid == claimed.kid), None)
        if key is None:
            raise SignatureRefused("a key that is not the peer's")
        verify_answer(claimed, reply.status, reply.headers, reply.body, request, key, exchange.library.clock.now())
        content = orjson.loads(reply.body)
        if not isinstance(content, dict):
            raise ValueError("no object")
    except (SignatureRefused, ValueError) as error:
        raise PeerAnsweredWrong(f"{peer.name[:40]}: {error}"[:120]) from error
    if reply.status != 200:
        raise PeerRefused(str(content.get("code", "")), str(content.get("reason", "")), _title(content.get("title")))
    return content


def _title(value: object) -> tuple[str, str] | None:
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(one, str) and 0 < len(one) <= 300 for one in value):
        return None
    return value[0], value[1]


async def forget_nonces(session: AsyncSession, now: dt.datetime) -> None:
    """Drop what could not be replayed any more anyway: such a message is too old to be believed."""
    await session.execute(delete(NonceRow).where(NonceRow.expires_at < now))


def anchors(peers: tuple[Peer, ...]) -> str:
    """The authorities of these peers, PEM: whose TLS certificates are let in at all."""
    found = dict.fromkeys(one for peer in peers for one in peer.card.authorities)
    return "".join(ssl.DER_cert_to_PEM_cert(one) for one in found)


def octets(value: object) -> bytes:
    """Base64 in its one spelling. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("no base64")
    found = base64.b64decode(value, validate=True)
    if base64.b64encode(found).decode() != value:
        raise ValueError("base64 in another spelling")
    return found
