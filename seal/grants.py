"""Grants: who may use a seal, for which matter and type, in which period; unattended only where it says so.

The seal's own organisation grants, through its keeper, or a security administrator of the division.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select, update

from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, Forbidden, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.divisions import covers
from seal.models import GrantRow, MatterRow, SealRow
from seal.reads import Seal, get_application, get_seal


class GranteeKind(StrEnum):
    PERSON = "person"
    CLIENT = "client"


class GrantInvalid(InvalidInput):
    code = "SEAL_GRANT_INVALID"
    public = ("用印授权的内容不正确。", "The grant is not well-formed.")


class GrantForbidden(Forbidden):
    code = "SEAL_GRANT_FORBIDDEN"
    public = ("您没有权限授予或收回此印章的使用权。", "You may not grant or withdraw the use of this seal.")


class GrantNotFound(NotFound):
    code = "SEAL_GRANT_NOT_FOUND"
    public = ("没有这项用印授权。", "There is no such grant.")


class GrantAlreadyWithdrawn(Conflict):
    code = "SEAL_GRANT_WITHDRAWN"
    public = ("授权已被收回。", "The grant was withdrawn.")


@dataclass(frozen=True, slots=True)
class Grant:
    """What is granted. ``grantee_id`` is an account's UUID or a ``client_id``; ``certificate_type`` None means any."""

    seal_code: str
    grantee_kind: str
    grantee_id: str
    matter_code: str
    certificate_type: str | None
    valid_from: dt.datetime
    valid_to: dt.datetime
    unattended: bool = False


async def grant_use(session: AsyncSession, now: dt.datetime, actor: Actor, grant: Grant) -> uuid.UUID:
    """Grant a use; the grant's identifier.

    Raises :class:`GrantInvalid`, :class:`GrantForbidden`, ``SealNotFound``.
    """
    seal = await get_seal(session, grant.seal_code)
    _check_grantor(actor, seal)
    _check(grant)
    await _check_matter(session, grant.matter_code, seal)
    identifier = new_id()
    session.add(
        GrantRow(
            id=identifier,
            seal_id=seal.id,
            grantee_kind=GranteeKind(grant.grantee_kind),
            grantee_id=grant.grantee_id,
            matter_code=grant.matter_code,
            certificate_type=grant.certificate_type,
            valid_from=grant.valid_from,
            valid_to=grant.valid_to,
            unattended=grant.unattended,
            granted_at=now,
            granted_by=actor.id,
        )
    )
    await session.flush()
    await audit.record(session, now, Event("seal.grant", f"seal:{seal.id}", Outcome.DONE, actor, _details(identifier, grant)))
    return identifier


async def withdraw_grant(session: AsyncSession, now: dt.datetime, actor: Actor, grant_id: uuid.UUID) -> None:
    """End a grant now; permits given under it and not yet used die with it.

    Raises :class:`GrantNotFound`, :class:`GrantAlreadyWithdrawn`, :class:`GrantForbidden`.
    """
    row = await session.scalar(select(GrantRow).where(GrantRow.id == grant_id))
    if row is None:
        raise GrantNotFound(str(grant_id))
    _check_grantor(actor, await get_application(session, row.seal_id))
    withdrawn = await session.execute(
        update(GrantRow)
        .where(GrantRow.id == grant_id, GrantRow.withdrawn_at.is_(None))
        .values(withdrawn_at=now, withdrawn_by=actor.id)
        .returning(GrantRow.id)
    )
    if withdrawn.scalar() is None:
        raise GrantAlreadyWithdrawn(str(grant_id))
    event = Event("seal.grant.withdraw", f"seal:{row.seal_id}", Outcome.DONE, actor, {"grant": str(grant_id)})
    await audit.record(session, now, event)


async def grants_of(session: AsyncSession, *, grantee_kind: str, grantee_id: str) -> list[tuple[uuid.UUID, Grant]]:
    """Grants not withdrawn, oldest first."""
    query = (
        select(GrantRow, SealRow.code)
        .join(SealRow, SealRow.id == GrantRow.seal_id)
        .where(GrantRow.grantee_kind == grantee_kind, GrantRow.grantee_id == grantee_id, GrantRow.withdrawn_at.is_(None))
        .order_by(GrantRow.id)
    )
    return [(row.id, _view(row, code or "")) for row, code in await session.execute(query)]


def _view(row: GrantRow, code: str) -> Grant:
    return Grant(
        seal_code=code,
        grantee_kind=row.grantee_kind,
        grantee_id=row.grantee_id,
        matter_code=row.matter_code,
        certificate_type=row.certificate_type,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        unattended=row.unattended,
    )


def _check_grantor(actor: Actor, seal: Seal) -> None:
    if actor.kind is ActorKind.SYSTEM:
        return
    own_keeper = Role.SEAL_KEEPER in actor.roles and actor.organisation == seal.organisation
    administers = Role.SECURITY_ADMIN in actor.roles and covers(actor.division, seal.division)
    if actor.kind is not ActorKind.PERSON or not (own_keeper or administers):
        raise GrantForbidden(f"{actor.id} neither keeps nor administers seal {seal.code}")


def _check(grant: Grant) -> None:
    if grant.grantee_kind not in set(GranteeKind):
        raise GrantInvalid(f"grantee kind {grant.grantee_kind[:20]!r}")
    if not grant.grantee_id:
        raise GrantInvalid("no grantee")
    if grant.valid_from.tzinfo is None or grant.valid_to.tzinfo is None or grant.valid_from >= grant.valid_to:
        raise GrantInvalid("the period is empty or without a zone")


async def _check_matter(session: AsyncSession, code: str, seal: Seal) -> None:
    organisation = await session.scalar(select(MatterRow.organisation).where(MatterRow.code == code))
    if organisation != seal.organisation:
        raise GrantInvalid(f"matter {code[:40]!r} is not one of the seal's organisation")


def _details(identifier: uuid.UUID, grant: Grant) -> dict[str, audit.JSON]:
    return {
        "grant": str(identifier),
        "grantee": f"{grant.grantee_kind}:{grant.grantee_id}",
        "matter": grant.matter_code,
        "certificate_type": grant.certificate_type,
        "valid_from": grant.valid_from.isoformat(),
        "valid_to": grant.valid_to.isoformat(),
        "unattended": grant.unattended,
    }
