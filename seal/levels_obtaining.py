"""Raising the level of a sealed file: what must be asked of others, around the plain functions of :mod:`seal.levels`.

1. :func:`time_room`                before stamping: room for a token, and what a verifier of it needs, for the DSS (B-LT)
2. :func:`add_signature_timestamp`  after stamping, before anyone gets the file: B-T, or B-LT with that DSS
3. :func:`add_document_timestamp`   at any time later: one revision more, B-LTA

A source that is down leaves the file as it was: each step answers a whole new file or raises.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from asn1crypto import ocsp as ocsp_structures
from asn1crypto import x509

from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.work import Workers
from keys.custody.store import KeyStore
from keys.pki.errors import RequestMalformed
from keys.pki.material import ValidationMaterial, validation_material
from keys.pki.ocsp import OcspService
from keys.pki.validation import Party, read_certificate, read_ocsp
from keys.time.errors import TimestampUnavailable
from keys.time.imprints import Imprint, imprint_of
from keys.time.reading import Token, read_token
from keys.time.source import TimestampSource
from seal import levels
from seal.cms import Unstamped
from seal.levels import TOKEN_ROOM, Found, Store, TokenTooLarge
from seal.stamping_press import TimeRoom

_PROBE = hashlib.sha256(b"").digest()
_SPARE = 512
_ATTEMPTS = 3
_STAMPER_FRESH = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Obtaining:
    """What raising a level needs. ``ocsp``: answers about our own certificates, which go into the DSS as well; None: lists only."""

    database: Database
    keystore: KeyStore
    clock: Clock
    workers: Workers
    source: TimestampSource
    ocsp: OcspService | None = None


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A new version of a file: its octets, and of its last document time stamp when it was made and its signer's certificate ends."""

    pdf: bytes
    level: str
    stamped_at: dt.datetime
    ends_at: dt.datetime
    algorithm: str


async def time_room(obtaining: Obtaining) -> TimeRoom:
    """Room for a token of the source, and its signer's chain and lists. One token is made for nobody, to see who signs.

    Raises what the source raises, and what ``validation_material`` does.
    """
    stamper = await _stamper(obtaining)
    return TimeRoom(max(TOKEN_ROOM, stamper.octets + _SPARE), await _material(obtaining, (stamper.certificate,)))


async def add_signature_timestamp(obtaining: Obtaining, pdf: bytes, unstamped: Unstamped | None = None) -> bytes:
    """The file just stamped, with a time stamp of its signature; ``unstamped``: what stamping told of it, else it is read.

    Raises ``NotUpgradable``, ``TokenTooLarge`` and what the source raises.
    """
    signature = await obtaining.workers.run(levels.unstamped, pdf) if unstamped is None else unstamped
    token = await obtaining.source.stamp(signature.imprint)
    _require_over(read_token(token), imprint_of(signature.imprint, "sha256"))
    return await obtaining.workers.run(levels.with_signature_timestamp, pdf, signature, token)


async def add_document_timestamp(obtaining: Obtaining, pdf: bytes, algorithm: str = "sha256") -> Upgraded:
    """The file with what its DSS lacks by now and a document time stamp behind everything.

    1. look at what the file holds: its certificates, and whose time stamps; and who is going to stamp it now
    2. chains, current lists and answers of all of them
    3. append the revision, ask for its time stamp, fill it in

    Raises ``NotUpgradable``, what the source raises, what ``validation_material`` does.
    """
    found = await obtaining.workers.run(levels.look, pdf)
    stamper, room = await _stamper(obtaining), TOKEN_ROOM
    for _ in range(_ATTEMPTS):
        store = await _store(obtaining, found, stamper.certificate)
        try:
            return await _stamp(obtaining, pdf, store, algorithm, room)
        except TokenTooLarge as error:
            room = error.needed + _SPARE
        except _AnotherSigner:
            _stampers.pop(obtaining.source, None)
            stamper = await _stamper(obtaining)
    raise TimestampUnavailable("every time stamp came from another signer, or was larger than the one before")


