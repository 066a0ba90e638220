"""The pace of a requester: so many calls a minute by who asks, whatever address they come from (``certs.access_rates``).

The minute is counted in Redis, where it may be lost; the day's quota is counted in PostgreSQL by what is done.
"""

from starlette.requests import Request

from api.limits import throttle_on
from certs.access_rates import Standing, Use, count, rate_of
from keys.base.actor import Actor

MINUTE = 60


async def pace(request: Request, actor: Actor, use: Use) -> None:
    """Raises ``Throttled`` past the requester's calls of this minute."""
    async with request.app.state.house.database.session() as session:
        held = await rate_of(session, actor, use)
    await throttle_on(request, f"pace-{use}", held.requester, limit=held.rate.per_minute, seconds=MINUTE)


async def metered(request: Request, actor: Actor, use: Use) -> Standing:
    """Pace and quota of a call that has no transaction of its own. Raises ``Throttled``, ``QuotaExhausted``."""
    await pace(request, actor, use)
    house = request.app.state.house
    async with house.database.begin() as session:
        return await count(session, house.clock.now(), actor, use)
