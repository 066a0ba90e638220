"""Consent: what a person allowed a client. Remembered per client; asked again only when the client wants more."""

import datetime as dt
import uuid
from collections.abc import Iterable

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from identity.oidc_models import CONSENTS
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.evidence.audit import Event, Outcome, record

FIND_CONSENT = select(CONSENTS.c.scopes, CONSENTS.c.granted_at).where(
    CONSENTS.c.account_id == bindparam("account_id"), CONSENTS.c.client_id == bindparam("client_id")
)


async def consent_to(session: AsyncSession, account_id: uuid.UUID, client_id: str) -> tuple[frozenset[str], dt.datetime] | None:
    """The scopes the person allowed this client, and when last."""
    row = (await session.execute(FIND_CONSENT, {"account_id": account_id, "client_id": client_id})).one_or_none()
    return (frozenset(row.scopes), row.granted_at) if row else None


async def grant_consent(session: AsyncSession, now: dt.datetime, account_id: uuid.UUID, client_id: str, scopes: Iterable[str]) -> None:
    """Remember that the person allows ``scopes`` beside what they allowed before. Audited."""
    before = await consent_to(session, account_id, client_id)
    allowed = sorted(set(scopes) | (before[0] if before else frozenset()))
    row = {"account_id": account_id, "client_id": client_id, "scopes": allowed, "granted_at": now}
    statement = insert(CONSENTS).values(row)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["account_id", "client_id"], set_={"scopes": allowed, "granted_at": now})
    )
    await _audit(session, now, "identity.consent.grant", account_id, client_id, allowed)


async def withdraw_consent(session: AsyncSession, now: dt.datetime, account_id: uuid.UUID, client_id: str) -> None:
    """Forget the consent, so that the person is asked again. Audited."""
    gone = await session.execute(
        delete(CONSENTS).where(CONSENTS.c.account_id == account_id, CONSENTS.c.client_id == client_id).returning(CONSENTS.c.client_id)
    )
    if gone.one_or_none() is not None:
        await _audit(session, now, "identity.consent.withdraw", account_id, client_id, [])


async def _audit(session: AsyncSession, now: dt.datetime, action: str, account_id: uuid.UUID, client_id: str, scopes: list[str]) -> None:
    actor = Actor(ActorKind.PERSON, str(account_id))
    await record(session, now, Event(action, f"client:{client_id}", Outcome.DONE, actor, {"scopes": " ".join(scopes)}))
