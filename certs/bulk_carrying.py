"""Several approvals of one client issued together."""

import asyncio
from collections.abc import Sequence

from certs.approvals import Approval, Outcome
from certs.issuance import approve
from certs.stages import Issuing
from certs.together import Seat, Table
from keys.base.actor import Actor
from keys.base.errors import FujieError

TOGETHER = 8
Asked = tuple[str, Approval]


async def issue_many(issuing: Issuing, actor: Actor, asked: Sequence[Asked], address: str | None = None) -> list[Outcome | FujieError]:
    """What became of each (key, approval), in their order; what is no error of ours by name is raised once all have ended."""
    results: list[Outcome | FujieError] = []
    for start in range(0, len(asked), TOGETHER):
        results += await _issue_some(issuing, actor, asked[start : start + TOGETHER], address)
    return results


async def _issue_some(issuing: Issuing, actor: Actor, asked: Sequence[Asked], address: str | None) -> list[Outcome | FujieError]:
    table = Table(len(asked))
    ended = await asyncio.gather(*(_issue(issuing, actor, one, address, Seat(table)) for one in asked), return_exceptions=True)
    results: list[Outcome | FujieError] = []
    for one in ended:
        if isinstance(one, BaseException) and not isinstance(one, FujieError):
            raise one
        results.append(one)
    return results


async def _issue(issuing: Issuing, actor: Actor, asked: Asked, address: str | None, seat: Seat) -> Outcome | FujieError:
    key, approval = asked
    try:
        return await approve(issuing, actor, approval, key, address=address, seat=seat)
    except FujieError as error:
        return error
    finally:
        await seat.leave(issuing)
