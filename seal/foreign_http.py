"""Asking another registry over HTTP: one GET, no redirect, no proxy, at most 1 MB and five seconds."""

import asyncio
from dataclasses import dataclass

import httpx2

from seal.foreign_status import MAX_ANSWER, ForeignStatusUnreachable

SECONDS = 5.0
MEDIA_TYPE = "application/jose+json"


@dataclass(frozen=True, slots=True)
class HttpStatus:
    """The real :class:`seal.foreign_status.StatusPort`."""

    seconds: float = SECONDS

    async def fetch(self, url: str) -> bytes:
        """The signed answer at the address. Raises ``ForeignStatusUnreachable``."""
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        try:
            async with (
                asyncio.timeout(self.seconds),
                httpx2.AsyncClient(timeout=self.seconds, follow_redirects=False, trust_env=False) as client,
                client.stream("GET", url, headers=headers) as answer,
            ):
                if answer.status_code != httpx2.codes.OK:
                    raise ForeignStatusUnreachable(f"answers {answer.status_code}")
                return await _bounded(answer)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            raise ForeignStatusUnreachable(type(error).__name__) from error


async def _bounded(answer: httpx2.Response) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > MAX_ANSWER:
            raise ForeignStatusUnreachable("larger than 1 MB")
        parts.append(part)
    return b"".join(parts)