async def _stamp(obtaining: Obtaining, pdf: bytes, store: Store, algorithm: str, room: int) -> Upgraded:
    hollow, digest = await obtaining.workers.run(levels.prepare, pdf, store, room, algorithm)
    token = await obtaining.source.stamp(digest, algorithm)
    read = read_token(token)
    _require_over(read, imprint_of(digest, algorithm))
    signer = _signer(read)
    if signer.encoded not in store.certificates:
        raise _AnotherSigner
    return Upgraded(levels.stamped(hollow, token), levels.LTA, read.info.instant, signer.not_after, algorithm)


def _require_over(token: Token, imprint: Imprint) -> None:
    """A source has verified what it answers, its nonce too; that it answered this question is looked at again before it is written."""
    if token.info.imprint != imprint:
        raise levels.NotUpgradable("the time stamp is over something else")


class _AnotherSigner(Exception):
    """The authority has a new signer, whose chain and lists are not in the DSS that it stamped."""


@dataclass(frozen=True, slots=True)
class _Stamper:
    """Who signs the source's time stamps, and how large those are."""

    certificate: bytes
    octets: int
    seen_at: dt.datetime


_stampers: WeakKeyDictionary[TimestampSource, _Stamper] = WeakKeyDictionary()
"""By source. A new signer is noticed in its first token, so being wrong costs one more token."""


async def _stamper(obtaining: Obtaining) -> _Stamper:
    now, known = obtaining.clock.now(), _stampers.get(obtaining.source)
    if known is None or not dt.timedelta() <= now - known.seen_at < _STAMPER_FRESH:
        token = await obtaining.source.stamp(_PROBE)
        known = _stampers[obtaining.source] = _Stamper(_signer(read_token(token)).encoded, len(token), now)
    return known


async def _store(obtaining: Obtaining, found: Found, stamper: bytes) -> Store:
    tokens = [read_token(token) for token in found.tokens]
    carried = [party for token in tokens for party in map(read_certificate, token.certificates) if party]
    held = [party for party in map(read_certificate, found.store.certificates) if party]
    coming = read_certificate(stamper)
    leaves = {party.encoded: party for party in (*held, *carried, coming) if party and not party.is_authority}
    material = await _material(obtaining, tuple(leaves))
    return Store(material.certificates, material.crls, await _responses(obtaining, tuple(leaves.values()), material))


async def _material(obtaining: Obtaining, leaves: tuple[bytes, ...]) -> ValidationMaterial:
    async with obtaining.database.begin() as session:
        return await validation_material(session, obtaining.keystore, obtaining.clock.now(), leaves)


async def _responses(obtaining: Obtaining, leaves: tuple[Party, ...], material: ValidationMaterial) -> tuple[bytes, ...]:
    """Of our own responder, on each certificate that it knows."""
    if obtaining.ocsp is None:
        return ()
    authorities = {party.subject: party for party in map(read_certificate, material.certificates) if party and party.is_authority}
    answers = []
    for leaf in leaves:
        issuer = authorities.get(leaf.issuer)
        if issuer is None:
            continue
        try:
            response = (await obtaining.ocsp.answer(_question(leaf, issuer), lambda _: True)).response
        except RequestMalformed:
            continue
        if (read := read_ocsp(response)) is not None and read.answers and all(one.good is not None for one in read.answers):
            answers.append(response)
    return tuple(answers)


def _question(leaf: Party, issuer: Party) -> bytes:
    """An OCSPRequest (RFC 6960 §4.1.1) with SHA-1 names, which identify and protect nothing."""
    key = x509.Certificate.load(issuer.encoded)["tbs_certificate"]["subject_public_key_info"]["public_key"]
    name = {
        "hash_algorithm": {"algorithm": "sha1"},
        "issuer_name_hash": hashlib.sha1(issuer.subject, usedforsecurity=False).digest(),
        "issuer_key_hash": hashlib.sha1(bytes(key), usedforsecurity=False).digest(),
        "serial_number": leaf.serial,
    }
    request = ocsp_structures.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": name}]}})
    return bytes(request.dump())


def _signer(token: Token) -> Party:
    """The certificate of a token's signer, which the token carries. Raises ``NotUpgradable``."""
    for party in map(read_certificate, token.certificates):
        if party is not None and (party.issuer, party.serial) == token.signer.issuer_and_serial:
            return party
    raise levels.NotUpgradable("the time stamp does not carry its signer's certificate")
