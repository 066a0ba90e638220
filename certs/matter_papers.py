"""Which papers a matter asks for, and which certificate types answer them: the table behind "don't ask again".

Kept by the approvers of the organisation that acts in the matter and by system administrators, with two factors; every change is audited.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from certs.approvals import UnknownMatter, is_clean
from certs.catalogue_access import CatalogueForbidden, CatalogueSecondFactorNeeded
from certs.catalogue_files import read_cells
from certs.catalogue_import import CHANGED as REPLACED
from certs.catalogue_import import NEW, REFUSED, UNCHANGED, RowReport
from certs.catalogue_keeping import refusals_audited
from certs.catalogue_models import MatterPaperRow
from certs.models import TypeRow
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput
from keys.evidence.audit import JSON, Event, Outcome, record
from seal.matters import Matter, get_matter

MOST_PAPERS = 200
MOST_TYPES = 50
_LONGEST = 200
_TRUE = frozenset({"", "1", "true", "yes", "是"})
COLUMNS = ("matter_code", "paper_code", "name_zh", "name_en", "mandatory", "types", "enough", "basis")
"""The columns of a table to be imported; ``types`` separated by ``^``."""


class Enough(StrEnum):
    """What the matter needs to see: that there is a valid one, or the document."""

    DATA = "data"
    COPY = "copy"


class PaperMalformed(InvalidInput):
    """``extra['errors']`` names what is wrong."""

    code = "MATTER_PAPER_MALFORMED"
    public = ("申请材料清单的内容不正确。", "The list of required papers is not well-formed.")


@dataclass(frozen=True, slots=True)
class Paper:
    """One required paper. ``types``: any of them answers it; none: nothing in the library does, and it must be brought.

    ``basis``: the rule under which the matter's organisation may be told about types that are shared conditionally.
    """

    code: str
    name_zh: str
    name_en: str = ""
    mandatory: bool = True
    types: tuple[str, ...] = ()
    enough: Enough = Enough.DATA
    basis: str = ""

    def to_json(self) -> dict[str, JSON]:
        return {
            "paper": self.code, "name_zh": self.name_zh, "name_en": self.name_en, "mandatory": self.mandatory, "types": list(self.types),
            "enough": self.enough.value, "basis": self.basis,
        }  # fmt: skip


async def papers_of(session: AsyncSession, matter_code: str) -> tuple[Paper, ...]:
    """The papers of a matter in their order."""
    query = select(MatterPaperRow).where(MatterPaperRow.matter_code == matter_code)
    rows = await session.scalars(query.order_by(MatterPaperRow.position, MatterPaperRow.paper_code))
    return tuple(_view(row) for row in rows)


async def put_papers(database: Database, clock: Clock, actor: Actor, matter_code: str, papers: Sequence[Paper]) -> tuple[Paper, ...]:
    """The whole list of a matter, in place of the one before.

    Raises ``UnknownMatter``, ``CatalogueForbidden``, ``CatalogueSecondFactorNeeded``, :class:`PaperMalformed`.
    """
    async with refusals_audited(database, clock, "papers", matter_code, actor), database.begin() as session:
        now = clock.now()
        await _keeps(session, actor, matter_code)
        await _check(session, papers)
        await session.execute(delete(MatterPaperRow).where(MatterPaperRow.matter_code == matter_code))
        for position, paper in enumerate(papers):
            await _put(session, now, matter_code, position, paper)
        await _audit(session, now, actor, matter_code, len(papers))
        return await papers_of(session, matter_code)


async def import_papers(database: Database, clock: Clock, actor: Actor, document: bytes, *, dry_run: bool = False) -> tuple[RowReport, ...]:
    """Papers of many matters from CSV or JSON lines; a report for every row, and what is refused holds up no other.

    A paper that is there is replaced, others stay. Raises ``CatalogueFileUnreadable``.
    """
    reports = []
    async with refusals_audited(database, clock, "papers", "table", actor), database.begin() as session:
        now, touched = clock.now(), set[str]()
        for row in read_cells(document, "paper_code"):
            cells = {name: str(value or "").strip() for name, value in row.members.items() if not isinstance(value, list)}
            cells |= {name: "^".join(str(one) for one in value) for name, value in row.members.items() if isinstance(value, list)}
            try:
                if row.fault:
                    raise PaperMalformed("row", errors=[{"field": "row", "message": row.fault}])
                outcome = await _import_row(session, now, actor, cells, dry_run=dry_run)
                touched.add(cells["matter_code"])
                reports.append(RowReport(row.line, f"{cells['matter_code']}/{cells['paper_code']}", outcome))
            except FujieError as error:
                reports.append(RowReport(row.line, cells.get("paper_code", "")[:64], REFUSED, None, _errors(error)))
        if not dry_run:
            for matter_code in sorted(touched):
                await _audit(session, now, actor, matter_code, sum(one.code.startswith(f"{matter_code}/") for one in reports))
    return tuple(reports)


async def _import_row(session: AsyncSession, now: dt.datetime, actor: Actor, cells: dict[str, str], *, dry_run: bool) -> str:
    paper = _read(cells)
    await _keeps(session, actor, cells.get("matter_code", ""))
    await _check(session, [paper])
    row = await session.get(MatterPaperRow, (cells["matter_code"], paper.code), populate_existing=True)
    if row is not None and _view(row) == paper:
        return UNCHANGED
    if not dry_run:
        highest = select(func.max(MatterPaperRow.position)).where(MatterPaperRow.matter_code == cells["matter_code"])
        last = await session.scalar(highest)
        position = row.position if row is not None else (-1 if last is None else last) + 1
        await _put(session, now, cells["matter_code"], position, paper)
    return NEW if row is None else REPLACED


def _read(cells: dict[str, str]) -> Paper:
    try:
        enough = Enough(cells.get("enough") or Enough.DATA)
    except ValueError:
        raise PaperMalformed("enough", errors=[{"field": "enough", "message": "data or copy"}]) from None
    types = tuple(one.strip() for one in cells.get("types", "").split("^") if one.strip())
    mandatory = cells.get("mandatory", "").lower() in _TRUE
    return Paper(
        cells.get("paper_code", ""), cells.get("name_zh", ""), cells.get("name_en", ""), mandatory, types, enough, cells.get("basis", "")
    )


async def _keeps(session: AsyncSession, actor: Actor, matter_code: str) -> Matter:
    matter = await get_matter(session, matter_code)
    if matter is None:
        raise UnknownMatter
    if not keeps_papers(actor, matter):
        raise CatalogueForbidden(matter_code[:64])
    if actor.kind is ActorKind.PERSON and actor.authenticator < 2:
        raise CatalogueSecondFactorNeeded
    return matter


def keeps_papers(actor: Actor, matter: Matter) -> bool:
    """Whether the list is the actor's to keep, the second factor apart. Pure."""
    own = Role.APPROVER in actor.roles and actor.organisation == matter.organisation
    return actor.kind is ActorKind.SYSTEM or (actor.kind is ActorKind.PERSON and (own or Role.SYSTEM_ADMIN in actor.roles))


