"""Named selects of the package, and the loading of the catalogue."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from certs.catalogue import CertificateType, CertificateTypeRetired, UnknownCertificateType, parse_type
from certs.catalogue_models import TypeVersionRow
from certs.lifecycle import Status
from certs.models import CertificateRow, EventRow, HolderRow, IssuingRightRow, SerialRow, TypeRow
from certs.records import Certificate, HistoryEntry, Holder, Page, Source, Stage
from certs.type_lifecycle import EVER_PUBLISHED, TypeMove, TypeStatus
from certs.type_rows import SHIPPED, add_versions, ship
from keys.base.actor import SYSTEM
from keys.base.db import AsyncSession
from keys.base.ids import normalise_code

PAGE_SIZE = 50


async def put_types(session: AsyncSession, now: dt.datetime, kinds: Iterable[CertificateType]) -> None:
    """Put these types into force, each as the next version of its type; one that is in force as it is stays."""
    for kind in kinds:
        await ship(session, now, kind)


async def add_missing_types(session: AsyncSession, now: dt.datetime, kinds: Iterable[CertificateType]) -> None:
    """Add those types that are not there; what an operator changed stays."""
    known = set(await session.scalars(select(TypeRow.code)))
    await add_versions(session, now, SYSTEM, [kind for kind in kinds if kind.code not in known], TypeMove.SHIP, SHIPPED)


async def get_type(session: AsyncSession, code: str, version: int | None = None) -> CertificateType | None:
    """A version that is or was in force; without ``version`` the newest of them. Drafts are no types yet."""
    wanted = TypeVersionRow.version == (TypeRow.version if version is None else version)
    statement = (
        select(TypeVersionRow.definition)
        .join(TypeRow, TypeRow.code == TypeVersionRow.type_code)
        .where(TypeVersionRow.type_code == code, wanted, TypeVersionRow.status.in_(EVER_PUBLISHED))
    )
    found = await session.scalar(statement)
    return parse_type(found) if found is not None else None


async def type_of(session: AsyncSession, certificate: Certificate | None) -> CertificateType | None:
    """The version of its type that a certificate was issued under; the newest one for an imported record."""
    return await get_type(session, certificate.type_code, certificate.type_version) if certificate else await get_type(session, "")


async def issuable_type(session: AsyncSession, code: str) -> CertificateType:
    """The version in force. Raises ``UnknownCertificateType`` where there is none or no template, and ``CertificateTypeRetired``."""
    kind = await get_type(session, code)
    if kind is None:
        raise UnknownCertificateType
    if await session.scalar(select(TypeRow.status).where(TypeRow.code == code)) != TypeStatus.PUBLISHED:
        raise CertificateTypeRetired
    if not kind.issued_here:
        raise UnknownCertificateType
    return kind


async def types_of(session: AsyncSession, certificates: Iterable[Certificate]) -> dict[tuple[str, int | None], CertificateType]:
    """The types of these certificates by code and version as the certificates name them, to name and order their fields."""
    wanted = {(one.type_code, one.type_version) for one in certificates}
    statement = (
        select(TypeVersionRow.type_code, TypeVersionRow.version, TypeRow.version, TypeVersionRow.definition)
        .join(TypeRow, TypeRow.code == TypeVersionRow.type_code)
        .where(TypeVersionRow.type_code.in_({code for code, _ in wanted}), TypeVersionRow.status.in_(EVER_PUBLISHED))
    )
    found: dict[tuple[str, int | None], CertificateType] = {}
    for code, version, newest, definition in await session.execute(statement):
        named = {(code, version)} | ({(code, None)} if version == newest else set())
        for pair in named & wanted:
            found[pair] = parse_type(definition)
    return found


async def all_types(session: AsyncSession) -> dict[str, CertificateType]:
    """The newest version of every type that is or was in force, by code."""
    statement = select(TypeVersionRow.type_code, TypeVersionRow.definition).join(
        TypeRow, (TypeRow.code == TypeVersionRow.type_code) & (TypeRow.version == TypeVersionRow.version)
    )
    rows = await session.execute(statement.order_by(TypeVersionRow.type_code))
    return {code: parse_type(found) for code, found in rows}


async def type_names(session: AsyncSession, codes: Collection[str]) -> dict[str, tuple[str, str]]:
    """(Chinese name, English name) of the types that are known, by code."""
    rows = await session.execute(select(TypeRow.code, TypeRow.name_zh, TypeRow.name_en).where(TypeRow.code.in_(codes)))
    return {code: (zh, en) for code, zh, en in rows}


async def grant_issuing(session: AsyncSession, now: dt.datetime, client_id: str, issuer: str, granted_by: str) -> None:
    """Let a client issue for an organisation other than its own."""
    statement = insert(IssuingRightRow).values(client_id=client_id, issuer=issuer, granted_at=now, granted_by=granted_by)
    await session.execute(statement.on_conflict_do_nothing())


async def may_issue_for(session: AsyncSession, client_id: str, issuer: str) -> bool:
    return await session.get(IssuingRightRow, (client_id, issuer)) is not None


async def next_serial(session: AsyncSession, type_code: str, issuer: str, year: int) -> int:
    """The next number of a type, issuer and year, from its counter row: held until the transaction ends, never given twice."""
    statement = (
        insert(SerialRow)
        .values(type_code=type_code, issuer=issuer, year=year, last=1)
        .on_conflict_do_update(index_elements=["type_code", "issuer", "year"], set_={"last": SerialRow.last + 1})
        .returning(SerialRow.last)
    )
    return (await session.execute(statement)).scalar_one()


async def identifier_taken(session: AsyncSession, identifier: str) -> bool:
    statement = select(CertificateRow.id).where(CertificateRow.identifier == identifier, ~CertificateRow.duplicate)
    return (await session.execute(statement.limit(1))).first() is not None


async def known_identifiers(session: AsyncSession, identifiers: Sequence[str]) -> set[str]:
    """Those of the identifiers that stand in a record already."""
    statement = select(CertificateRow.identifier).where(CertificateRow.identifier.in_(identifiers), ~CertificateRow.duplicate)
    return set(await session.scalars(statement))


async def get_certificate(session: AsyncSession, certificate_id: uuid.UUID) -> Certificate | None:
    row = await session.get(CertificateRow, certificate_id)
    if row is None:
        return None
    return to_certificate(row, await holders_of(session, [row.id]))


async def certificate_by_code(session: AsyncSession, code: str) -> Certificate | None:
    """The issued certificate with a verification code. One that does not exist takes the same two queries."""
    statement = select(CertificateRow).where(CertificateRow.verification_code == code, CertificateRow.stage == Stage.ISSUED)
    row = (await session.scalars(statement)).one_or_none()
    holders = await holders_of(session, [row.id if row else uuid.UUID(int=0)])
    return to_certificate(row, holders) if row else None


async def find_certificate(session: AsyncSession, name: str) -> Certificate | None:
    """A certificate by its id, identifier or verification code, in any stage."""
    try:
        return await get_certificate(session, uuid.UUID(name))
    except ValueError:
        pass
    named = (CertificateRow.identifier == name) | (CertificateRow.verification_code == normalise_code(name))
    found = await session.scalar(select(CertificateRow.id).where(named, ~CertificateRow.duplicate).limit(1))
    return await get_certificate(session, found) if found else None


async def certificates_held(
    session: AsyncSession,
    holder_index: bytes,
    *,
    type_code: str | None = None,
    readable_by: str | None = None,
    cursor: uuid.UUID | None = None,
    limit: int = PAGE_SIZE,
) -> Page:
    """Issued certificates of the holder with that blind index, newest first.

    ``readable_by`` (USCC) leaves only those that this organisation issued or had issued.
    """
    held = select(HolderRow.certificate_id).where(HolderRow.code_index == holder_index)
    statement = select(CertificateRow).where(CertificateRow.id.in_(held), CertificateRow.stage == Stage.ISSUED)
    if type_code is not None:
        statement = statement.where(CertificateRow.type_code == type_code)
    if readable_by is not None:
        statement = statement.where((CertificateRow.issuer == readable_by) | (CertificateRow.client_organisation == readable_by))
    if cursor is not None:
        statement = statement.where(CertificateRow.id < cursor)
    rows = list(await session.scalars(statement.order_by(CertificateRow.id.desc()).limit(limit + 1)))
    holders = await holders_of(session, [row.id for row in rows])
    items = tuple(to_certificate(row, holders) for row in rows[:limit])
    return Page(items, str(items[-1].id) if len(rows) > limit else None)


async def awaiting_stamp(
    session: AsyncSession, issuers: Sequence[str], limit: int = PAGE_SIZE, *, seals: Collection[str] = ()
) -> tuple[Certificate, ...]:
    """Certificates of these issuers that wait for an approver, and those that wait for one of these seals, oldest first."""
    statement = (
        select(CertificateRow)
        .where(CertificateRow.stage == Stage.AWAITING_STAMP)
        .where(CertificateRow.issuer.in_(issuers) | CertificateRow.seal_code.in_(seals))
        .order_by(CertificateRow.id)
        .limit(limit)
    )
    rows = list(await session.scalars(statement))
    holders = await holders_of(session, [row.id for row in rows])
    return tuple(to_certificate(row, holders) for row in rows)


async def is_held_by(session: AsyncSession, certificate_id: uuid.UUID, holder_index: bytes) -> bool:
    statement = select(HolderRow.position).where(HolderRow.certificate_id == certificate_id, HolderRow.code_index == holder_index)
    return (await session.execute(statement.limit(1))).first() is not None


async def history(session: AsyncSession, certificate_id: uuid.UUID) -> tuple[HistoryEntry, ...]:
    """All operations on a certificate, oldest first."""
    rows = await session.scalars(select(EventRow).where(EventRow.certificate_id == certificate_id).order_by(EventRow.at, EventRow.id))
    return tuple(
        HistoryEntry(
            row.at, row.operation, row.from_status, row.to_status, row.reason, row.actor_kind, row.actor_name, row.reason_code,
            row.legal_basis,
        )
        for row in rows
    )  # fmt: skip


async def status_at(session: AsyncSession, certificate_id: uuid.UUID, instant: dt.datetime) -> Status | None:
    """The status code that stood at a past instant; ``None`` before the certificate was issued."""
    statement = (
        select(EventRow.to_status)
        .where(EventRow.certificate_id == certificate_id, EventRow.at <= instant)
        .order_by(EventRow.at.desc(), EventRow.id.desc())
        .limit(1)
    )
    found = await session.scalar(statement)
    return Status(found) if found else None


async def count_certificates(session: AsyncSession) -> int:
    """How many records there are, in any stage."""
    return (await session.execute(select(func.count()).select_from(CertificateRow))).scalar_one()


async def holders_of(session: AsyncSession, certificates: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Holder]]:
    """The holders of each certificate, in their order."""
    statement = select(HolderRow).where(HolderRow.certificate_id.in_(certificates)).order_by(HolderRow.certificate_id, HolderRow.position)
    found: dict[uuid.UUID, list[Holder]] = {}
    for row in await session.scalars(statement):
        found.setdefault(row.certificate_id, []).append(to_holder(row))
    return found


def to_holder(row: HolderRow) -> Holder:
    """The view of a holder's row."""
    return Holder(row.name, row.code_type, row.code, row.code_masked)


def to_certificate(row: CertificateRow, holders: dict[uuid.UUID, list[Holder]]) -> Certificate:
    """The view of a row."""
    shared = {name: getattr(row, name) for name in Certificate.__slots__ if name not in _CONVERTED}
    return Certificate(
        **shared,
        stage=Stage(row.stage),
        status=Status(row.status),
        source=Source(row.source),
        flags=tuple(row.flags),
        holders=tuple(holders.get(row.id, ())),
    )


_CONVERTED = frozenset({"stage", "status", "source", "flags", "holders"})
