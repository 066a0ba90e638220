"""``/pki/ocsp``: the status of certificates over HTTP (RFC 6960 appendix A, RFC 5019), one address for all authorities."""

import base64
import binascii
import datetime as dt
import hashlib
import time
from email.utils import format_datetime
from weakref import WeakKeyDictionary

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.limits import TooLarge
from api.wiring import House
from keys.base.errors import FujieError
from keys.pki.ocsp import Answer, OcspService
from keys.pki.ocsp_format import LARGEST_REQUEST, RequestMalformed, ResponseStatus, failure

log = structlog.get_logger("fujie.ocsp")

MEDIA_TYPE = "application/ocsp-response"
MAX_AGE = 300
"""Seconds for which HTTP caches may repeat a kept answer: as long as they may repeat a revocation list."""
SIGNED_PER_MINUTE = 1200
"""Answers signed for one address in a minute by one process; beyond, it gets kept ones."""
_WINDOW = 60.0
_MOST_ADDRESSES = 10_000
_AWAY = (FujieError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Signatures:
    """How many signatures each address has had in this minute. In this process, because it is this process that pays for them."""

    def __init__(self, limit: int = SIGNED_PER_MINUTE) -> None:
        self.limit = limit
        self._began = 0.0
        self._counts: dict[str, int] = {}

    def take(self, address: str, count: int) -> bool:
        """Whether ``count`` more may be signed for this address."""
        now = time.monotonic()
        if now - self._began > _WINDOW or len(self._counts) > _MOST_ADDRESSES:
            self._began, self._counts = now, {}
        taken = self._counts.get(address, 0) + count
        if taken > self.limit:
            return False
        self._counts[address] = taken
        return True


_services: WeakKeyDictionary[object, tuple[OcspService, Signatures]] = WeakKeyDictionary()


def _service(house: House) -> tuple[OcspService, Signatures]:
    found = _services.get(house.database)
    if found is None:
        found = _services[house.database] = OcspService(house.database, house.keystore, house.clock), Signatures()
    return found


async def posted(request: Request) -> Response:
    """``POST /pki/ocsp``: the request is the body. Past 32 KiB nothing more is read (413)."""
    octets = b""
    async for part in request.stream():
        octets += part
        if len(octets) > LARGEST_REQUEST:
            raise TooLarge("OCSP request", limit=LARGEST_REQUEST)
    answer = await _answer(request, octets)
    return Response(answer.response, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def got(request: Request) -> Response:
    """``GET /pki/ocsp/{base64}``: cacheable where the answer is a kept one (RFC 5019 §6)."""
    try:
        octets = base64.b64decode(request.path_params["request"], validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    answer = await _answer(request, octets)
    if answer.times is None:
        return Response(answer.response, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})
    headers = _caching(answer.response, *answer.times, request.app.state.house.clock.now())
    status = 304 if request.headers.get("if-none-match") == headers["ETag"] else 200
    return Response(b"" if status == 304 else answer.response, status, headers, MEDIA_TYPE)


def _caching(response: bytes, produced_at: dt.datetime, next_update: dt.datetime, now: dt.datetime) -> dict[str, str]:
    left = max(0, min(MAX_AGE, int((next_update - now).total_seconds())))
    return {
        "Cache-Control": f"max-age={left}, public, no-transform, must-revalidate",
        "ETag": f'"{hashlib.sha256(response).hexdigest()[:40]}"',
        "Last-Modified": format_datetime(produced_at, usegmt=True),
        "Expires": format_datetime(now.replace(microsecond=0) + dt.timedelta(seconds=left), usegmt=True),
    }


async def _answer(request: Request, octets: bytes) -> Answer:
    """Every answer is an OCSPResponse with HTTP status 200, the refusals too (RFC 6960 §2.3)."""
    service, signatures = _service(request.app.state.house)
    address = request.client.host if request.client else "unknown"
    try:
        return await service.answer(octets, lambda count: signatures.take(address, count))
    except RequestMalformed:
        return Answer(failure(ResponseStatus.MALFORMED_REQUEST))
    except _AWAY as error:
        log.warning("no answer", error=type(error).__name__, code=getattr(error, "code", None))
        return Answer(failure(ResponseStatus.TRY_LATER))


routes: list[BaseRoute] = [
    Route("/pki/ocsp", posted, methods=["POST"]),
    Route("/pki/ocsp/{request:path}", got),
]
