"""Keys that sign tokens, and JWS in compact form (RFC 7515, 7517, 7518, 7638)."""

import base64
import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import func, select

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import NotFound
from keys.custody.errors import KeyAlgorithmMismatch
from keys.custody.reads import load_key, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.models import SigningKeyRow, StoredKeyRow

ALGORITHMS: Mapping[str, Algorithm] = {"ES256": Algorithm.P256, "RS256": Algorithm.RSA2048}
_P256_OCTETS = 32


class SigningKeyNotFound(NotFound):
    """No key signs with this algorithm."""

    code = "SIGNING_KEY_NOT_FOUND"
    public = ("没有找到所需的签名密钥。", "The signing key was not found.")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key for tokens; ``alg`` is ES256 or RS256. May be kept: it never changes."""

    kid: str
    alg: str
    key: StoredKey


async def ensure_signing_keys(database: Database, keystore: KeyStore, clock: Clock) -> None:
    """Makes the signing key of each algorithm that has none. Safe to call again, and by two at once."""
    async with database.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("keys.jwks.ensure", 0))))
        present = set(await session.scalars(select(SigningKeyRow.alg).where(SigningKeyRow.retired_at.is_(None))))
        for alg, algorithm in ALGORITHMS.items():
            if alg not in present:
                await _add(session, clock.now(), alg, keystore.generate(algorithm, Purpose.TOKENS))


async def _add(session: AsyncSession, now: dt.datetime, alg: str, key: StoredKey) -> None:
    await store_key(session, key, now)
    session.add(SigningKeyRow(kid=thumbprint(key.public), alg=alg, key_id=key.id, created_at=now, retired_at=None))
    await session.flush()


async def signing_key(session: AsyncSession, alg: str) -> SigningKey:
    """The newest key of this algorithm; ``SigningKeyNotFound``."""
    newest = select(SigningKeyRow).where(SigningKeyRow.alg == alg, SigningKeyRow.retired_at.is_(None))
    row = await session.scalar(newest.order_by(SigningKeyRow.created_at.desc()).limit(1))
    if row is None:
        raise SigningKeyNotFound(f"no key for {alg[:20]!r}")
    return SigningKey(row.kid, row.alg, await load_key(session, row.key_id))


async def public_jwks(session: AsyncSession) -> dict[str, list[dict[str, str]]]:
    """The JWK Set (RFC 7517 §5) of every key that is not retired, oldest first."""
    current = select(SigningKeyRow.kid, SigningKeyRow.alg, StoredKeyRow.public).join(StoredKeyRow, StoredKeyRow.id == SigningKeyRow.key_id)
    rows = await session.execute(current.where(SigningKeyRow.retired_at.is_(None)).order_by(SigningKeyRow.created_at, SigningKeyRow.alg))
    return {"keys": [{**_members(public), "use": "sig", "alg": alg, "kid": kid} for kid, alg, public in rows]}


def sign_jws(keystore: KeyStore, signing_key: SigningKey, header: Mapping[str, object], payload: bytes) -> str:
    """Compact JWS of ``payload``. ``alg`` and ``kid`` of the header are the key's, whatever the caller gave."""
    protected = orjson.dumps({**header, "alg": signing_key.alg, "kid": signing_key.kid})
    message = _base64url(protected) + b"." + _base64url(payload)
    signature = keystore.sign(signing_key.key, message, Purpose.TOKENS)
    if signing_key.alg == "ES256":
        signature = _fixed_length(signature)
    return (message + b"." + _base64url(signature)).decode()


def _fixed_length(der: bytes) -> bytes:
    """r ‖ s, 32 octets each (RFC 7518 §3.4)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(_P256_OCTETS, "big") + s.to_bytes(_P256_OCTETS, "big")


def thumbprint(public: bytes) -> str:
    """RFC 7638 §3: SHA-256 of the required members, sorted, without white space; base64url."""
    members = orjson.dumps(_members(public), option=orjson.OPT_SORT_KEYS)
    return _base64url(hashlib.sha256(members).digest()).decode()


@functools.lru_cache(maxsize=64)
def _members(public: bytes) -> dict[str, str]:
    """The required members of a public JWK (RFC 7518 §6.2.1, §6.3.1) from SPKI DER."""
    key = load_der_public_key(public)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        point = key.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": _number(point.x, _P256_OCTETS), "y": _number(point.y, _P256_OCTETS)}
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n, key.key_size // 8), "e": _number(numbers.e, (numbers.e.bit_length() + 7) // 8)}
    raise KeyAlgorithmMismatch("only P-256 and RSA keys sign tokens")


def _number(value: int, octets: int) -> str:
    return _base64url(value.to_bytes(octets, "big")).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
