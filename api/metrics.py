"""Prometheus figures of every request: how many, how they ended, how long they took."""

import time

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("fujie_requests", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram("fujie_request_seconds", "Time to answer", ["route"])


class Measured:
    """Counts under the route's pattern, never the address: an address may hold a verification code."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            pattern = getattr(scope.get("route"), "path", "unmatched")
            REQUESTS.labels(scope["method"], pattern, status).inc()
            SECONDS.labels(pattern).observe(time.perf_counter() - started)
