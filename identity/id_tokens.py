"""Signing what we say and recognising what we said: ID tokens, and the marker of a request's first arrival.

Tokens are read strictly: canonical unpadded base64url, the algorithm of the very key that ``kid`` names, the expected ``typ``.
"""

import asyncio
import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, import_key

from identity.clients import ID_TOKEN_ALGORITHMS
from keys.base.db import Database
from keys.custody.errors import KeyUnreadable
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.custody.verifying_keys import weakness
from keys.evidence.audit import JSON
from keys.jwks import KeyPlan, SigningKey, read_plan, sign_jws
from keys.schedule import DEFAULT, Schedule

log = structlog.get_logger("fujie.identity.id_tokens")

COMPACT = re.compile(r"[A-Za-z0-9_-]{1,2048}\.[A-Za-z0-9_-]{1,8192}\.[A-Za-z0-9_-]{1,1024}")


@dataclass(slots=True)
class KeyRing:
    """The keys for tokens. The plan of them is read again every few seconds (``schedule.read``), so a key that was taken back
    does no harm for longer; which key signs is then a matter of the instant, the same in every process.

    A key counts only where custody says that it made it, for tokens, as it stands: whoever writes a public key of their own to
    the database does not speak for us."""

    database: Database
    keystore: KeyStore
    schedule: Schedule = DEFAULT
    _read: tuple[dt.datetime, KeyPlan] | None = None
    _made: frozenset[StoredKey] = frozenset()

    async def plan(self, now: dt.datetime) -> KeyPlan:
        """The plan, at most ``schedule.read`` old."""
        known = self._read
        if known is None or not dt.timedelta() <= now - known[0] < self.schedule.read:
            async with self.database.session() as session:
                plan = await read_plan(session)
            known = self._read = (now, await asyncio.to_thread(self._own, plan))
        return known[1]

    def _own(self, plan: KeyPlan) -> KeyPlan:
        """The keys of the plan that are ours; each is asked about once."""
        own = tuple(key for key in plan.keys if key.key in self._made or self._is_own(key))
        self._made = frozenset(key.key for key in own)
        return KeyPlan(own)

    def _is_own(self, key: SigningKey) -> bool:
        try:
            self.keystore.require_own(key.key)
        except KeyUnreadable as error:
            log.critical("a token key is not one that this house made", kid=key.kid, code=error.code)
            return False
        return key.key.purpose is Purpose.TOKENS

    async def published(self, now: dt.datetime) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517 §5)."""
        return (await self.plan(now)).published(now)

    async def sign(self, now: dt.datetime, alg: str, typ: str, claims: dict[str, JSON]) -> str:
        """The claims as a JWS in compact form."""
        key = (await self.plan(now)).signing(alg, now)
        return sign_jws(self.keystore, key, {"typ": typ}, orjson.dumps(claims))

    async def recognise(self, now: dt.datetime, typ: str, token: str) -> dict[str, Any] | None:
        """The claims of a token of ``typ`` that we signed, expired or not, with a key of now or of long ago; None for every
        other text, and for one whose key was compromised."""
        return recognise((await self.plan(now)).known(), typ, token)


def recognise(known: dict[str, Any], typ: str, token: str) -> dict[str, Any] | None:
    """The claims of ``token`` if one of the known keys (a JWK Set) signed it, else None."""
    return _object(signed_payload(known, typ, token)) or None


def signed_payload(known: dict[str, Any], typ: str | None, token: str) -> bytes | None:
    """What ``token`` holds, of whatever kind, if one of the known keys (a JWK Set) signed it as a ``typ``, else None."""
    if not COMPACT.fullmatch(token):
        return None
    parts = [_decoded(part) for part in token.split(".")]
    header = _object(parts[0])
    key = _key_of(known, header)
    if None in parts or key is None or header.get("typ") != typ or "crit" in header:
        return None
    try:
        imported = import_key(key)
        if isinstance(imported, OctKey) or weakness(imported.as_der(private=False)):
            return None
        verified = jws.deserialize_compact(token, imported, algorithms=[key["alg"]])
    except (JoseError, ValueError):
        return None
    return verified.payload


def _key_of(known: dict[str, Any], header: dict[str, Any]) -> dict[str, Any] | None:
    """The one key that ``kid`` names, where its algorithm is the header's: `none` and HMAC name no key of ours."""
    for key in known["keys"]:
        if key["kid"] == header.get("kid") and key["alg"] == header.get("alg") in ID_TOKEN_ALGORITHMS:
            found: dict[str, Any] = key
            return found
    return None


def _decoded(part: str) -> bytes | None:
    try:
        octets = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        return None
    # The last character may hide unused bits: only one spelling is taken.
    return octets if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == part else None


def _object(octets: bytes | None) -> dict[str, Any]:
    try:
        value = orjson.loads(octets or b"")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
