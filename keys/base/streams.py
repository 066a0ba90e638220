"""Reading what others send: it has no end but the one that is set here."""

from collections.abc import AsyncIterable


async def gathered(parts: AsyncIterable[bytes], most: int, too_large: Exception) -> bytes:
    """All octets of a stream; raises ``too_large`` as soon as they are more than ``most``."""
    octets = bytearray()
    async for part in parts:
        octets += part
        if len(octets) > most:
            raise too_large
    return bytes(octets)
