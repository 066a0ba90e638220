"""What the library already knows of what a matter asks for: "don't ask again" (POST /api/v1/matters/{code}/available).

1. purpose   why, at most 200 characters; logged
2. matter    the asker's organisation acts in it, or the asker is the holder; unknown and forbidden are told in the same words
3. papers    what it asks for, and which types answer
4. hold      valid certificates of the holder of those types: issued here or imported without a flag, in force today, trust grade A or B
5. share     :func:`certs.sharing.decide`: may this asker be told yes or no of this type, in this matter, for this paper
6. record    one access for every certificate that answered, one for the question, by which the holder sees who asked; the audit entry and
             the day's count; before the answer
7. answer    yes or no for each paper: no number, no date, no file. "Has none" and "may not be told" are the same no
"""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from certs.catalogue import SharingClass
from certs.catalogue_models import MatterAnswerRow, MatterPaperRow
from certs.holders import holder_index
from certs.library import Library, check_purpose
from certs.library_models import HolderSearchRow
from certs.lifecycle import Standing, Status, standing
from certs.matter_papers import Paper, papers_of
from certs.models import AccessRow, CertificateRow, HolderRow, TypeRow
from certs.reads import may_issue_for
from certs.records import Stage
from certs.sharing import Ask, CertificateFacts, TypeFacts, Want, decide
from certs.sharing_facts import facts_of_matter, types_facts
from identity.numbers import check
from identity.people import holder_index_of
from keys.base.actor import Actor, ActorKind, Role
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.matters import Matter, get_matter

_GRADES = ("A", "B")
_ASKS = frozenset({Role.WINDOW_CLERK, Role.APPROVER})


class MatterUnknown(NotFound):
    """There is no such matter, or the asker has nothing to do with it: in the same words."""

    code = "MATTER_UNKNOWN"
    public = ("没有可供查询的该事项。", "There is no such matter to ask for.")


@dataclass(frozen=True, slots=True)
class Question:
    """The holder's number has no ``repr``: it is secret."""

    matter_code: str
    holder_code: str
    code_type: str
    purpose: str

    def __repr__(self) -> str:
        return f"Question(matter_code={self.matter_code!r})"


@dataclass(frozen=True, slots=True)
class Answered:
    """One paper. ``by``: the type of the certificate that answers it; empty where it must be brought."""

    paper: Paper
    by: str = ""

    @property
    def available(self) -> bool:
        return bool(self.by)


@dataclass(frozen=True, slots=True)
class Availability:
    matter: Matter
    answers: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Saved:
    """The figure. ``required`` and ``answerable`` count the tables; ``asked`` and ``answered`` what was asked in the days given."""

    matters: int
    required: int
    answerable: int
    asked: int
    answered: int


@dataclass(frozen=True, slots=True)
class _Held:
    id: uuid.UUID
    type_code: str
    issuer: str


async def available(library: Library, actor: Actor, question: Question) -> Availability:
    """See the module. Raises ``PurposeRequired``, ``InvalidInput``, :class:`MatterUnknown`."""
    purpose, now, index = check_purpose(question.purpose), library.clock.now(), _index(library, question)
    async with library.database.begin() as session:
        own = await _own_index(session, actor) == index
        matter = await _matter_of(session, actor, question.matter_code, own=own)
        if matter is not None:
            papers = await papers_of(session, matter.code)
            held = await _held(session, index, {code for paper in papers for code in paper.types}, civil_date(now))
            base = Ask(
                actor, matter.organisation, Want.DATA, TypeFacts("", None), purpose, now, serves=True,
                matter=facts_of_matter(matter, papers), is_holder=own,
            )  # fmt: skip
            told = await _told(session, base, papers, held)
            await _record(session, now, actor, matter, index, purpose, told)
            return Availability(matter, tuple(Answered(paper, one.type_code if one else "") for paper, one in told))
    event = Event("certs.matter.available", f"matter:{question.matter_code[:64]}", audit.Outcome.REFUSED, actor, {}, MatterUnknown.code)
    await audit.record_alone(library.database, now, event)
    raise MatterUnknown


def may_ask(actor: Actor, matter: Matter) -> bool:
    """Whether the actor's organisation acts in the matter, and the actor for it. Pure."""
    return actor.organisation == matter.organisation and (actor.kind is ActorKind.CLIENT or bool(actor.roles & _ASKS))


async def answerable_papers(session: AsyncSession, matters: Collection[str]) -> dict[str, tuple[int, int]]:
    """(papers required, papers the library can answer) of those of the matters that have a list."""
    rows = list(await session.scalars(select(MatterPaperRow).where(MatterPaperRow.matter_code.in_(matters))))
    living = await _living(session)
    found = dict.fromkeys((row.matter_code for row in rows), (0, 0))
    for row in rows:
        required, answerable = found[row.matter_code]
        found[row.matter_code] = required + 1, answerable + bool(living & set(row.types))
    return found


async def _living(session: AsyncSession) -> set[str]:
    """Types in force that are shared at all."""
    return set(await session.scalars(select(TypeRow.code).where(TypeRow.version.is_not(None), TypeRow.sharing_class != _NOT)))


