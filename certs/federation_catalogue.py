"""Catalogues between instances: each asks for a list of what is in force with the other, and then for what it does not have yet.

The list is whole every time and short (a line a type), so no change can be missed, whatever was lost in between; where nothing changed
the answer says only that. Definitions are those of ``certs.catalogue``, told by the digest of their canonical JSON, which the receiver
computes again. What a peer tells stands beside our own catalogue and is never mixed into it: a type of the province becomes one of ours
only as a draft that our own people write, review and publish (:func:`adopt`).
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.catalogue import CertificateType, definition, definition_digest, folded, parse_type
from certs.catalogue_keeping import Kept, write_type, write_version
from certs.catalogue_models import TypeVersionRow
from certs.federation import JSON, MALFORMED
from certs.federation_models import PeerRow, PeerTypeRow
from certs.federation_peers import EXCHANGING, Peer
from certs.models import TypeRow
from certs.type_lifecycle import TypeStatus
from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import NotFound

MOST_AT_ONCE = 100
MOST_TYPES = 100_000
PAGE = 50


class PeerTypeUnknown(NotFound):
    code = "FEDERATION_TYPE_UNKNOWN"
    public = ("该互联实例没有这个证照类型。", "That instance has no such certificate type.")


@dataclass(frozen=True, slots=True)
class PeerType:
    """A type in force with a peer."""

    peer_id: str
    peer_name: str
    kind: CertificateType
    received_at: dt.datetime

    def to_json(self) -> JSON:
        return {
            "peer": {"id": self.peer_id, "name": self.peer_name}, "code": self.kind.code, "name_zh": self.kind.name_zh,
            "name_en": self.kind.name_en, "version": self.kind.version, "sharing": self.kind.sharing.sharing_class.value,
            "definition": definition(self.kind), "received_at": self.received_at.isoformat(),
        }  # fmt: skip


async def manifest(session: AsyncSession, known: object) -> JSON:
    """Code and digest of every type in force here, unless the asker has exactly this list."""
    query = select(TypeVersionRow.type_code, TypeVersionRow.digest).where(TypeVersionRow.status == TypeStatus.PUBLISHED.value)
    listed = {code: digest.hex() for code, digest in await session.execute(query.order_by(TypeVersionRow.type_code))}
    digest = manifest_digest(listed).hex()
    return {"digest": digest} if known == digest else {"digest": digest, "types": listed}


def manifest_digest(listed: Mapping[str, str]) -> bytes:
    """What names a list of types. Pure."""
    return hashlib.sha256(orjson.dumps(dict(listed), option=orjson.OPT_SORT_KEYS)).digest()


async def definitions(session: AsyncSession, codes: object) -> JSON:
    """The definitions of these types, as far as they are in force. Raises ValueError."""
    if not isinstance(codes, list) or len(codes) > MOST_AT_ONCE or not all(isinstance(one, str) for one in codes):
        raise ValueError("no list of codes")
    query = select(TypeVersionRow).where(TypeVersionRow.status == TypeStatus.PUBLISHED.value, TypeVersionRow.type_code.in_(codes))
    rows = await session.scalars(query.order_by(TypeVersionRow.type_code))
    return {"types": [row.definition | {"version": row.version} for row in rows]}


async def missing(session: AsyncSession, peer: Peer, answer: JSON) -> list[str] | None:
    """What of a peer's list we do not have; what is off it is dropped. None: the list is what we have. Raises ValueError."""
    listed = answer.get("types")
    if listed is None:
        return None
    good = isinstance(listed, dict) and len(listed) <= MOST_TYPES and all(isinstance(one, str) for one in listed.values())
    if not good or manifest_digest(listed).hex() != answer["digest"]:
        raise ValueError("no list of types")
    query = select(PeerTypeRow.code, PeerTypeRow.digest).where(PeerTypeRow.peer_id == peer.id)
    have = {code: digest.hex() for code, digest in await session.execute(query)}
    if gone := [code for code in have if code not in listed]:
        await session.execute(delete(PeerTypeRow).where(PeerTypeRow.peer_id == peer.id, PeerTypeRow.code.in_(gone)))
    return [code for code in sorted(listed) if have.get(code) != listed[code]]


