"""Our own signed list: our authorities and those of others that we trust.

1. wait for anyone else who is publishing
2. gather what the list says now
3. the last list says the same and is young: it stands
4. else the next version, naming the digest of the last, signed by a key that signs lists and nothing else

Version numbers only grow; a list once signed is kept, so the chain of ``previous`` can be followed.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from keys.base.actor import SYSTEM
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.evidence.audit import JSON, Event, Outcome, canonical, record
from keys.pki.authority import issue
from keys.pki.reads import Authority, certificate_ends, chain_above, get_authorities, get_authority, service_subject
from keys.trust.certificates import read_certificate
from keys.trust.documents import TrustList, authority_document, sign_list
from keys.trust.entries import Scope, Since, TrustedAuthority, Use
from keys.trust.lifecycle import Status
from keys.trust.models import TrustListRow, TrustSignerRow
from keys.trust.reads import trusted_authorities

LIST_VALIDITY = dt.timedelta(days=7)
LIST_REFRESH = dt.timedelta(days=1)
PROFILE = "trust-list-signer"
SIGNING_AUTHORITIES: Mapping[Algorithm, tuple[str, str]] = {Algorithm.P256: ("documents", "ES256"), Algorithm.SM2: ("seal-sm", "SM2")}
"""By the suite's signature algorithm: the authority that certifies the signer, and the name of the algorithm in JOSE."""

OWN_USES: Mapping[str, tuple[Use, ...]] = {
    "seal-ca": (Use.DOCUMENT_SIGNER, Use.SEAL_SIGNER),
    "seal-maker-ca": (Use.SEAL_MAKER,),
    "document-ca": (Use.DOCUMENT_SIGNER,),
    "person-ca": (Use.PERSON,),
    "tsa-ca": (Use.TIMESTAMP,),
}
"""What the authorities of ours vouch for, by their profile. A root vouches for what those below it do, except making seals:
a maker's authority stands in the list by itself, so that whoever trusts our makers need not trust our roots, nor the reverse."""


@dataclass(frozen=True, slots=True)
class Published:
    """A list as it is served. ``jws`` is JSON; ``digest`` its SHA-256."""

    version: int
    issued_at: dt.datetime
    next_update: dt.datetime
    digest: bytes
    jws: bytes


@dataclass(frozen=True, slots=True)
class ListSigner:
    """A key that signs lists for others, its certificate and the chain above, DER; ``alg``: its algorithm in JOSE."""

    key: StoredKey
    chain: tuple[bytes, ...]
    alg: str


async def current_list(
    database: Database,
    keystore: KeyStore,
    clock: Clock,
    base_url: str,
    algorithm: Algorithm = Algorithm.P256,
    code_keys: Sequence[dict[str, Any]] = (),
) -> Published:
    """The list as of now, made if it must be. ``algorithm``: P256, or SM2 in the 国密 profile; ``code_keys``: the public keys of our
    offline codes. Raises ``AuthorityUnknown`` where the authority that certifies the signer was never established.
    """
    async with database.begin() as session:
        now = clock.now()
        authorities = await listed_authorities(session)
        content = _content_digest(authorities, algorithm, code_keys)
        last = await _last(session)
        if last is not None and _stands(last, content, now):
            return _published(last)
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.trust.publish", 0))))
        last = await _last(session)
        if last is not None and _stands(last, content, now):
            return _published(last)
        return await _publish(session, keystore, now, base_url, algorithm, authorities, tuple(code_keys), content, last)


async def _publish(
    session: AsyncSession,
    keystore: KeyStore,
    now: dt.datetime,
    base_url: str,
    algorithm: Algorithm,
    authorities: tuple[TrustedAuthority, ...],
    code_keys: tuple[dict[str, Any], ...],
    content: bytes,
    last: TrustListRow | None,
) -> Published:
    signer = await ensure_list_signer(session, keystore, now, algorithm)
    version, previous = (last.version + 1, last.digest.hex()) if last else (1, None)
    issued_at = now.replace(microsecond=0)
    told = TrustList(base_url, version, issued_at, issued_at + LIST_VALIDITY, previous, authorities, code_keys)
    jws = sign_list(told, signer.alg, signer.chain, lambda message: keystore.sign(signer.key, message, Purpose.TRUST))
    digest = hashlib.sha256(jws).digest()
    row = TrustListRow(version=version, issued_at=issued_at, next_update=told.next_update, content=content, digest=digest, jws=jws)
    session.add(row)
    await session.flush([row])
    details: dict[str, JSON] = {"version": version, "sha256": digest.hex(), "authorities": len(authorities)}
    await record(session, now, Event("keys.trust.publish", f"trust-list:{version}", Outcome.DONE, SYSTEM, details))
    return _published(row)


