"""uvicorn's HTTP protocol with bounds of its own: how large the head of a request may be, and how long a request may take to arrive.

A client that offers another protocol is answered in this one (:mod:`api.offers`).

uvicorn bounds neither with httptools: one connection may send headers until the memory is full, and a few thousand that send
nothing hold every place there is. The server may stand in the open, so it bounds both itself.
"""

import asyncio
from enum import Enum, auto
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.offers import StayingParser

LARGEST_HEAD = 64 * 1024
HEAD_SECONDS = 15.0
BODY_SECONDS = 30.0
SLOWEST_BODY = 1024  # octets a second, on the whole, once BODY_SECONDS are over


class _Part(Enum):
    """What of a request is being waited for."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()


class PatientProtocol(HttpToolsProtocol):
    """Closes a connection whose request is too long in coming, or whose head is too large. An idle one is uvicorn's own matter."""

    _part = _Part.HEAD
    _received = 0
    _began = 0.0
    _watch: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser: StayingParser = StayingParser(self)  # type: ignore[assignment]  # it does what uvicorn asks of a parser

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so
        super().connection_made(transport)
        self._await(_Part.HEAD)
        self._watch = self.loop.call_later(HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._received += len(data)
        if self._part is _Part.HEAD and self._received > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await(_Part.HEAD)

    def on_headers_complete(self) -> None:
        self._await(_Part.BODY)
        if not self.parser.offered:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.offered:
            self._await(_Part.NOTHING)
            super().on_message_complete()

    def _await(self, part: _Part) -> None:
        self._part, self._received, self._began = part, 0, self.loop.time()

    def _left(self) -> float:
        """Seconds until the patience with the present part ends."""
        allowed = {
            _Part.HEAD: HEAD_SECONDS,
            _Part.BODY: BODY_SECONDS + self._received / SLOWEST_BODY,
            _Part.NOTHING: HEAD_SECONDS,
        }
        return self._began + allowed[self._part] - self.loop.time()

    def _look(self) -> None:
        """Close, or look again when the patience would end. Who may not send on because we are slow to read is not late."""
        if self.flow.read_paused or self._part is _Part.NOTHING:
            self._began = self.loop.time()
        left = self._left()
        if left <= 0:
            self.transport.close()
            return
        self._watch = self.loop.call_later(left, self._look)
