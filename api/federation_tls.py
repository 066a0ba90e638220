"""The TLS key and certificate of this machine as an instance: a file in the home, certified by our own authority.

It is no key of custody: OpenSSL needs it as a file, it proves only which machine speaks, and it is gone after ninety days. What is said
over the channel is signed with keys in custody (``certs.federation_keys``). Peers trust the authority on our card, so a new certificate
asks nothing of them.
"""

import asyncio
import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from api.files import write_private
from certs.federation_keys import own_card, own_row
from certs.federation_messages import Exchange, anchors, hosts_of
from certs.federation_peers import Peer
from keys.pki.issuing import CertificateOrder, issue_order
from keys.pki.reads import get_authority, service_subject
from keys.trust.certificates import issued_by, read_bundle, read_certificate
from keys.trust.errors import TrustBundleMalformed

PROFILE = "instance-tls"
RENEW = dt.timedelta(days=30)
"""A certificate with less left is replaced."""


@dataclass(frozen=True, slots=True)
class Material:
    """One file, mode 0600: the certificate, its chain, its key. ``serial`` says which it is."""

    path: Path
    serial: int

    def load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.path)


async def ensure_material(exchange: Exchange, home: Path) -> Material:
    """The material of now, made where there is none, or where it ends soon or is of another host or authority.

    Raises ``FederationNotEstablished`` and what issuing raises.
    """
    path = home / "federation" / "tls.pem"
    async with exchange.library.database.session() as session:
        card = await own_card(session)
    now = exchange.library.clock.now()
    serial = _standing(path, card.host, card.authorities, now)
    return Material(path, serial) if serial is not None else await _make(exchange, path, card.host, now)


def _standing(path: Path, host: str, authorities: tuple[bytes, ...], now: dt.datetime) -> int | None:
    try:
        leaf = read_certificate(read_bundle(path.read_bytes())[0])
    except (OSError, TrustBundleMalformed):
        return None
    ours = any(issued_by(leaf, read_certificate(one)) for one in authorities)
    good = ours and host in hosts_of(leaf.encoded) and leaf.valid_at(now) and leaf.not_after - now > RENEW
    return leaf.serial if good else None


async def _make(exchange: Exchange, path: Path, host: str, now: dt.datetime) -> Material:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    async with exchange.library.database.begin() as session:
        row = await own_row(session)
        authority = await get_authority(session, row.authority)
        subject = service_subject(authority, f"Fujie instance {row.instance}")
        order = CertificateOrder(row.authority, PROFILE, subject, public, hosts=(host,))
        issued = await issue_order(session, exchange.keystore, now, order)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await asyncio.to_thread(write_private, path, issued.pem().decode() + private)
    return Material(path, issued.serial)


def server_context(material: Material, peers: tuple[Peer, ...]) -> ssl.SSLContext:
    """TLS 1.3 that lets in only whom one of these peers' authorities certified."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, material)
    context.verify_mode = ssl.CERT_REQUIRED
    admit(context, peers)
    return context


def admit(context: ssl.SSLContext, peers: tuple[Peer, ...]) -> None:
    """Let these in too. Whoever is no peer any more is refused by the message, not here (``certs.federation_messages``)."""
    if bundle := anchors(peers):
        context.load_verify_locations(cadata=bundle)


def client_context(material: Material, peer: Peer) -> ssl.SSLContext:
    """TLS 1.3 to one peer: its authority and no other, its host's name."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, material)
    context.load_verify_locations(cadata=anchors((peer,)))
    return context


def _context(protocol: int, material: Material) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT  # the authority on a card need not be a root
    material.load(context)
    return context