async def listed_authorities(session: AsyncSession) -> tuple[TrustedAuthority, ...]:
    """Ours first, then those of others, each with its history."""
    return (*own_authorities(await get_authorities(session)), *(await trusted_authorities(session)))


def own_authorities(authorities: Mapping[str, Authority]) -> tuple[TrustedAuthority, ...]:
    """Our roots, our authorities of seal makers, and those whose parent is somebody else's, as others may trust them."""
    by_root = {name: [one for one in authorities.values() if _below(authorities, one, name)] for name in authorities}
    listed = [one for one in authorities.values() if one.is_root or one.profile == "seal-maker-ca"]
    return tuple(_own(one, by_root[one.name]) for one in sorted(listed, key=lambda one: one.name))


def _below(authorities: Mapping[str, Authority], one: Authority, name: str) -> bool:
    return one.name != name and any(above.name == name for above in chain_above(authorities, one))


def _own(authority: Authority, below: Sequence[Authority]) -> TrustedAuthority:
    uses = OWN_USES.get(authority.profile) or tuple(use for one in below for use in OWN_USES.get(one.profile, ()) if use != Use.SEAL_MAKER)
    certificate = read_certificate(authority.certificate)
    base = authority.issuer.base_url
    return TrustedAuthority(
        certificate=authority.certificate,
        uses=frozenset(uses),
        scope=Scope(),
        valid_from=certificate.not_before,
        valid_to=certificate.not_after,
        history=(Since(Status.ACTIVE, certificate.not_before),),
        subordinates=tuple(one.certificate for one in below if one.certificate != authority.certificate),
        crl_urls=tuple(f"{base}/pki/{one.name}.crl" for one in (authority, *below)),
        ocsp_urls=(f"{base}/pki/ocsp",),
        legal_effect=not certificate.is_demonstration,
        own=True,
    )


def _content_digest(authorities: Sequence[TrustedAuthority], algorithm: Algorithm, code_keys: Sequence[dict[str, Any]]) -> bytes:
    says: dict[str, Any] = {"signed": algorithm, "says": [authority_document(one) for one in authorities]}
    return hashlib.sha256(canonical(says | ({"code_keys": list(code_keys)} if code_keys else {}))).digest()


def _stands(last: TrustListRow, content: bytes, now: dt.datetime) -> bool:
    return last.content == content and last.issued_at <= now < last.issued_at + LIST_REFRESH


async def _last(session: AsyncSession) -> TrustListRow | None:
    query = select(TrustListRow).order_by(TrustListRow.version.desc()).limit(1).execution_options(populate_existing=True)
    found: TrustListRow | None = await session.scalar(query)
    return found


async def list_of_version(session: AsyncSession, version: int) -> Published | None:
    """A list we once signed."""
    row = await session.get(TrustListRow, version)
    return _published(row) if row else None


def _published(row: TrustListRow) -> Published:
    return Published(row.version, row.issued_at, row.next_update, row.digest, row.jws)


async def ensure_list_signer(session: AsyncSession, keystore: KeyStore, now: dt.datetime, algorithm: Algorithm) -> ListSigner:
    """The key that signs lists, certified under the suite's authority; renewed while its certificate outlives the list."""
    authority, alg = SIGNING_AUTHORITIES[algorithm]
    row = await session.get(TrustSignerRow, authority, populate_existing=True)
    if row is not None and row.not_after > now + LIST_VALIDITY:
        return ListSigner(await load_key(session, row.key_id), (row.certificate, *map(bytes.fromhex, row.chain)), alg)
    key = keystore.generate(algorithm, Purpose.TRUST)
    await store_key(session, key, now)
    subject = service_subject(await get_authority(session, authority), "符节信任列表 Fujie trust list")
    issued = await issue(session, keystore, now, authority=authority, profile=PROFILE, subject=subject, public_key=key.public)
    made = TrustSignerRow(
        authority=authority,
        key_id=key.id,
        certificate=issued.certificate,
        chain=[one.hex() for one in issued.chain],
        not_after=certificate_ends(issued.certificate).not_after,
        created_at=now,
    )
    await session.merge(made)
    await session.flush()
    return ListSigner(key, (issued.certificate, *issued.chain), alg)
