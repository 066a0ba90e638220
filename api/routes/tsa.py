"""``POST /pki/tsa``: the time-stamping authority (RFC 3161 §3.4). The answer to whatever comes is a TimeStampResp with status 200.

Only what never reaches the protocol is a problem document: a body past every honest size, an address that asks too often.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.limits import TooLarge, throttle
from keys.time.request import MOST_OCTETS

PER_MINUTE = 3000
"""For one address: a department's gateway stamps for many; who needs more runs its own authority."""


async def timestamp(request: Request) -> Response:
    """``application/timestamp-query`` in, ``application/timestamp-reply`` out."""
    await throttle(request, "tsa", limit=PER_MINUTE, seconds=60)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_OCTETS:
            raise TooLarge("time-stamp query", limit=MOST_OCTETS)
    answer = await request.app.state.house.time.authority.respond(bytes(body))
    return Response(answer, media_type="application/timestamp-reply", headers={"Cache-Control": "no-store"})


routes: list[BaseRoute] = [Route("/pki/tsa", timestamp, methods=["POST"])]
