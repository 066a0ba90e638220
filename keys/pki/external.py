"""Certificates from somebody else: a licensed authority certifies our authority, or a signer of ours. CSR out, chain in.

:func:`request`
  1. the name is free, the profile one of an authority (or a signer's), the algorithm one it allows
  2. the key is made in custody and stays there
  3. the request (PKCS #10) goes out; asking again for a name that still waits gives the same request
:func:`accept`
  1. the certificate for our very key is among what came in
  2. its chain leads, signature by signature and valid now, to an authority that two people approved  (keys.trust)
  3. an authority's may sign certificates and lists, has room below it, and nothing critical that is not understood
  4. a signer's is one for signatures and no authority
  5. the authority is active: the whole chain stands behind everything it issues
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asn1crypto import csr, x509
from asn1crypto import keys as asn1_keys
from sqlalchemy import func, select

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, FujieError, InvalidInput, NotFound
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.audit import JSON, Event, Outcome, record, record_alone
from keys.models import AuthorityRow
from keys.pki.certificate import Subject, assemble, key_identifier, subject_name
from keys.pki.errors import ProfileUnsuitable
from keys.pki.profiles import AUTHORITY_USE, PROFILES, SIGNING_USE, Profile
from keys.pki.validation import Limits, Material, Rules, validate
from keys.trust.certificates import Certificate, fingerprint, read_bundle, read_certificate
from keys.trust.entries import TrustedAuthority, Use
from keys.trust.models import CertificateRequestRow
from keys.trust.proposals import check_actor
from keys.trust.reads import external_answers, external_lists_of, trusted_authorities

# No lists are at hand when a chain comes in: its revocation is asked for as long as it is used.
_CHAIN = Rules(limits=Limits(candidates=32), key_usage_required=True, revocation=False)
_WHOLE = Rules(limits=Limits(candidates=32), key_usage_required=True)
_SIGNERS = frozenset({"document-signer", "seal-signer-sm", "seal-maker"})
_SIGNER_USES = {"document-signer": Use.DOCUMENT_SIGNER, "seal-signer-sm": Use.SEAL_SIGNER, "seal-maker": Use.SEAL_MAKER}


class ExternalNameTaken(Conflict):
    """The name belongs to an authority, or to a request for something else."""

    code = "EXTERNAL_NAME_TAKEN"
    public = ("该名称已被使用。", "This name is taken.")


class ExternalRequestUnknown(NotFound):
    """No request waits under this name."""

    code = "EXTERNAL_REQUEST_UNKNOWN"
    public = ("没有以该名称提出的证书请求。", "There is no certificate request of this name.")


class ExternalCertificateUnsuitable(InvalidInput):
    """What came in is not a certificate for our key that may do what was asked for."""

    code = "EXTERNAL_CERTIFICATE_UNSUITABLE"
    public = ("收到的证书不符合所提请求。", "The certificate received does not suit the request.")


class ExternalChainUntrusted(InvalidInput):
    """The certificate leads to no authority that two people approved, or a link of its chain does not hold."""

    code = "EXTERNAL_CHAIN_UNTRUSTED"
    public = ("证书链不能追溯到经双人批准的机构。", "The chain leads to no authority approved by two people.")


@dataclass(frozen=True, slots=True)
class RequestOrder:
    """What is asked of somebody else. ``profile``: an authority's (``seal-ca`` …) or a signer's (``document-signer`` …)."""

    name: str
    profile: str
    subject: Subject
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class Accepted:
    """``chain``: the issuer first, the root last, DER."""

    name: str
    certificate: bytes
    chain: tuple[bytes, ...]


async def request(database: Database, keystore: KeyStore, clock: Clock, actor: Actor, base_url: str, order: RequestOrder) -> bytes:
    """The request, PKCS #10 DER. Raises ``TrustActorRefused``, ``ProfileUnsuitable``, ``SubjectUnsuitable`` or
    :class:`ExternalNameTaken`.
    """
    try:
        check_actor(actor)
        async with database.begin() as session:
            await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.pki.external", 0))))
            return await _request(session, keystore, clock.now(), actor, base_url, order)
    except FujieError as error:
        await _refused(database, clock, actor, "request", order.name, error)
        raise


async def _request(session: AsyncSession, keystore: KeyStore, now: dt.datetime, actor: Actor, base_url: str, order: RequestOrder) -> bytes:
    profile = _profile(order)
    waiting = await session.get(CertificateRequestRow, order.name)
    if waiting is not None:
        if waiting.kind != order.profile or waiting.certificate is not None:
            raise ExternalNameTaken(order.name[:40])
        return waiting.request
    if await session.get(AuthorityRow, order.name) is not None:
        raise ExternalNameTaken(order.name[:40])
    name = subject_name(order.subject)
    key = keystore.generate(order.algorithm, Purpose.AUTHORITY if profile.is_authority else Purpose.SEALS)
    await store_key(session, key, now)
    encoded = certification_request(keystore, key, name, profile)
    session.add(CertificateRequestRow(name=order.name, kind=order.profile, key_id=key.id, request=encoded, requested_at=now, chain=[]))
    if profile.is_authority:
        session.add(_authority(order, key, base_url, now))
    await session.flush()
    details: dict[str, JSON] = {"profile": order.profile, "algorithm": order.algorithm.value}
    await record(session, now, Event("keys.pki.external.request", f"certificate-request:{order.name}", Outcome.DONE, actor, details))
    return encoded


def _profile(order: RequestOrder) -> Profile:
    profile = PROFILES.get(order.profile)
    if profile is None or not (profile.is_authority or profile.name in _SIGNERS) or order.algorithm not in profile.algorithms:
        raise ProfileUnsuitable(f"no certificate of others for profile {order.profile[:40]!r} and {order.algorithm}")
    return profile


def _authority(order: RequestOrder, key: StoredKey, base_url: str, now: dt.datetime) -> AuthorityRow:
    """Without a certificate: it issues nothing yet."""
    return AuthorityRow(
        name=order.name,
        parent=order.name,
        profile=order.profile,
        key_id=key.id,
        key_identifier=key_identifier(key.public),
        certificate=b"",
        external_chain=[],
        base_url=base_url.rstrip("/"),
        revocations=0,
        created_at=now,
    )


def certification_request(keystore: KeyStore, key: StoredKey, subject: bytes, profile: Profile) -> bytes:
    """PKCS #10 (RFC 2986; SM2 after GB/T 20518), DER, asking for what the profile says."""
    wishes: list[dict[str, object]] = [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": profile.is_authority}},
        {"extn_id": "key_usage", "critical": True, "extn_value": set(profile.key_usage)},
    ]
    body = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": x509.Name.load(subject),
            "subject_pk_info": asn1_keys.PublicKeyInfo.load(key.public),
            "attributes": [{"type": "extension_request", "values": [wishes]}],
        }
    ).dump()
    return assemble(body, key.algorithm, keystore.sign(key, body, key.purpose))