async def saved(session: AsyncSession, since: dt.date, until: dt.date) -> Saved:
    """The papers no longer asked for: how many of those required the library can answer, and how many it did in these days."""
    rows = list(await session.scalars(select(MatterPaperRow)))
    living = await _living(session)
    query = select(func.sum(MatterAnswerRow.asked), func.sum(MatterAnswerRow.answered)).where(MatterAnswerRow.day.between(since, until))
    asked, answered = (await session.execute(query)).one()
    answerable = sum(bool(living & set(row.types)) for row in rows)
    return Saved(len({row.matter_code for row in rows}), len(rows), answerable, int(asked or 0), int(answered or 0))


_NOT = SharingClass.NOT_SHARED.value


def _index(library: Library, question: Question) -> bytes:
    try:
        well_formed = check(question.code_type, question.holder_code).well_formed
    except ValueError:
        raise InvalidInput("unknown code type", errors=[{"field": "code_type", "message": "unknown"}]) from None
    if not well_formed:
        raise InvalidInput("malformed holder code", errors=[{"field": "holder_code", "message": "not well-formed"}])
    return holder_index(library.personal, question.code_type, question.holder_code)


async def _own_index(session: AsyncSession, actor: Actor) -> bytes | None:
    if actor.kind is not ActorKind.PERSON:
        return None
    try:
        return await holder_index_of(session, uuid.UUID(actor.id))
    except ValueError:
        return None


async def _matter_of(session: AsyncSession, actor: Actor, code: str, *, own: bool) -> Matter | None:
    matter = await get_matter(session, code)
    if matter is None:
        return None
    if own or may_ask(actor, matter):
        return matter
    serves = actor.kind is ActorKind.CLIENT and await may_issue_for(session, actor.id, matter.organisation)
    return matter if serves else None


async def _held(session: AsyncSession, index: bytes, types: Collection[str], today: dt.date) -> list[_Held]:
    query = (
        select(CertificateRow)
        .join(HolderRow, HolderRow.certificate_id == CertificateRow.id)
        .where(HolderRow.code_index == index, CertificateRow.type_code.in_(types), CertificateRow.stage == Stage.ISSUED)
        .where(CertificateRow.trust_grade.in_(_GRADES))
        .order_by(CertificateRow.id.desc())
    )
    rows = list(await session.scalars(query)) if types else []
    return [_Held(row.id, row.type_code, row.issuer) for row in rows if not row.flags and _in_force(row, today)]


def _in_force(row: CertificateRow, today: dt.date) -> bool:
    now = standing(Status(row.status), today=today, valid_from=row.valid_from, valid_to=row.valid_to, superseded=row.successor is not None)
    return now is Standing.IN_FORCE


async def _told(session: AsyncSession, base: Ask, papers: Sequence[Paper], held: Sequence[_Held]) -> list[tuple[Paper, _Held | None]]:
    kinds = await types_facts(session, {one.type_code for one in held})
    return [(paper, next((one for one in held if _answers(base, paper, kinds[one.type_code], one)), None)) for paper in papers]


def _answers(base: Ask, paper: Paper, kind: TypeFacts, one: _Held) -> bool:
    """Whether this certificate answers this paper, and may be told: each paper is asked for by itself, on its own basis. Pure."""
    if one.type_code not in paper.types or base.matter is None:
        return False
    alone = replace(base.matter, papers=tuple(each for each in base.matter.papers if each.code == paper.code))
    return decide(replace(base, type=kind, matter=alone, certificate=CertificateFacts(one.id, one.issuer))).permitted


async def _record(
    session: AsyncSession, now: dt.datetime, actor: Actor, matter: Matter, index: bytes, purpose: str,
    told: Sequence[tuple[Paper, _Held | None]],
) -> None:  # fmt: skip
    certificates = {one.id for _, one in told if one is not None}
    asked = _access(now, actor, purpose, None)
    session.add_all([asked, *(_access(now, actor, purpose, certificate_id) for certificate_id in sorted(certificates))])
    await session.flush()
    session.add(HolderSearchRow(access_id=asked.id, holder_index=index))
    answered = [paper.code for paper, one in told if one is not None]
    details: dict[str, JSON] = {"purpose": audit.digest(purpose), "holder": index.hex(), "papers": len(told), "answered": len(answered)}
    await audit.record(session, now, Event("certs.matter.available", f"matter:{matter.code}", audit.Outcome.DONE, actor, details))
    if told:
        await _count(session, civil_date(now), matter.code, [(paper.code, one is not None) for paper, one in told])


def _access(now: dt.datetime, actor: Actor, purpose: str, certificate_id: uuid.UUID | None) -> AccessRow:
    return AccessRow(
        id=new_id(), certificate_id=certificate_id, at=now, kind="available", purpose=purpose,
        actor_kind=actor.kind.value, actor_id=actor.id, organisation=actor.organisation,
    )  # fmt: skip


async def _count(session: AsyncSession, day: dt.date, matter_code: str, papers: Sequence[tuple[str, bool]]) -> None:
    values = [
        {"day": day, "matter_code": matter_code, "paper_code": code, "asked": 1, "answered": int(yes)} for code, yes in sorted(papers)
    ]
    new = insert(MatterAnswerRow).values(values)
    added = {"asked": MatterAnswerRow.asked + 1, "answered": MatterAnswerRow.answered + new.excluded.answered}
    await session.execute(new.on_conflict_do_update(index_elements=["day", "matter_code", "paper_code"], set_=added))
