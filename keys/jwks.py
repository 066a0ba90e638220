"""Keys that sign tokens, and JWS in compact form (RFC 7515, 7517, 7518, 7638)."""

import base64
import datetime as dt
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import select, update

from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.custody.errors import KeyAlgorithmMismatch
from keys.custody.reads import as_stored, store_key
from keys.custody.store import Algorithm, KeyStore, Purpose, StoredKey
from keys.models import SigningKeyRow, StoredKeyRow

ALGORITHMS: Mapping[str, Algorithm] = {"ES256": Algorithm.P256, "RS256": Algorithm.RSA2048}
_P256_OCTETS = 32


class SigningKeyNotFound(NotFound):
    """No key signs with this algorithm."""

    code = "SIGNING_KEY_NOT_FOUND"
    public = ("没有找到所需的签名密钥。", "The signing key was not found.")


class State(StrEnum):
    """Where a token key is in its life. A key moves down this list and never up."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    COMPROMISED = "compromised"


PUBLISHED = frozenset({State.NEXT, State.ACTIVE, State.RETIRING})


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key for tokens; ``alg`` is ES256 or RS256. Its life is four instants; which state that is depends on when one asks.

    ``created_at`` … ``signs_from``        *next*: published, so that everybody knows it before it signs
    ``signs_from`` … ``signs_until``       *active*: signs
    ``signs_until`` … ``published_until``  *retiring*: published for as long as anything it signed may be checked
    from ``published_until``               *retired*: kept, so that its kid never returns, and not published
    ``compromised_at`` set                 *compromised*: neither signs nor is published nor believed
    """

    kid: str
    alg: str
    key: StoredKey
    created_at: dt.datetime
    signs_from: dt.datetime
    signs_until: dt.datetime | None = None
    published_until: dt.datetime | None = None
    compromised_at: dt.datetime | None = None

    def state(self, now: dt.datetime) -> State:
        """Its state at ``now``."""
        if self.compromised_at is not None:
            return State.COMPROMISED
        if now < self.signs_from:
            return State.NEXT
        if self.signs_until is None or now < self.signs_until:
            return State.ACTIVE
        return State.RETIRING if self.published_until is None or now < self.published_until else State.RETIRED

    @property
    def jwk(self) -> dict[str, str]:
        """The public JWK (RFC 7517 §4)."""
        return {**_members(self.key.public), "use": "sig", "alg": self.alg, "kid": self.kid}


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """Every token key there ever was, in the order in which they take over.

    A process may keep it for a while: what a key does is a matter of instants, so all processes change keys at the same one
    without a word to each other.
    """

    keys: tuple[SigningKey, ...] = ()

    def signing(self, alg: str, now: dt.datetime) -> SigningKey:
        """The key that signs with ``alg`` at ``now``: of several the one that began last. ``SigningKeyNotFound``."""
        active = [key for key in self.keys if key.alg == alg and key.state(now) is State.ACTIVE]
        if not active:
            raise SigningKeyNotFound(f"no key for {alg[:20]!r}")
        return max(active, key=lambda key: (key.signs_from, key.created_at))

    def published(self, now: dt.datetime) -> dict[str, list[dict[str, str]]]:
        """The JWK Set (RFC 7517 §5) at ``now``."""
        return {"keys": [key.jwk for key in self.keys if key.state(now) in PUBLISHED]}

    def known(self) -> dict[str, list[dict[str, str]]]:
        """Every key whose signatures are ours, published or not: what an ID token is known by when it comes back as a hint,
        long after it expired (OpenID Connect RP-Initiated Logout 1.0 §2). None that was compromised."""
        return {"keys": [key.jwk for key in self.keys if key.compromised_at is None]}


async def read_plan(session: AsyncSession) -> KeyPlan:
    """The plan as it stands; two rows a rotation, so it is read whole."""
    rows = select(SigningKeyRow, StoredKeyRow).join(StoredKeyRow, StoredKeyRow.id == SigningKeyRow.key_id)
    found = await session.execute(rows.order_by(SigningKeyRow.signs_from, SigningKeyRow.created_at, SigningKeyRow.alg))
    return KeyPlan(tuple(_of_row(row, as_stored(stored)) for row, stored in found))


def _of_row(row: SigningKeyRow, key: StoredKey) -> SigningKey:
    return SigningKey(row.kid, row.alg, key, row.created_at, row.signs_from, row.signs_until, row.published_until, row.compromised_at)


async def add_signing_key(session: AsyncSession, key: SigningKey) -> None:
    """Add a key to the caller's transaction, stored key included."""
    await store_key(session, key.key, key.created_at)
    session.add(
        SigningKeyRow(
            kid=key.kid,
            alg=key.alg,
            key_id=key.key.id,
            created_at=key.created_at,
            signs_from=key.signs_from,
            signs_until=key.signs_until,
            published_until=key.published_until,
            compromised_at=key.compromised_at,
        )
    )
    await session.flush()


async def change_instants(session: AsyncSession, key: SigningKey) -> None:
    """Write the instants of ``key`` to its row."""
    await session.execute(
        update(SigningKeyRow)
        .where(SigningKeyRow.kid == key.kid)
        .values(
            signs_from=key.signs_from,
            signs_until=key.signs_until,
            published_until=key.published_until,
            compromised_at=key.compromised_at,
        )
    )


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
