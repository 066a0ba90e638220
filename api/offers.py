"""A parser that stays with HTTP/1.1 when a client offers another protocol, as RFC 9110 §7.8 lets a server do.

httptools takes an ``Upgrade`` that a client merely offers for the end of HTTP: it skips the request's body and reads the octets of
the body as the next request. Java's ``HttpClient`` offers h2c, so its forms came without their fields; and what a proxy takes for
a body would be a request to us.

1. a head that offers another protocol arrives: the application is not told yet
2. a fresh parser reads the same head without the offer
3. what stands behind the head is the body that it announces, and then the next request
"""

from collections.abc import Iterable
from typing import Protocol

import httptools

_CONNECT = b"CONNECT"  # it does not offer, it demands: refused as before


class Listener(Protocol):
    """Who is told of requests; it keeps what was told of the present head."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class StayingParser:
    """In the place of ``httptools.HttpRequestParser``. The listener is told of a head with an offer twice; :attr:`offered` at first."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self._listener)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        self.get_method, self.get_http_version = self._parser.get_method, self._parser.get_http_version
        self.should_keep_alive, self.should_upgrade = self._parser.should_keep_alive, self._parser.should_upgrade

    @property
    def offered(self) -> bool:
        """Whether the present head offers another protocol and will be read again without the offer."""
        return self.should_upgrade() and self.get_method() != _CONNECT

    def feed_data(self, data: bytes) -> None:
        """Raises what httptools raises; ``HttpParserUpgrade`` for CONNECT only."""
        rest = memoryview(data)
        while len(rest):
            try:
                self._parser.feed_data(rest)
            except httptools.HttpParserUpgrade as left:
                if not self.offered:
                    raise
                rest = rest[left.args[0] :]
                self._read_again()
            else:
                return

    def _read_again(self) -> None:
        line = b"%s %s HTTP/%s\r\n" % (self.get_method(), self._listener.url, self.get_http_version().encode())
        head = line + _lines(self._listener.headers) + b"\r\n"
        self._begin()
        self._parser.feed_data(head)


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers if header[0] != b"upgrade")
