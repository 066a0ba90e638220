"""Clients remembered between requests, and never trusted for it.

Every statement that acts for a remembered client demands that its row is still the version that was read (``xmin``, the
transaction that wrote it). Where it is not, the statement does nothing and the present row is read. So remembering saves a
round trip and delays nothing: a client that was closed, or a secret that was replaced, is so at the very next request.
"""

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import select

from identity.clients import ASKING, Client, client_of
from identity.oidc_errors import ClientAuthenticationFailed, OAuthError
from identity.oidc_models import CLIENT_VERSION, CLIENTS
from keys.base.hot import Hot, Statement

FIND_CLIENT = Statement(select(CLIENTS, CLIENT_VERSION).where(ASKING))
ATTEMPTS = 3
MOST_REMEMBERED = 4096
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client as it was read. ``until``: when one of its secrets ends, and it has to be read again."""

    client: Client
    version: int
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class KnownClients:
    """The clients that this process has read."""

    hot: Hot
    _known: dict[str, KnownClient] = field(default_factory=dict)

    async def answer(self, now: dt.datetime, client_id: str, attempt: Callable[[KnownClient | None], Awaitable[Answer | None]]) -> Answer:
        """What ``attempt`` answers for the client of that identifier (None: there is no active one).

        ``attempt`` answers None where the row is no longer of that version: it has done nothing and is asked again.
        An OAuthError it raises must have left nothing behind: with a remembered client it is not believed.
        """
        known = self._known.get(client_id)
        if known is not None and (known.until is None or now < known.until):
            try:
                if (answer := await attempt(known)) is not None:
                    return answer
            except OAuthError:
                pass
        for _ in range(ATTEMPTS):
            if (answer := await attempt(await self._read(now, client_id))) is not None:
                return answer
        raise ClientAuthenticationFailed("changed while it was asking")

    async def _read(self, now: dt.datetime, client_id: str) -> KnownClient | None:
        row = await self.hot.row(FIND_CLIENT, {"client_id": client_id})
        if row is None:
            self._known.pop(client_id, None)
            return None
        until = row["previous_secret_until"]
        known = KnownClient(client_of(row, now), row["version"], until if until is not None and now < until else None)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[client_id] = known
        return known
