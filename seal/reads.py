"""Named selects about seals. They answer with frozen views; the tables stay inside."""

import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from seal.divisions import covers, significant
from seal.kinds import SealKind
from seal.lifecycle import IN_USE, MOVES, WAITING, Move, Status, Succession
from seal.models import MadeSealRow, SealRow, StatusChangeRow, UseRow

ONE_EACH = frozenset({SealKind.STATUTORY, SealKind.APPROVAL, SealKind.CERTIFICATE})
"""Kinds of which an organisation has one in use; of others several, told apart by their names."""


class SealNotFound(NotFound):
    code = "SEAL_NOT_FOUND"
    public = ("没有这枚印章。", "There is no such seal.")


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal as others see it; ``code`` is its 14 digits, ``""`` until it is made; ``organisation`` a USCC."""

    id: uuid.UUID
    code: str
    name: str
    kind: SealKind
    organisation: str
    organisation_name: str
    division: str
    status: Status
    status_since: dt.datetime
    valid_from: dt.datetime
    valid_to: dt.datetime
    applicant: str = ""
    succession: Succession | None = None
    predecessor: uuid.UUID | None = None
    successor: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class SealPictures:
    """The impression: ``svg`` in millimetres, ``png`` transparent at 300 dpi."""

    svg: bytes
    png: bytes
    width_mm: float
    height_mm: float


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One move. ``documents``: ``{"kind", "sha256", "name"}`` each; ``recorded_at``: when it was written, ``at``: from when it counts."""

    move: str
    old: str | None
    new: str
    at: dt.datetime
    actor_id: str
    reason: str
    reason_code: str = ""
    documents: tuple[dict[str, Any], ...] = ()
    recorded_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class SealUse:
    """One stamping. ``document_hash`` is SHA-256 of the document before it."""

    permit_id: uuid.UUID
    document_hash: bytes
    actor_id: str
    matter_code: str
    unattended: bool
    at: dt.datetime


def seal_view(row: SealRow) -> Seal:
    return Seal(
        id=row.id,
        code=row.code or "",
        name=row.name,
        kind=SealKind(row.kind),
        organisation=row.organisation,
        organisation_name=row.organisation_name,
        division=row.division,
        status=Status(row.status),
        status_since=row.status_since,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        applicant=row.applicant,
        succession=Succession(row.succession) if row.succession else None,
        predecessor=row.predecessor,
        successor=row.successor,
    )


async def get_seal(session: AsyncSession, code: str) -> Seal:
    """The seal of this code. Raises :class:`SealNotFound`."""
    return seal_view(await _one(session, select(SealRow).where(SealRow.code == code), code))


async def get_application(session: AsyncSession, seal_id: uuid.UUID) -> Seal:
    """The seal of this identifier, made or not. Raises :class:`SealNotFound`."""
    return seal_view(await _one(session, select(SealRow).where(SealRow.id == seal_id), str(seal_id)))


async def find_seal(session: AsyncSession, *, organisation: str, kind: str) -> Seal | None:
    """The organisation's one seal of this kind that is in use or suspended; None where there is none, or several."""
    query = select(SealRow).where(SealRow.organisation == organisation, SealRow.kind == kind, SealRow.status.in_(IN_USE)).limit(2)
    rows = list(await session.scalars(query))
    return seal_view(rows[0]) if len(rows) == 1 else None


async def rival_of(session: AsyncSession, seal: Seal) -> Seal | None:
    """A seal in use beside which this one may not be: of the same kind where an organisation has but one, else of the same name."""
    same = [SealRow.organisation == seal.organisation, SealRow.kind == seal.kind, SealRow.status.in_(IN_USE), SealRow.id != seal.id]
    if seal.kind not in ONE_EACH:
        same.append(SealRow.name == seal.name)
    row = await session.scalar(select(SealRow).where(*same).limit(1))
    return None if row is None else seal_view(row)


