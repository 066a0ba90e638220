"""Limits at the door: the size of a body, the rate of an address."""

from collections.abc import Mapping
from types import MappingProxyType

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keys.base.errors import FujieError, Throttled

MEGABYTE = 1024 * 1024


class TooLarge(FujieError):
    """The body is larger than this address takes; ``extra['limit']`` is in octets."""

    code = "TOO_LARGE"
    status = 413
    public = ("提交的内容过大。", "What was sent is too large.")


class BodyLimit:
    """Refuses a body past ``limit`` octets as it arrives, whatever its Content-Length says.

    Paths in ``own`` count for themselves (uploads that are streamed and judged by their route); ``larger`` says which take more, ``under``
    what every path that begins so takes.
    """

    def __init__(
        self, app: ASGIApp, limit: int = MEGABYTE, own: frozenset[str] = frozenset(), larger: Mapping[str, int] = MappingProxyType({}),
        under: Mapping[str, int] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._app, self._limit, self._own, self._larger, self._under = app, limit, own, larger, under

    def _most(self, path: str) -> int:
        if (exact := self._larger.get(path)) is not None:
            return exact
        return next((most for head, most in self._under.items() if path.startswith(head)), self._limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._own:
            await self._app(scope, receive, send)
            return
        received, limit = 0, self._most(scope["path"])

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge("body", limit=limit)
            return message

        await self._app(scope, counted, send)


async def throttle(request: Request, name: str, *, limit: int, seconds: int) -> None:
    """Count this address's calls of ``name`` in a window of ``seconds``; raises Throttled past ``limit``.

    The count may be lost with Redis: then it starts anew, and while Redis is away nothing is refused.
    """
    await throttle_on(request, name, request.client.host if request.client else "unknown", limit=limit, seconds=seconds)


async def throttle_on(request: Request, name: str, subject: str, *, limit: int, seconds: int) -> None:
    """The same by what is asked about, whoever asks: ``subject`` holds nothing personal."""
    house = request.app.state.house
    key = f"throttle:{name}:{subject}"
    try:
        async with house.redis.pipeline(transaction=True) as pipe:
            count, _, left = await pipe.incr(key).expire(key, seconds, nx=True).ttl(key).execute()
    except (RedisError, OSError):
        return
    if count > limit:
        raise Throttled(name, retry_after=max(1, int(left)))
