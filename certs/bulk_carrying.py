"""Several approvals of one client issued together."""

import asyncio
from collections.abc import Sequence

from certs.approvals import Approval, Outcome
from certs.issuance import approve
from certs.stages import Issuing
from keys.base.actor import Actor
from keys.base.errors import FujieError

TOGETHER = 8


async def issue_many(
    issuing: Issuing, actor: Actor, asked: Sequence[tuple[str, Approval]], address: str | None = None
) -> list[Outcome | FujieError]:
    """What became of each (key, approval), in their order; what is no error of ours by name is raised once all have ended."""
    turns = asyncio.Semaphore(TOGETHER)

    async def one(key: str, approval: Approval) -> Outcome | FujieError:
        async with turns:
            try:
                return await approve(issuing, actor, approval, key, address=address)
            except FujieError as error:
                return error

    return list(await asyncio.gather(*(one(key, approval) for key, approval in asked)))
