"""Routes that change authority over seals answer a repeated request as they did the first time."""

import functools
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from certs.idempotency import require_key
from keys.base.actor import Actor
from seal.answers import Answer, claim_answer, keep_answer
from seal.once import Once

Endpoint = Callable[..., Awaitable[Response]]
_NO_STORE = {"Cache-Control": "no-store"}


def answered_once(endpoint: Endpoint) -> Endpoint:
    """The endpoint, run once for each key of each actor. Raises ``IDEMPOTENCY_KEY_REQUIRED``, ``SEAL_REQUEST_REUSED``,
    ``SEAL_REQUEST_UNDER_WAY``, and what the endpoint raises: then the key is free again.
    """

    @functools.wraps(endpoint)
    async def once(*, request: Request, actor: Actor, **more: Any) -> Response:
        database, clock = request.app.state.house.database, request.app.state.house.clock
        asked = Once(require_key(request.headers.get("idempotency-key")), await _digest(request))
        found = await claim_answer(database, clock, actor, asked)
        if isinstance(found, Answer):
            return JSONResponse(found.body, found.status, _NO_STORE)
        answer: Answer | None = None
        try:
            said = await endpoint(request=request, actor=actor, **more)
            answer = Answer(said.status_code, orjson.loads(bytes(said.body)))
            return said
        finally:
            await keep_answer(database, actor, asked, found, answer)

    return once


async def _digest(request: Request) -> bytes:
    return hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).digest()
