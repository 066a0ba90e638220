"""Who keeps an organisation's connections with other systems: subscriptions to events, and entrances for approvals."""

import datetime as dt
import unicodedata
import uuid
from collections.abc import Mapping

from certs.privacy import holds_number
from keys.base.actor import Actor, ActorKind, Role
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event, Outcome

MOST_CONNECTIONS = 50
_LONGEST_NAME = 80
_TWO_FACTORS = 2
_MADE = uuid.UUID("5b8f5d0e-6c1a-4a51-9a0e-3d4c7f0a9b21")


class ConnectionForbidden(Forbidden):
    """Only an organisation's system administrators and clients keep its connections."""

    code = "CONNECTION_FORBIDDEN"
    public = (
        "只有本机构的系统管理员和应用可以维护事件订阅与接入。",
        "Only an organisation's administrators and clients keep its connections.",
    )


class ConnectionSecondFactorNeeded(Forbidden):
    """Connections are kept by people who logged in with two factors."""

    code = "CONNECTION_SECOND_FACTOR_NEEDED"
    public = ("维护事件订阅与接入须使用双因素登录。", "Keeping connections takes a log-in with two factors.")


class TooManyConnections(Conflict):
    code = "TOO_MANY_CONNECTIONS"
    public = ("本机构的订阅或接入数量已达上限。", "The organisation has as many connections as it may.")


def organisation_of(actor: Actor, organisation: str | None = None) -> str:
    """Whose connections the actor keeps; ``organisation`` is for commands on the machine.

    Raises :class:`ConnectionForbidden`, :class:`ConnectionSecondFactorNeeded`.
    """
    if actor.kind is ActorKind.SYSTEM:
        if organisation is None:
            raise InvalidInput("organisation", errors=[{"field": "organisation", "message": "whose connection it is"}])
        return organisation
    of_staff = actor.kind is ActorKind.PERSON and Role.SYSTEM_ADMIN in actor.roles
    if actor.organisation is None or not (of_staff or actor.kind is ActorKind.CLIENT) or organisation not in (None, actor.organisation):
        raise ConnectionForbidden
    if of_staff and actor.authenticator < _TWO_FACTORS:
        raise ConnectionSecondFactorNeeded
    return actor.organisation


def id_of(actor: Actor, organisation: str, key: str | None) -> uuid.UUID:
    """The id of a new connection: the same for the same ``key`` of the same actor, so that a request that is repeated makes one."""
    return uuid.uuid5(_MADE, f"{organisation}\n{actor.id}\n{key}") if key else new_id()


def plain_name(text: str) -> str:
    """A name of a connection as it is kept. Raises InvalidInput."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or holds_number(name):
        raise InvalidInput("name", errors=[{"field": "name", "message": "1 to 80 characters, without ID numbers"}])
    return name


async def record_done(
    session: AsyncSession, now: dt.datetime, actor: Actor, kind: str, row_id: uuid.UUID, step: str, details: Mapping[str, JSON]
) -> None:  # fmt: skip
    """What was done to a connection, in the caller's transaction."""
    await audit.record(session, now, Event(f"certs.{kind}.{step}", f"{kind}:{row_id}", Outcome.DONE, actor, dict(details)))


async def record_refused(database: Database, now: dt.datetime, actor: Actor, kind: str, step: str, error: FujieError) -> None:
    """A refusal, in a transaction of its own."""
    await audit.record_alone(database, now, Event(f"certs.{kind}.{step}", kind, Outcome.REFUSED, actor, code=error.code))
