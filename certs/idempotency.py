"""One answer for one key of one client, however often it asks."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import Approval, IdempotencyKeyRequired, IdempotencyKeyReused, Outcome, OutcomeStatus
from certs.models import IdempotencyRow
from identity.personal_data import PersonalData
from keys.base.actor import Actor
from keys.base.db import AsyncSession

_LONGEST = 128
_LATER = frozenset({"absorbs", "paper", "photo", "copy"})
"""Members that approvals have not always had: where one is empty the digest is what it was before, and old keys still match."""


def require_key(key: str | None) -> str:
    """The caller's key; raises :class:`IdempotencyKeyRequired` unless it is 1–128 visible ASCII characters."""
    if not key or len(key) > _LONGEST or not all("!" <= character <= "~" for character in key):
        raise IdempotencyKeyRequired
    return key


def request_digest(personal: PersonalData, approval: Approval) -> bytes:
    """What a body is recognised by. Keyed, because it covers ID numbers, whose few digits can be searched through; of a photograph it
    covers the SHA-256."""
    members = {name: value for name, value in asdict(approval).items() if value or name not in _LATER}
    if approval.photo is not None:
        members["photo"] = hashlib.sha256(approval.photo).hexdigest()
    return personal.subject("certs.approval", orjson.dumps(members, option=orjson.OPT_SORT_KEYS).decode())


async def claim_key(session: AsyncSession, now: dt.datetime, actor: Actor, key: str, request: bytes, certificate_id: uuid.UUID) -> bool:
    """Take the key for a new certificate; ``False`` when it is taken. Waits for a transaction that is just taking it."""
    statement = insert(IdempotencyRow).values(
        client_id=actor.id, key=key, request=request, certificate_id=certificate_id, answer=None, created_at=now
    )
    taken = await session.scalar(statement.on_conflict_do_nothing().returning(IdempotencyRow.certificate_id))
    return taken is not None


async def find_key(session: AsyncSession, actor: Actor, key: str, request: bytes) -> uuid.UUID | None:
    """The certificate an earlier request with this key began; raises :class:`IdempotencyKeyReused` if its body was another."""
    row = await session.get(IdempotencyRow, (actor.id, key))
    if row is None:
        return None
    if row.request != request:
        raise IdempotencyKeyReused
    return row.certificate_id


async def save_answer(session: AsyncSession, outcome: Outcome) -> None:
    """Remember the first answer; a later stamp does not change it."""
    answer = {
        "id": str(outcome.id), "identifier": outcome.identifier,
        "verification_code": outcome.verification_code, "status": outcome.status.value,
    }  # fmt: skip
    statement = update(IdempotencyRow).where(IdempotencyRow.certificate_id == outcome.id, IdempotencyRow.answer.is_(None))
    await session.execute(statement.values(answer=answer))


async def free_key(session: AsyncSession, certificate_id: uuid.UUID) -> None:
    """Forget the key of an attempt that left nothing."""
    await session.execute(delete(IdempotencyRow).where(IdempotencyRow.certificate_id == certificate_id))


async def find_answer(session: AsyncSession, certificate_id: uuid.UUID) -> tuple[bool, Outcome | None]:
    """Whether the key still stands, and its answer if there is one."""
    statement = select(IdempotencyRow.certificate_id, IdempotencyRow.answer).where(IdempotencyRow.certificate_id == certificate_id)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return False, None
    return True, _outcome(row.answer) if row.answer is not None else None


def _outcome(answer: Mapping[str, Any]) -> Outcome:
    return Outcome(uuid.UUID(answer["id"]), answer["identifier"], answer["verification_code"], OutcomeStatus(answer["status"]))
