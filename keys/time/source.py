"""Where time stamps come from: one port, our own authority and any other that speaks RFC 3161."""

from typing import Protocol

from keys.base.clock import Clock
from keys.base.db import Database
from keys.custody.store import KeyStore
from keys.time.authority import TimestampAuthority
from keys.time.token import Promise


class TimestampSource(Protocol):
    """Makes time stamps. ``LocalTimestampSource`` asks our own authority, ``HttpTimestampSource`` another one."""

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        """A TimeStampToken (RFC 3161 §2.4.2: a CMS ContentInfo, DER) over ``digest``, with its certificates.

        ``algorithm`` is ``sha256``, ``sha384``, ``sha512`` or ``sm3``. Asked outside any transaction, for another authority
        may take seconds. Raises ``ClockUntrusted``, ``TimestampUnavailable`` (nobody answered; ask again later) or
        ``TimestampInvalid`` (what was answered is no time stamp of this digest).
        """
        ...


class LocalTimestampSource:
    """Our own authority, asked without a detour over HTTP. ``clock`` is the guard (``keys.time.guard``)."""

    def __init__(self, database: Database, keystore: KeyStore, clock: Clock, promise: Promise | None = None) -> None:
        self.authority = TimestampAuthority(database, keystore, clock, promise)

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        return await self.authority.stamp(digest, algorithm)
