"""Asking a time server: SNTP (RFC 4330 §5, RFC 5905 §14), one datagram out, one back.

The transmit timestamp we send is a random number and not our time: it must come back, so nobody who does not see our datagram can
answer it, and nobody who sees it learns our clock.
"""

import asyncio
import datetime as dt
import secrets
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from keys.time.guard import Comparison, Reading

PORT = 123
SECONDS = 1.0
"""How long an answer may take; half of the round trip is what the offset may be wrong by."""

_PACKET = struct.Struct(">BBbb11I")
_CLIENT, _SERVER_MODE, _OCTETS = 0x23, 4, 48  # version 4, mode 3
_UNSYNCHRONISED, _STRATA = 3, range(1, 16)
_MOST_DISTANCE = 1.5  # MAXDIST, RFC 5905 appendix A.1.1
_ERA = 1 << 32
_EPOCH = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)


class NoAnswer(Exception):
    """The server did not answer, or not as a server does that knows the time."""


@dataclass(frozen=True, slots=True)
class TimeServer:
    """An NTP server by name or address."""

    host: str
    port: int = PORT

    @classmethod
    def parse(cls, url: str) -> "TimeServer":
        """From ``ntp://host[:port]``; ValueError."""
        parts = urlsplit(url.strip())
        if parts.scheme != "ntp" or not parts.hostname or parts.path or parts.query or parts.username:
            raise ValueError(f"a time source is ntp://host[:port], not {url[:60]!r}")
        return cls(parts.hostname, parts.port or PORT)


async def compare(servers: Sequence[TimeServer], read: Callable[[], Reading]) -> Comparison:
    """How far the servers are ahead of our clock: the median of those that answer. Raises :class:`NoAnswer` if none does."""
    answers = await asyncio.gather(*(ask(server, read) for server in servers), return_exceptions=True)
    offsets = [one for one in answers if isinstance(one, dt.timedelta)]
    if not offsets:
        raise NoAnswer("; ".join(str(one) or type(one).__name__ for one in answers))
    reading = read()
    return Comparison(dt.timedelta(seconds=median(one.total_seconds() for one in offsets)), reading.origin, reading.uptime)


async def ask(server: TimeServer, read: Callable[[], Reading]) -> dt.timedelta:
    """How far one server is ahead of our clock; :class:`NoAnswer`."""
    cookie = secrets.randbits(64)
    request = _PACKET.pack(_CLIENT, 0, 0, 0, *(0,) * 9, cookie >> 32, cookie % _ERA)
    try:
        async with asyncio.timeout(SECONDS):
            answer, sent, came = await _exchange(server, request, read)
    except (OSError, TimeoutError) as error:
        raise NoAnswer(f"{server.host}:{server.port}: {error or 'no answer'}") from error
    received, transmitted = _times(answer, cookie)
    return offset(sent, received, transmitted, sent.wall + dt.timedelta(seconds=came.uptime - sent.uptime))


def offset(sent: Reading, received: dt.datetime, transmitted: dt.datetime, came: dt.datetime) -> dt.timedelta:
    """θ = ((T2 − T1) + (T3 − T4)) / 2 (RFC 5905 §8)."""
    return ((received - sent.wall) + (transmitted - came)) / 2


def _times(answer: bytes, cookie: int) -> tuple[dt.datetime, dt.datetime]:
    """T2 and T3, if the answer is one to believe (RFC 4330 §5)."""
    if len(answer) < _OCTETS:
        raise NoAnswer("a truncated answer")
    head, stratum, _, _, delay, dispersion, _, *stamps = _PACKET.unpack_from(answer)
    if head & 7 != _SERVER_MODE or (stamps[2] << 32 | stamps[3]) != cookie:
        raise NoAnswer("an answer to somebody else's question")
    if head >> 6 == _UNSYNCHRONISED or stratum not in _STRATA or not (stamps[6] or stamps[7]):
        raise NoAnswer("a server that does not know the time")
    if (delay / 2 + dispersion) / 65536 > _MOST_DISTANCE:
        raise NoAnswer("a server too far from its own source")
    return _instant(stamps[4], stamps[5]), _instant(stamps[6], stamps[7])


def _instant(seconds: int, fraction: int) -> dt.datetime:
    """An NTP timestamp: before 1968 it is after 2036 (RFC 4330 §3)."""
    era = 0 if seconds >> 31 else _ERA
    return _EPOCH + dt.timedelta(seconds=era + seconds, microseconds=fraction * 1_000_000 // _ERA)


async def _exchange(server: TimeServer, request: bytes, read: Callable[[], Reading]) -> tuple[bytes, Reading, Reading]:
    """The answer, and our clocks when the question left and when the answer came."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[tuple[bytes, Reading]] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Ear(waiting, read), remote_addr=(server.host, server.port))
    try:
        sent = read()
        transport.sendto(request)
        answer, came = await waiting
        return answer, sent, came
    finally:
        transport.close()


class _Ear(asyncio.DatagramProtocol):
    """Takes the first datagram. The socket is connected: only the server's address gets through."""

    def __init__(self, waiting: asyncio.Future[tuple[bytes, Reading]], read: Callable[[], Reading]) -> None:
        self._waiting, self._read = waiting, read

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._waiting.done():
            self._waiting.set_result((data, self._read()))

    def error_received(self, exc: Exception) -> None:
        if not self._waiting.done():
            self._waiting.set_exception(exc)
