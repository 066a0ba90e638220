"""The house's own services use seals in their own names, unattended: each by a grant of the seal's keeper, for one kind of document."""

import datetime as dt
from dataclasses import dataclass

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from seal.grants import Grant, GranteeKind, grant_use, grants_of
from seal.reads import get_seal


@dataclass(frozen=True, slots=True)
class Service:
    """``name`` is the grantee's: one that no client can have. ``granted_for``: how long a grant lasts, at most as long as its seal."""

    name: str
    document_kind: str
    quota_day: int
    granted_for: dt.timedelta


async def grant_service(session: AsyncSession, now: dt.datetime, actor: Actor, service: Service, seal_code: str, matter_code: str) -> None:
    """Let a service use a seal in a matter; nothing where it may already, again where that has lapsed.

    Raises ``GrantForbidden``, ``SealNotFound``, ``GrantInvalid``.
    """
    seal = await get_seal(session, seal_code)
    for _, given in await grants_of(session, grantee_kind=GranteeKind.CLIENT, grantee_id=service.name):
        if (given.seal_code, given.matter_code) == (seal_code, matter_code) and given.valid_to > now:
            return
    until = min(seal.valid_to, now + service.granted_for)
    grant = Grant(
        seal_code, GranteeKind.CLIENT, service.name, matter_code, None, now, until,
        unattended=True, document_kind=service.document_kind, quota_day=service.quota_day,
    )  # fmt: skip
    await grant_use(session, now, actor, grant)