async def list_seals(session: AsyncSession, *, organisation: str | None = None, after: str = "", limit: int = 200) -> list[Seal]:
    """Made seals in the order of their codes, from the one after ``after`` on."""
    query = select(SealRow).where(SealRow.code > after).order_by(SealRow.code).limit(limit)
    if organisation is not None:
        query = query.where(SealRow.organisation == organisation)
    return [seal_view(row) for row in await session.scalars(query)]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which seals are looked for; None: whatever it is. ``within``: the division and those below it."""

    organisation: str | None = None
    within: str | None = None
    status: Status | None = None
    kind: SealKind | None = None


async def find_seals(session: AsyncSession, wanted: Wanted, *, before: uuid.UUID | None = None, limit: int = 50) -> list[Seal]:
    """Seals and applications, the latest application first, from the one before ``before`` on. Identifiers grow with time."""
    query = select(SealRow).order_by(SealRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(SealRow.id < before)
    for column, value in ((SealRow.organisation, wanted.organisation), (SealRow.status, wanted.status), (SealRow.kind, wanted.kind)):
        if value is not None:
            query = query.where(column == value)
    if wanted.within is not None:
        query = query.where(SealRow.division.startswith(significant(wanted.within), autoescape=True))
    return [seal_view(row) for row in await session.scalars(query)]


async def resolve(session: AsyncSession, reference: str) -> Seal:
    """The seal of a code, or of the identifier of its application. Raises :class:`SealNotFound`."""
    try:
        identifier = uuid.UUID(reference)
    except ValueError:
        return await get_seal(session, reference)
    return await get_application(session, identifier)


async def list_applications(session: AsyncSession, *, division: str) -> list[Seal]:
    """What waits for a review in this division and those below it, oldest first."""
    query = select(SealRow).where(SealRow.status.in_(WAITING)).order_by(SealRow.id)
    return [seal for row in await session.scalars(query) if covers(division, (seal := seal_view(row)).division)]


async def status_at(session: AsyncSession, code: str, instant: dt.datetime) -> Status | None:
    """The status of the seal at any past instant; None before its application. Raises :class:`SealNotFound`.

    A period that was over counts, whether or not that was noted by then.
    """
    seal = await get_seal(session, code)
    query = (
        select(StatusChangeRow.new)
        .where(StatusChangeRow.seal_id == seal.id, StatusChangeRow.at <= instant)
        .order_by(StatusChangeRow.at.desc(), StatusChangeRow.id.desc())
        .limit(1)
    )
    found = await session.scalar(query)
    return None if found is None else standing(Status(found), seal.valid_to, instant)


def standing(status: Status, valid_to: dt.datetime, instant: dt.datetime) -> Status:
    """The status in which the end of the period counts from its very instant. Pure."""
    return Status.EXPIRED if status in MOVES[Move.EXPIRE].sources and instant > valid_to else status


async def history(session: AsyncSession, code: str) -> list[StatusChange]:
    """Every move of the seal, first to last. Raises :class:`SealNotFound`."""
    return await history_of(session, (await get_seal(session, code)).id)


async def history_of(session: AsyncSession, seal_id: uuid.UUID) -> list[StatusChange]:
    """Every move of the seal of this identifier, made or not, first to last."""
    rows = await session.scalars(select(StatusChangeRow).where(StatusChangeRow.seal_id == seal_id).order_by(StatusChangeRow.id))
    return [
        StatusChange(row.move, row.old, row.new, row.at, row.actor_id, row.reason, row.reason_code, tuple(row.documents), row.recorded_at)
        for row in rows
    ]


async def uses_of(session: AsyncSession, code: str, *, limit: int = 100) -> list[SealUse]:
    """The seal's log of use, latest first."""
    seal = await get_seal(session, code)
    query = select(UseRow).where(UseRow.seal_id == seal.id).order_by(UseRow.at.desc(), UseRow.permit_id.desc()).limit(limit)
    return [
        SealUse(row.permit_id, row.document_hash, row.actor_id, row.matter_code, row.unattended, row.at)
        for row in await session.scalars(query)
    ]


async def is_made_seal(session: AsyncSession, code: str, sha256: str) -> bool:
    """Whether the SESeal with this SHA-256 (hexadecimal) is the one that was made here under this code: a code alone is a claim."""
    query = select(MadeSealRow.seal_der).join(SealRow, SealRow.id == MadeSealRow.seal_id).where(SealRow.code == code)
    made = await session.scalar(query)
    return made is not None and hashlib.sha256(made).hexdigest() == sha256


async def pictures_of(session: AsyncSession, code: str) -> SealPictures:
    """The impression of the seal. Raises :class:`SealNotFound`."""
    query = select(MadeSealRow).join(SealRow, SealRow.id == MadeSealRow.seal_id).where(SealRow.code == code)
    row = await session.scalar(query)
    if row is None:
        raise SealNotFound(code)
    return SealPictures(row.svg, row.png, row.width_mm, row.height_mm)


async def _one(session: AsyncSession, query: Select[SealRow], name: str) -> SealRow:
    row = await session.scalar(query)
    if row is None:
        raise SealNotFound(name)
    return row
