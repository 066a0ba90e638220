"""Approvals that are issued side by side: what is the same for all of them is asked once.

The circumstances (type, issuer, matter, seal, rule and what the seal's policy says of such a use) are read for the first of a kind and hold
for the handful beside it, a second or two. Permits are asked for in one transaction once every approval has its document or has dropped
out; each permit is for its own document, spent, counted and logged by itself, and a seal suspended meanwhile stops every one of them.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from certs.approvals import Approval
from certs.circumstances import Circumstances
from certs.sealing import permit, permits, unattended_use
from certs.stages import Issuing, Permitted, Rendered
from keys.base.errors import FujieError
from seal.permits import UseRequest


@dataclass
class _Waiting:
    rendered: Rendered
    use: UseRequest
    answer: "asyncio.Future[Permitted]"


@dataclass
class Table:
    """For ``seats`` approvals of one client. Each takes a :class:`Seat` and leaves it, whatever becomes of it."""

    seats: int
    _known: dict[Hashable, Circumstances] = field(default_factory=dict)
    _waiting: list[_Waiting] = field(default_factory=list)

    def known(self, approval: Approval) -> Circumstances | None:
        return self._known.get(_kind(approval))

    def remember(self, approval: Approval, found: Circumstances) -> None:
        self._known[_kind(approval)] = found

    async def arrived(self, issuing: Issuing, rendered: Rendered) -> Permitted:
        waiting = _Waiting(rendered, unattended_use(rendered), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        await self._serve_once_all_are_there(issuing)
        return await waiting.answer

    async def left(self, issuing: Issuing) -> None:
        self.seats -= 1
        await self._serve_once_all_are_there(issuing)

    async def _serve_once_all_are_there(self, issuing: Issuing) -> None:
        if len(self._waiting) < self.seats or not self._waiting:
            return
        served, self._waiting = self._waiting, []
        kinds: dict[Hashable, list[_Waiting]] = {}
        for one in served:
            kinds.setdefault((one.use.seal_code, one.use.matter_code, one.use.certificate_type), []).append(one)
        await asyncio.gather(*(_serve(issuing, group) for group in kinds.values()))


@dataclass
class Seat:
    """One approval's place."""

    table: Table
    _open: bool = True

    async def permitted(self, issuing: Issuing, rendered: Rendered) -> Permitted:
        """The permit of this document. Raises ``NotPermitted``."""
        if not self._open:
            return await permit(issuing, rendered, unattended_use(rendered))
        try:
            return await self.table.arrived(issuing, rendered)
        finally:
            self._open = False
            self.table.seats -= 1

    async def leave(self, issuing: Issuing) -> None:
        """It will ask for no permit."""
        if self._open:
            self._open = False
            await self.table.left(issuing)


async def _serve(issuing: Issuing, group: list[_Waiting]) -> None:
    """All of them in one transaction; where that is refused each asks by itself, so that each has its own answer."""
    try:
        given = await permits(issuing, [one.rendered for one in group], group[0].use)
    except FujieError:
        await asyncio.gather(*(_alone(issuing, one) for one in group))
        return
    except BaseException as error:
        for one in group:
            one.answer.set_exception(error)
        return
    for one, permitted in zip(group, given, strict=True):
        one.answer.set_result(permitted)


async def _alone(issuing: Issuing, one: _Waiting) -> None:
    try:
        one.answer.set_result(await permit(issuing, one.rendered, one.use))
    except BaseException as error:
        one.answer.set_exception(error)


def _kind(approval: Approval) -> Hashable:
    return approval.certificate_type, approval.issuer, approval.matter_code, approval.seal
