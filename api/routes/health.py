"""``/healthz`` (the process lives), ``/readyz`` (its servers and its keys answer), ``/metrics`` (Prometheus)."""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.evidence import observe
from api.library_keeping import library_word
from api.personal_metrics import observe_older_keys
from api.trusted_time import TrustedTime
from keys.base.errors import FujieError


async def healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 if PostgreSQL and the keys answer; Redis only speeds things up, so it is reported and not required."""
    house = request.app.state.house
    answers: dict[str, bool] = {}
    try:
        async with house.database.session() as session:
            await session.execute(text("SELECT 1"))
        answers["database"] = True
    except Exception:
        answers["database"] = False
    try:
        answers["redis"] = bool(await house.redis.ping())
    except Exception:
        answers["redis"] = False
    try:
        await asyncio.to_thread(house.keystore.check)  # a device is asked: it answers within a second, but not on the event loop
        answers["keys"] = True
    except FujieError:
        answers["keys"] = False
    ready = answers["database"] and answers["keys"]
    return JSONResponse(
        {"ready": ready, **answers, "log": await _log(request), "files": await library_word(house), **_time(house.time)},
        200 if ready else 503,
    )


def _time(time: TrustedTime) -> dict[str, str]:
    """The clock, and the time stamps that wait. While either is wrong nothing is issued, and everything else is served."""
    overdue, waits = time.backlog.overdue(time.guard.reading().wall), time.backlog.oldest is not None
    return {"clock": time.guard.doubt() or "trusted", "timestamps": "overdue" if overdue else "waiting" if waits else "made"}


async def _log(request: Request) -> str:
    """One word on the audit log. A log that stands still is somebody's work at once, and no reason to send people away."""
    try:
        state = await observe(request.app.state.house)
    except Exception:
        return "unknown"
    if state.halted is not None:
        return "halted"
    return "witness_problem" if state.witness_problems else "anchor_late" if state.anchor_late else "ok"


async def metrics(request: Request) -> Response:
    await _log(request)
    await observe_older_keys(request.app.state.house)
    await library_word(request.app.state.house)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


routes: list[BaseRoute] = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
