"""Asking another authority (RFC 3161 §3.4): one POST, an answer that is judged before it is believed.

1. a fresh nonce with each request: an answer to an earlier one, replayed, does not carry it
2. the address is the operator's own setting; no redirect is followed, nothing longer than 256 KiB is read
3. the answer grants a token of this imprint, with this nonce, under the policy that was asked for
4. its signer leads to one of the given anchors
5. its genTime lies within our own clock's view of the exchange, give or take its accuracy and five seconds
"""

import asyncio
import datetime as dt
import secrets
from collections.abc import Sequence

import httpx2

from keys.base.clock import Clock
from keys.base.streams import gathered
from keys.base.tls import web_trust
from keys.time.errors import TimestampInvalid, TimestampUnavailable
from keys.time.guard import LIMIT
from keys.time.imprints import imprint_of
from keys.time.reading import Answer, read_answer
from keys.time.request import write_request
from keys.time.verification import Timestamp, verify_token

SECONDS = 10.0
MOST_OCTETS = 256 * 1024
_NONCE_BITS = 64
_QUERY, _REPLY = "application/timestamp-query", "application/timestamp-reply"


class HttpTimestampSource:
    """The authority at ``url``. ``anchors``: the certificates (DER) that may vouch for its signer; ``policy``: the OID to ask for."""

    def __init__(self, url: str, anchors: Sequence[bytes], clock: Clock, policy: str | None = None, seconds: float = SECONDS) -> None:
        self.url, self._anchors, self._clock, self._policy = url, tuple(anchors), clock, policy
        self._seconds = seconds

    async def stamp(self, digest: bytes, algorithm: str = "sha256") -> bytes:
        imprint, nonce = imprint_of(digest, algorithm), 1 << _NONCE_BITS - 1 | secrets.randbits(_NONCE_BITS - 1)
        sent = self._clock.now()
        octets = await self._post(write_request(imprint, nonce, self._policy))
        token = _granted(octets)
        found = verify_token(token, imprint, self._anchors)
        self._check(found, nonce, sent, self._clock.now())
        return token

    async def _post(self, body: bytes) -> bytes:
        """The body of a 200 answer. Raises ``TimestampUnavailable``."""
        try:
            # Twice: a server that sends an octet now and then keeps within the timeout of each step for ever.
            async with (
                asyncio.timeout(self._seconds),
                httpx2.AsyncClient(timeout=self._seconds, trust_env=False, verify=web_trust()) as client,
            ):
                headers = {"Content-Type": _QUERY, "Accept": _REPLY}
                async with client.stream("POST", self.url, content=body, headers=headers) as response:
                    if response.status_code != 200:
                        raise TimestampUnavailable(f"HTTP status {response.status_code}")
                    return await gathered(response.aiter_bytes(), MOST_OCTETS, TimestampInvalid("longer than any time stamp"))
        except (httpx2.HTTPError, TimeoutError) as error:
            raise TimestampUnavailable(type(error).__name__) from error

    def _check(self, found: Timestamp, nonce: int, sent: dt.datetime, came: dt.datetime) -> None:
        if found.nonce != nonce:
            raise TimestampInvalid("it answers another request")
        if self._policy is not None and found.policy != self._policy:
            raise TimestampInvalid("it was issued under another policy")
        slack = LIMIT + (found.accuracy or dt.timedelta())
        if not sent - slack <= found.instant <= came + slack:
            raise TimestampInvalid(f"its instant is {found.instant.isoformat()}, and it is {came.isoformat()}")


def _granted(octets: bytes) -> bytes:
    try:
        answer = read_answer(octets)
    except ValueError as error:
        raise TimestampInvalid(f"no TimeStampResp: {error}") from error
    if answer.token is None:
        raise TimestampUnavailable(_words(answer))
    return answer.token


def _words(answer: Answer) -> str:
    bits = ",".join(map(str, sorted(answer.failures)))
    return f"status {answer.status}, failure {bits or 'unsaid'}: {answer.reason}"
