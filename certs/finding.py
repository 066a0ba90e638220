"""Searching the library: by holder, number, identifier, type, issuer, days, status and full text. Every search is logged with its purpose.

1. check    the purpose, and that something is looked for
2. scope    a client and staff see what their organisation issued or had issued; a person what is their own
3. log      the access and its audit event, with the holder it asked for as a blind index: holders see who looked for them
4. find     a page, newest first
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from certs.access import STAFF, speaks_for_organisation
from certs.approvals import is_clean
from certs.holders import holder_index
from certs.library import Library, access_row, check_purpose, own_index
from certs.library_models import HolderSearchRow
from certs.library_reads import Marks, Scope, found
from certs.lifecycle import Standing
from certs.privacy import holds_number
from certs.records import Page
from certs.words import words_of
from identity.numbers import CodeType, check
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MOST_ON_A_PAGE = 200
_CANCELED = "57014"


class SearchTooBroad(InvalidInput):
    """What was looked for stands nearly everywhere."""

    code = "SEARCH_TOO_BROAD"
    public = ("符合条件的证照过多，请增加条件后再查。", "Too much fits this search. Please narrow it.")


class NothingAsked(InvalidInput):
    """A search names nothing to look for."""

    code = "SEARCH_EMPTY"
    public = ("请至少填写一个查询条件。", "Name at least one thing to look for.")


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: all that is given must hold; ``everything``: the whole list where nothing is given.

    ``holder_code`` is under its ``code_type``; ``cursor`` of the page before; ``issuer``: a USCC; ``status``: a word of CONTRACT.md's
    ``data-status``; ``text``: words that stand anywhere in the record.
    """

    holder_code: str = ""
    code_type: str = ""
    purpose: str = ""
    type_code: str | None = None
    cursor: str | None = None
    limit: int = 50
    identifier: str | None = None
    number: str | None = None
    issuer: str | None = None
    status: str | None = None
    issued_from: dt.date | None = None
    issued_to: dt.date | None = None
    text: str | None = None
    everything: bool = False


async def search(library: Library, actor: Actor, query: Search) -> Page:
    """See the module's steps. Raises ``PurposeRequired``, ``InvalidInput``, :class:`NothingAsked`, :class:`SearchTooBroad`."""
    reason, now = check_purpose(query.purpose), library.clock.now()
    marks, cursor = marks_of(library.personal, query), _cursor(query.cursor)
    try:
        async with library.database.begin() as session:
            access = access_row(library, actor, "search", reason, None)
            session.add(access)
            await session.flush()
            if marks.holder:
                session.add(HolderSearchRow(access_id=access.id, holder_index=marks.holder))
            event = Event("certs.search", "certificates", audit.Outcome.DONE, actor, _told(library, query, marks, reason))
            await audit.record(session, now, event)
            scope = await _scope(session, library.personal, actor, marks)
            if scope is None:
                return Page((), None)
            return await found(session, scope, marks, civil_date(now), cursor=cursor, limit=min(query.limit, MOST_ON_A_PAGE))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _CANCELED:
            raise
        event = Event("certs.search", "certificates", audit.Outcome.REFUSED, actor, code=SearchTooBroad.code)
        await audit.record_alone(library.database, now, event)
        raise SearchTooBroad from None


def marks_of(personal: PersonalData, query: Search) -> Marks:
    """What the query looks for, checked. Raises ``InvalidInput``, :class:`NothingAsked`."""
    given = (query.identifier, query.number, query.type_code, query.issuer, query.status, query.text)
    days = (query.issued_from, query.issued_to)
    if not any((query.everything, query.holder_code, *given, *days)):
        raise NothingAsked
    for name in ("identifier", "number", "type_code", "issuer", "text"):
        _require_clean(name, getattr(query, name))
    if query.text is not None:
        words_of(query.text)
    return Marks(
        holder=_index(personal, query) if query.holder_code or query.code_type else None,
        identifier=_stripped(query.identifier),
        number=_stripped(query.number),
        type_code=_stripped(query.type_code),
        issuer=_stripped(query.issuer),
        standing=_standing(query.status),
        issued_from=query.issued_from,
        issued_to=query.issued_to,
        text=query.text,
    )


def _stripped(value: str | None) -> str | None:
    return value.strip() if value else None


def _require_clean(name: str, value: str | None) -> None:
    if value is None:
        return
    if not is_clean(value):
        raise InvalidInput(name, errors=[{"field": "type" if name == "type_code" else name, "message": "not printable"}])
    if holds_number(value):
        raise InvalidInput(name, errors=[{"field": name, "message": "numbers of people are looked for as holder_code"}])


def _standing(status: str | None) -> Standing | None:
    try:
        return Standing(status) if status else None
    except ValueError:
        raise InvalidInput("status", errors=[{"field": "status", "message": "unknown"}]) from None


async def _scope(session: AsyncSession, personal: PersonalData, actor: Actor, marks: Marks) -> Scope | None:
    """None: whatever they ask, nothing is theirs to see."""
    if actor.kind is ActorKind.SYSTEM:
        return Scope()
    own = await own_indexes(session, personal, actor)
    staff = actor.organisation is not None and (actor.kind is ActorKind.CLIENT or bool(actor.roles & STAFF))
    if own and (not staff or marks.holder in own):
        return Scope(holders=own)
    return Scope(organisation=actor.organisation) if staff else None


async def own_indexes(session: AsyncSession, personal: PersonalData, actor: Actor) -> tuple[bytes, ...]:
    """The blind indexes a person may look under: their own number's, and that of the organisation they speak for."""
    bound = await own_index(session, actor)
    own = [bound] if bound else []
    if speaks_for_organisation(actor) and actor.organisation:
        own.append(holder_index(personal, CodeType.USCC, actor.organisation))
    return tuple(own)


def _told(library: Library, query: Search, marks: Marks, reason: str) -> dict[str, JSON]:
    """What the audit keeps: of a holder the blind index, of words and numbers a keyed digest, of the rest the value."""
    keyed = {name: getattr(query, name) for name in ("text", "number") if getattr(query, name)}
    details: dict[str, JSON] = {"purpose": audit.digest(reason)}
    if marks.holder:
        details["holder"] = marks.holder.hex()
    details |= {name: library.personal.subject(f"certs.search.{name}", value).hex() for name, value in keyed.items()}
    plain = {"type": marks.type_code, "issuer": marks.issuer, "identifier": marks.identifier, "status": query.status}
    return details | {name: value for name, value in plain.items() if value}


def _index(personal: PersonalData, query: Search) -> bytes:
    try:
        well_formed = check(query.code_type, query.holder_code).well_formed
    except ValueError:
        raise InvalidInput("unknown code type", errors=[{"field": "code_type", "message": "unknown"}]) from None
    if not well_formed:
        raise InvalidInput("malformed holder code", errors=[{"field": "holder_code", "message": "not well-formed"}])
    return holder_index(personal, query.code_type, query.holder_code)


def _cursor(cursor: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(cursor) if cursor else None
    except ValueError:
        raise InvalidInput("cursor", errors=[{"field": "cursor", "message": "not one of ours"}]) from None