async def accept(database: Database, clock: Clock, actor: Actor, name: str, bundle: bytes) -> Accepted:
    """Takes the certificate and its chain (PEM, DER or PKCS #7). Raises :class:`ExternalRequestUnknown`,
    :class:`ExternalCertificateUnsuitable`, :class:`ExternalChainUntrusted` or ``TrustBundleMalformed``.
    """
    try:
        check_actor(actor)
        async with database.begin() as session:
            return await _accept(session, clock.now(), actor, name, bundle)
    except FujieError as error:
        await _refused(database, clock, actor, "accept", name, error)
        raise


async def _accept(session: AsyncSession, now: dt.datetime, actor: Actor, name: str, bundle: bytes) -> Accepted:
    row = await session.scalar(select(CertificateRequestRow).where(CertificateRequestRow.name == name).with_for_update())
    if row is None:
        raise ExternalRequestUnknown(name[:40])
    key = await load_key(session, row.key_id)
    offered = [read_certificate(one) for one in read_bundle(bundle)]
    ours = _ours(offered, key.public)
    profile = PROFILES[row.kind]
    fault = _authority_fault(ours, profile) if profile.is_authority else _signer_fault(ours)
    if fault:
        raise ExternalCertificateUnsuitable(fault)
    chain = chain_of(ours, offered, await trusted_authorities(session), profile, now)
    row.certificate, row.chain, row.accepted_at = ours.encoded, [one.encoded.hex() for one in chain], now
    if profile.is_authority:
        await _activate(session, row.name, ours, chain)
    await session.flush()
    details: dict[str, JSON] = {"certificate": fingerprint(ours.encoded).hex(), "root": fingerprint(chain[-1].encoded).hex()}
    await record(session, now, Event("keys.pki.external.accept", f"certificate-request:{name}", Outcome.DONE, actor, details))
    return Accepted(name, ours.encoded, tuple(one.encoded for one in chain))