async def _check(session: AsyncSession, papers: Sequence[Paper]) -> None:
    named = {code for paper in papers for code in paper.types}
    known = set(await session.scalars(select(TypeRow.code).where(TypeRow.code.in_(named)))) if named else set[str]()
    errors = [error for position, paper in enumerate(papers) for error in _faults(position, paper, known)]
    if len(papers) > MOST_PAPERS or len({one.code for one in papers}) < len(papers):
        errors.append({"field": "papers", "message": f"at most {MOST_PAPERS}, none twice"})
    if errors:
        raise PaperMalformed("papers", errors=errors)


def _faults(position: int, paper: Paper, known: Collection[str]) -> Iterable[dict[str, str]]:
    place = f"papers.{position}"
    if not 0 < len(paper.code) <= 64 or not paper.code.isascii() or not paper.code.replace("-", "").replace("_", "").isalnum():
        yield {"field": f"{place}.paper", "message": "1–64 letters, digits, - and _"}
    if not paper.name_zh.strip():
        yield {"field": f"{place}.name_zh", "message": "missing"}
    if not all(len(one) <= _LONGEST and is_clean(one) for one in (paper.name_zh, paper.name_en, paper.basis)):
        yield {"field": place, "message": f"at most {_LONGEST} printable characters"}
    if len(paper.types) > MOST_TYPES or not set(paper.types) <= set(known):
        yield {"field": f"{place}.types", "message": "types of the catalogue"}


async def _put(session: AsyncSession, now: dt.datetime, matter_code: str, position: int, paper: Paper) -> None:
    values = {
        "position": position, "name_zh": paper.name_zh.strip(), "name_en": paper.name_en.strip(), "mandatory": paper.mandatory,
        "types": list(paper.types), "enough": paper.enough.value, "basis": paper.basis.strip(), "updated_at": now,
    }  # fmt: skip
    statement = insert(MatterPaperRow).values(matter_code=matter_code, paper_code=paper.code, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=["matter_code", "paper_code"], set_=values))


async def _audit(session: AsyncSession, now: dt.datetime, actor: Actor, matter_code: str, papers: int) -> None:
    await record(session, now, Event("certs.matter.papers", f"matter:{matter_code}", Outcome.DONE, actor, {"papers": papers}))


def _errors(error: FujieError) -> tuple[tuple[str, str], ...]:
    listed = error.extra.get("errors")
    return tuple((one["field"], one["message"]) for one in listed) if isinstance(listed, list) else (("row", error.code),)


def _view(row: MatterPaperRow) -> Paper:
    return Paper(row.paper_code, row.name_zh, row.name_en, row.mandatory, tuple(row.types), Enough(row.enough), row.basis)
