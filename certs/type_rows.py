"""Writing the catalogue's rows: a version, its moves, and the entry of its type in the list. Inside the caller's transaction.

Who may do it, and whether it is reviewed, is for ``certs.catalogue_keeping``; the table of moves is asked here.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import insert, select, update

from certs.catalogue import CertificateType, definition, definition_digest, parse_type, search_text
from certs.catalogue_models import TypeMoveRow, TypeVersionRow
from certs.models import TypeRow
from certs.type_lifecycle import EVER_PUBLISHED, TypeMove, TypeStatus, standing_of, type_target
from keys.base.actor import SYSTEM, Actor
from keys.base.db import AsyncSession

SHIPPED = "shipped with the product"


async def add_versions(
    session: AsyncSession, now: dt.datetime, actor: Actor, kinds: Sequence[CertificateType], move: TypeMove, reason: str
) -> None:
    """New versions of types, each numbered by its ``version``; entries of types not known yet come with them.

    Three statements however many there are. The entries of types that were known are for :func:`refresh` to renew.
    """
    if not kinds:
        return
    status = type_target(None, move)
    known = set(await session.scalars(select(TypeRow.code).where(TypeRow.code.in_([one.code for one in kinds]))))
    new = [_entry_values(one, status, now) for one in kinds if one.code not in known]
    if new:
        await session.execute(insert(TypeRow), new)
    await session.execute(insert(TypeVersionRow), [_version_values(one, status, actor, now) for one in kinds])
    moves = [_move_values(one.code, one.version, move, None, status, now, actor, reason, definition_digest(one)) for one in kinds]
    await session.execute(insert(TypeMoveRow), moves)


async def ship(session: AsyncSession, now: dt.datetime, kind: CertificateType, actor: Actor = SYSTEM, reason: str = SHIPPED) -> None:
    """In force at once, as the next version unless it is what is in force already. For what the product or an operator brings."""
    rows = list(await session.scalars(select(TypeVersionRow).where(TypeVersionRow.type_code == kind.code).order_by(TypeVersionRow.version)))
    present = next((one for one in rows if one.status == TypeStatus.PUBLISHED), None)
    if present is not None and parse_type(present.definition) == replace(kind, version=present.version):
        return
    if present is not None:
        await move_version(session, now, present, TypeMove.SUPERSEDE, actor, reason)
    version = rows[-1].version + 1 if rows else 1
    await add_versions(session, now, actor, [replace(kind, version=version)], TypeMove.SHIP, reason)
    await refresh(session, now, kind.code)


async def move_version(session: AsyncSession, now: dt.datetime, row: TypeVersionRow, move: TypeMove, actor: Actor, reason: str) -> None:
    """Raises ``TypeMoveNotAllowed``."""
    old = TypeStatus(row.status)
    new = type_target(old, move)
    row.status = new.value
    if move is TypeMove.PUBLISH:
        row.published_at = now
    if new is TypeStatus.RETIRED:
        row.retired_at = now
    await session.flush()
    values = _move_values(row.type_code, row.version, move, old, new, now, actor, reason, row.digest)
    await session.execute(insert(TypeMoveRow), [values])


async def rewrite(session: AsyncSession, now: dt.datetime, row: TypeVersionRow, kind: CertificateType, actor: Actor, reason: str) -> None:
    """Another definition in the draft."""
    row.definition, row.digest, row.written_at = definition(kind), definition_digest(kind), now
    row.writers = list(dict.fromkeys((*row.writers, actor.id)))
    await move_version(session, now, row, TypeMove.EDIT, actor, reason)


async def refresh(session: AsyncSession, now: dt.datetime, code: str) -> None:
    """Bring the entry in the list up to date with its versions."""
    query = select(TypeVersionRow.version, TypeVersionRow.status).where(TypeVersionRow.type_code == code)
    versions = {version: TypeStatus(status) for version, status in await session.execute(query)}
    status, in_force, being_written = standing_of(versions)
    shown = in_force or being_written or max(versions)
    row = await session.get_one(TypeVersionRow, (code, shown))
    values = _shown(parse_type(row.definition)) | {
        "status": status.value, "version": in_force, "open_version": being_written, "updated_at": now,
    }  # fmt: skip
    await session.execute(update(TypeRow).where(TypeRow.code == code).values(values))


def _entry_values(kind: CertificateType, status: TypeStatus, now: dt.datetime) -> dict[str, Any]:
    published = status in EVER_PUBLISHED
    return _shown(kind) | {
        "code": kind.code,
        "status": status.value,
        "version": kind.version if published else None,
        "open_version": None if published else kind.version,
        "updated_at": now,
    }


def _shown(kind: CertificateType) -> dict[str, Any]:
    return {
        "name_zh": kind.name_zh,
        "name_en": kind.name_en,
        "holder_kind": kind.holder_kind.value,
        "sharing_class": kind.sharing.sharing_class.value,
        "issuers": list(kind.issuers),
        "search": search_text(kind),
    }


def _version_values(kind: CertificateType, status: TypeStatus, actor: Actor, now: dt.datetime) -> dict[str, Any]:
    return {
        "type_code": kind.code,
        "version": kind.version,
        "status": status.value,
        "definition": definition(kind),
        "digest": definition_digest(kind),
        "writers": [actor.id],
        "written_at": now,
        "published_at": now if status is TypeStatus.PUBLISHED else None,
        "retired_at": None,
    }


def _move_values(
    code: str, version: int, move: TypeMove, old: TypeStatus | None, new: TypeStatus, now: dt.datetime, actor: Actor, reason: str,
    digest: bytes,
) -> dict[str, Any]:  # fmt: skip
    return {
        "type_code": code, "version": version, "move": move.value, "old": old.value if old else None, "new": new.value, "at": now,
        "actor_kind": actor.kind.value, "actor_id": actor.id, "actor_name": actor.name, "reason": reason, "digest": digest,
    }  # fmt: skip