async def take_in_types(session: AsyncSession, now: dt.datetime, peer: Peer, listed: Mapping[str, str], answer: JSON) -> int:
    """Keep the definitions a peer sent that are those it listed; how many. Raises ValueError."""
    given = answer["types"]
    if not isinstance(given, list) or len(given) > MOST_AT_ONCE:
        raise ValueError("no definitions")
    kinds = [kind for kind in map(_readable, given) if kind is not None and definition_digest(kind).hex() == listed.get(kind.code)]
    values = [
        {
            "peer_id": peer.id, "code": kind.code, "name_zh": kind.name_zh, "definition": definition(kind),
            "digest": definition_digest(kind), "received_at": now,
        }
        for kind in kinds
    ]  # fmt: skip
    if values:
        new = insert(PeerTypeRow)
        changed = {name: new.excluded[name] for name in ("name_zh", "definition", "digest", "received_at")}
        await session.execute(new.on_conflict_do_update(index_elements=["peer_id", "code"], set_=changed), values)
    return len(values)


def _readable(value: object) -> CertificateType | None:
    try:
        return parse_type(value) if isinstance(value, dict) else None
    except MALFORMED:
        return None


async def note_catalogue(session: AsyncSession, peer: Peer, digest: str) -> None:
    """We have the whole list with this digest."""
    await session.execute(update(PeerRow).where(PeerRow.id == peer.id).values(catalogue=bytes.fromhex(digest)))


async def known_catalogue(session: AsyncSession, peer: Peer) -> str | None:
    """The digest of the list we have whole."""
    found = await session.scalar(select(PeerRow.catalogue).where(PeerRow.id == peer.id))
    return found.hex() if found else None


async def types_of_peers(session: AsyncSession, text: str = "", code: str = "", after: str = "", limit: int = PAGE) -> tuple[PeerType, ...]:
    """Types that peers told us of, by code; ``text``: any part of name or code."""
    query = select(PeerTypeRow, PeerRow.name).join(PeerRow, PeerRow.id == PeerTypeRow.peer_id).where(PeerTypeRow.code > after)
    query = query.where(PeerRow.status.in_(EXCHANGING))
    if code:
        query = query.where(PeerTypeRow.code == code)
    for word in folded(text).split()[:8]:
        query = query.where(
            or_(func.strpos(func.lower(PeerTypeRow.name_zh), word) > 0, func.strpos(func.lower(PeerTypeRow.code), word) > 0)
        )
    rows = await session.execute(query.order_by(PeerTypeRow.code, PeerRow.name).limit(limit))
    return tuple(PeerType(str(row.peer_id), name, parse_type(row.definition), row.received_at) for row, name in rows)


async def issuing_peers(session: AsyncSession, code: str) -> Sequence[str]:
    """The ids of the peers with whom the type is in force."""
    return [str(one) for one in await session.scalars(select(PeerTypeRow.peer_id).where(PeerTypeRow.code == code))]


async def count_types(session: AsyncSession) -> dict[str, int]:
    """How many types each peer told us of."""
    rows = await session.execute(select(PeerTypeRow.peer_id, func.count()).group_by(PeerTypeRow.peer_id))
    return {str(peer_id): number for peer_id, number in rows}


async def adopt(database: Database, clock: Clock, actor: Actor, peer_id: uuid.UUID, code: str) -> Kept:
    """Begin a type of ours, or its next version, from what a peer told: a draft without issuers and matters, which are the other's.

    Raises :class:`PeerTypeUnknown` and what writing a draft raises.
    """
    async with database.session() as session:
        row = await session.get(PeerTypeRow, (peer_id, code))
        if row is None:
            raise PeerTypeUnknown(code[:21])
        known = await session.get(TypeRow, code)
        told = parse_type(row.definition)
    kind = replace(told, issuers=(), matters=(), issued_here=True)
    reason = f"version {told.version} of instance {peer_id}"
    if known is None:
        return await write_type(database, clock, actor, kind, reason)
    return await write_version(database, clock, actor, code, kind, reason)
