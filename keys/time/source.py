"""Where time stamps come from: one port, our own authority and any other that speaks RFC 3161."""

from typing import Protocol


class TimestampSource(Protocol):
    """Makes time stamps. ``LocalTimestampSource`` asks our own authority, ``HttpTimestampSource`` another one."""

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        """A TimeStampToken (RFC 3161 §2.4.2: a CMS ContentInfo, DER) over ``digest``, with its certificates.

        ``algorithm`` is ``sha256``, ``sha384``, ``sha512`` or ``sm3``. Asked outside any transaction, for another authority
        may take seconds. Raises ``ClockUntrusted``, ``TimestampUnavailable`` (nobody answered; ask again later) or
        ``TimestampInvalid`` (what was answered is no time stamp of this digest).
        """
        ...
