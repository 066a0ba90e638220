"""A department's approver has many certificates issued: by a system that may issue for the department, and for no other issuer.

A person's own stamp is one for one document, looked at. What is issued unattended is issued by a client under its grants (seal, matter,
period), so the approver chooses among the clients that the department's issuing was entrusted to, and answers for the file: the audit
names both. The file's rows may name the department alone as their issuer, whatever else the client may do.
"""

import datetime as dt
from typing import BinaryIO

from certs.bulk_issuing import BulkJob, submit
from certs.entrances import ISSUE
from certs.reads import may_issue_for
from certs.stages import Issuing
from identity.clients import Client, list_clients
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, InvalidInput
from keys.evidence import audit
from keys.evidence.audit import Event
from seal.access import require_two_factors


class BulkForApprovers(Forbidden):
    """The account is no approver of an organisation."""

    code = "BULK_ISSUE_FOR_APPROVERS"
    public = ("批量制证由颁发机构的审批人员办理。", "Issuing in bulk is for the issuer's approvers.")


def require_bulk_approver(actor: Actor) -> str:
    """The approver's organisation. Raises :class:`BulkForApprovers`, ``SecondFactorNeeded``."""
    if actor.kind is not ActorKind.PERSON or Role.APPROVER not in actor.roles or actor.organisation is None:
        raise BulkForApprovers
    require_two_factors(actor)
    return actor.organisation


async def systems_of(session: AsyncSession, now: dt.datetime, organisation: str) -> tuple[Client, ...]:
    """The active clients that issue for the organisation: its own, and those that were given the right."""
    issuing = [one for one in await list_clients(session, now) if ISSUE in one.scopes]
    return tuple([one for one in issuing if one.organisation == organisation or await may_issue_for(session, one.client_id, organisation)])


async def submit_for(
    issuing: Issuing, actor: Actor, client_id: str, name: str, file: BinaryIO, key: str, *, address: str | None = None
) -> BulkJob:
    """Have the client issue what stands in the file, as the approver asks; the same file under the same key is the same job.

    Raises what ``submit`` and :func:`require_bulk_approver` raise, and ``InvalidInput`` for a client that does not issue for them.
    """
    try:
        organisation = require_bulk_approver(actor)
        async with issuing.database.session() as session:
            systems = await systems_of(session, issuing.clock.now(), organisation)
        chosen = next((one for one in systems if one.client_id == client_id), None)
        if chosen is None:
            raise InvalidInput("client", errors=[{"field": "client", "message": "not a system that issues for the organisation"}])
    except FujieError as error:
        event = Event("certs.bulk_issue.submit", "bulk", audit.Outcome.REFUSED, actor, code=error.code)
        await audit.record_alone(issuing.database, issuing.clock.now(), event)
        raise
    return await submit(issuing, chosen.actor, name, file, f"person-{actor.id}-{key}", address=address, by=actor)