def _ours(offered: Iterable[Certificate], public: bytes) -> Certificate:
    found = next((one for one in offered if one.public == public), None)
    if found is None:
        raise ExternalCertificateUnsuitable("no certificate for the key of this request")
    return found


def _authority_fault(ours: Certificate, profile: Profile) -> str | None:
    if not ours.is_authority or not all(ours.may(use) for use in AUTHORITY_USE):
        return "not one of an authority that signs certificates and lists"
    room = profile.path_length or 0
    if ours.path_length is not None and ours.path_length < room:
        return f"its path length {ours.path_length} leaves no room for what it is for"
    return None


def _signer_fault(ours: Certificate) -> str | None:
    if ours.is_authority or not any(ours.may(use) for use in SIGNING_USE):
        return "not one for signatures"
    return None


def chain_of(
    ours: Certificate, offered: Sequence[Certificate], trusted: Sequence[TrustedAuthority], profile: Profile, now: dt.datetime
) -> tuple[Certificate, ...]:
    """The issuers of the certificate up to an approved authority. Raises :class:`ExternalChainUntrusted`."""
    use = _SIGNER_USES.get(profile.name)
    vouching = [one for one in trusted if _vouches(one, use, now)]
    helpers = [*(one.encoded for one in offered), *(below for one in vouching for below in one.subordinates)]
    found = validate(ours.encoded, Material.read([one.certificate for one in vouching], helpers), now, _CHAIN)
    if found.fault is not None:
        raise ExternalChainUntrusted(found.fault.detail)
    return tuple(read_certificate(party.encoded) for party in found.path[1:])


def _vouches(authority: TrustedAuthority, use: Use | None, now: dt.datetime) -> bool:
    """For a signer the authority must be trusted for its use; for an authority of ours, for any."""
    uses = authority.uses if use is None else {use} & authority.uses
    return any(authority.objection(one, now, now) is None for one in uses)


async def _activate(session: AsyncSession, name: str, ours: Certificate, chain: Sequence[Certificate]) -> None:
    authority = await session.get_one(AuthorityRow, name)
    identifier = x509.Certificate.load(ours.encoded).key_identifier
    authority.certificate, authority.external_chain = ours.encoded, [one.encoded for one in chain]
    authority.key_identifier = identifier or authority.key_identifier


async def _refused(database: Database, clock: Clock, actor: Actor, step: str, name: str, error: FujieError) -> None:
    event = Event(f"keys.pki.external.{step}", f"certificate-request:{name[:40]}", Outcome.REFUSED, actor, code=error.code)
    await record_alone(database, clock.now(), event)


@dataclass(frozen=True, slots=True)
class AcceptedSigner:
    """A signer's key whose certificate somebody else issued. ``chain``: the issuer first, the root last, DER."""

    name: str
    profile: str
    key: StoredKey
    certificate: bytes
    chain: tuple[bytes, ...]


async def accepted_signer(session: AsyncSession, name: str) -> AcceptedSigner:
    """What was accepted under this name, held until the transaction ends. Raises :class:`ExternalRequestUnknown`."""
    row = await session.scalar(select(CertificateRequestRow).where(CertificateRequestRow.name == name).with_for_update())
    if row is None or row.certificate is None or row.kind not in _SIGNERS:
        raise ExternalRequestUnknown(name[:40])
    key = await load_key(session, row.key_id)
    return AcceptedSigner(row.name, row.kind, key, row.certificate, tuple(bytes.fromhex(one) for one in row.chain))


async def standing_signer(session: AsyncSession, name: str, now: dt.datetime) -> AcceptedSigner:
    """The signer, whose chain stands now: approved, valid, and not revoked by the lists and answers kept.

    Raises :class:`ExternalRequestUnknown` or :class:`ExternalChainUntrusted`.
    """
    found = await accepted_signer(session, name)
    trusted = await trusted_authorities(session)
    offered = [read_certificate(one) for one in found.chain]
    above = chain_of(read_certificate(found.certificate), offered, trusted, PROFILES[found.profile], now)
    issuers = [one.encoded for one in above]
    lists, answers = await external_lists_of(session, issuers, now), await external_answers(session)
    material = Material.read(issuers[-1:], issuers, lists, answers)
    verdict = validate(found.certificate, material, now, _WHOLE)
    if verdict.fault is not None:
        raise ExternalChainUntrusted(verdict.fault.detail)
    return found
