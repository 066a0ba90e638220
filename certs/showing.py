"""亮证: the holder shows a certificate on their phone; whoever checks it sees the face once.

1. show      the holder picks a certificate and what it is shown for: a purpose of the table, or a matter that asks for its type
2. code      16 characters that change every minute; the one before is good for a quarter of a minute more, for whoever is just reading it
3. look      whoever has the code learns what it is shown for; nothing is used up: a link that is fetched ahead does no harm
4. check     the first to check uses up the whole showing: name, photograph where there is one, type and status, at this instant
5. tell      the holder sees who checked and when; a matter's department may have more than the face (:mod:`certs.shared_reading`)

A code is derived from the showing and the minute under the installation's key: the database holds digests only, and a page that is
loaded again shows the same code.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.access_rates import Use, count
from certs.authorisations import MATTER, AuthorisationUnknown, Given, code_digest, find_authorisation, spend_showing
from certs.catalogue import SharingClass
from certs.catalogue_models import MatterPaperRow
from certs.finding import own_indexes
from certs.library import Library, access_row
from certs.lifecycle import Standing
from certs.models import HolderRow
from certs.reads import get_certificate, type_of
from certs.records import DISPOSED, Certificate, Stage
from certs.sharing import Want
from certs.sharing_facts import holder_among, matter_facts, type_facts
from certs.sharing_models import ShowCodeRow, ShowingRow
from certs.sharing_reasons import SharingRefused
from certs.show_purposes import PURPOSES
from identity.organisations import get_organisation
from identity.personal_data import PersonalData
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, Forbidden, FujieError, InvalidInput, NotFound
from keys.base.ids import CROCKFORD, new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event
from seal.matters import matter_names

STEP = dt.timedelta(seconds=60)
GRACE = dt.timedelta(seconds=15)
LONGEST = dt.timedelta(minutes=10)
_KEPT = dt.timedelta(days=1)
_MOST_MATTERS = 100
_CHARACTERS = 16


class NotShowable(Conflict):
    """There is nothing to show: it is not issued yet, or was disposed of."""

    code = "CERTIFICATE_NOT_SHOWABLE"
    public = ("该证照无法亮证。", "This certificate cannot be shown.")


class ShowingOver(Conflict):
    """The code was checked already, or the holder ended the showing."""

    code = "SHOWING_OVER"
    public = ("该亮证码已被核验，或已停止出示。", "This code was checked already, or is shown no longer.")


class ShownForAnother(Forbidden):
    """The code is for another purpose than the checker's."""

    code = "SHOWN_FOR_OTHER_PURPOSE"
    public = ("持证主体出示的用途与您的用途不同。", "The holder shows it for another purpose than yours.")


@dataclass(frozen=True, slots=True)
class Showable:
    """A certificate of the asker's, with the matters that it may be shown for: code and name."""

    certificate: Certificate
    matters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Showing:
    """What the holder sees. ``words``: what it is shown for (zh, en); ``code`` is empty once it is over; ``changes_at``: when the next one
    comes; ``used_by``: the checker's organisation by name, empty for a stranger."""

    id: uuid.UUID
    certificate_id: uuid.UUID
    purpose: str
    words: tuple[str, str]
    matter_code: str | None
    code: str
    changes_at: dt.datetime
    ends_at: dt.datetime
    used_at: dt.datetime | None
    used_by: str
    stopped: bool


@dataclass(frozen=True, slots=True)
class Offered:
    """What whoever has a code learns before they check: what it is shown for, in words (zh, en), for whom and how much of it."""

    purpose: str
    words: tuple[str, str]
    organisation: str | None
    matter_code: str | None
    want: Want


@dataclass(frozen=True, slots=True)
class Face:
    """What the checker sees. ``name``: of the holder who shows it."""

    name: str
    type_name: str
    type_name_en: str
    issuer_name: str
    standing: Standing
    valid_to: dt.date | None
    purpose: tuple[str, str]
    checked_at: dt.datetime


async def showable(library: Library, actor: Actor, certificate_id: uuid.UUID) -> Showable:
    """Step 1, before: the holder's certificate and what it can be shown for. Raises ``NotFound``, :class:`NotShowable`."""
    async with library.database.session() as session:
        certificate, _ = await _own(session, library, actor, certificate_id)
        return Showable(certificate, tuple((await _matters(session, certificate.type_code)).items()))


async def _own(session: AsyncSession, library: Library, actor: Actor, certificate_id: uuid.UUID) -> tuple[Certificate, bytes]:
    """The certificate and the index it is the asker's by. Staff of the issuer read it, but it is not theirs to show."""
    own = await own_indexes(session, library.personal, actor)
    query = select(HolderRow.code_index).where(HolderRow.certificate_id == certificate_id, HolderRow.code_index.in_(own))
    index = await session.scalar(query.order_by(HolderRow.position).limit(1)) if own else None
    certificate = await get_certificate(session, certificate_id) if index is not None else None
    if certificate is None or index is None or certificate.stage is not Stage.ISSUED:
        raise NotFound("certificate")
    if DISPOSED in certificate.flags:
        raise NotShowable
    return certificate, index


async def _matters(session: AsyncSession, type_code: str) -> dict[str, str]:
    if not await _may_leave(session, type_code):
        return {}
    asking = select(MatterPaperRow.matter_code).where(MatterPaperRow.types.contains([type_code]))
    codes = list(await session.scalars(asking.distinct().order_by(MatterPaperRow.matter_code).limit(_MOST_MATTERS)))
    names = await matter_names(session, codes)
    return {code: names[code] for code in codes if code in names}


async def start(library: Library, actor: Actor, certificate_id: uuid.UUID, purpose: str, matter_code: str = "") -> Showing:
    """Step 1. ``purpose``: a code of ``certs.show_purposes``, or ``matter`` with the matter's code.

    Raises ``NotFound``, ``InvalidInput``, :class:`NotShowable`.
    """
    now = library.clock.now()
    async with library.database.begin() as session:
        certificate, index = await _own(session, library, actor, certificate_id)
        organisation, want = await _bound_to(session, certificate.type_code, purpose, matter_code)
        row = ShowingRow(
            id=new_id(), certificate_id=certificate_id, account_id=actor.id, holder_index=index, purpose=purpose,
            matter_code=matter_code if purpose == MATTER else None, organisation=organisation, want=want.value, started_at=now,
            ends_at=now + LONGEST,
        )  # fmt: skip
        session.add(row)
        await session.execute(delete(ShowCodeRow).where(ShowCodeRow.expires_at < now - _KEPT))
        await _end_others(session, now, actor, row.id)
        await session.flush()
        code = await _issue_code(session, library, row, now)
        details: dict[str, JSON] = {"purpose": purpose, "matter": row.matter_code or ""}
        await audit.record(session, now, Event("certs.show.start", f"certificate:{certificate_id}", audit.Outcome.DONE, actor, details))
        return await _seen(session, row, code, now)


async def _bound_to(session: AsyncSession, type_code: str, purpose: str, matter_code: str) -> tuple[str | None, Want]:
    """For whom, and how much: of a matter what its table says it must see; of any other purpose the face alone."""
    if purpose in PURPOSES and not matter_code:
        return None, Want.DATA
    matter = await matter_facts(session, matter_code) if purpose == MATTER and await _may_leave(session, type_code) else None
    papers = [one for one in matter.papers if type_code in one.types] if matter is not None else []
    if matter is None or not papers:
        raise InvalidInput("purpose", errors=[{"field": "purpose", "message": "one of the purposes, or a matter that asks for this type"}])
    return matter.organisation, Want.FILE if any(one.must_see for one in papers) else Want.DATA


async def _may_leave(session: AsyncSession, type_code: str) -> bool:
    sharing = (await type_facts(session, type_code)).sharing
    return sharing is not None and sharing.sharing_class is not SharingClass.NOT_SHARED


async def _end_others(session: AsyncSession, now: dt.datetime, actor: Actor, but: uuid.UUID | None) -> None:
    """One showing at a time: what was shown before is over."""
    row = ShowingRow
    open_ones = update(row).where(
        row.account_id == actor.id, row.used_at.is_(None), row.stopped_at.is_(None), row.ends_at > now, row.id != but
    )
    await session.execute(open_ones.values(stopped_at=now))


async def _issue_code(session: AsyncSession, library: Library, row: ShowingRow, now: dt.datetime) -> str:
    """The code of this minute; nothing where the showing is over."""
    if row.used_at is not None or row.stopped_at is not None or not row.started_at <= now < row.ends_at:
        return ""
    step = _step(row, now)
    code = _code_of(library.personal, row.id, step)
    last = min(row.started_at + (step + 1) * STEP, row.ends_at) + GRACE
    kept = insert(ShowCodeRow).values(digest=code_digest(code), showing_id=row.id, expires_at=last)
    await session.execute(kept.on_conflict_do_nothing())
    return code


def _step(row: ShowingRow, now: dt.datetime) -> int:
    return (now - row.started_at) // STEP


def _code_of(personal: PersonalData, showing_id: uuid.UUID, step: int) -> str:
    """80 bits of a keyed digest, in Crockford's alphabet."""
    number = int.from_bytes(personal.subject("certs.show_code", f"{showing_id}:{step}")[:10])
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(75, -1, -5))


async def current(library: Library, actor: Actor, showing_id: uuid.UUID) -> Showing:
    """Steps 2 and 5, for whoever started it: the code of this minute, or who checked. Raises ``NotFound``."""
    now = library.clock.now()
    async with library.database.begin() as session:
        row = await session.get(ShowingRow, showing_id)
        if row is None or row.account_id != actor.id:
            raise NotFound("showing")
        return await _seen(session, row, await _issue_code(session, library, row, now), now)


async def stop(library: Library, actor: Actor, showing_id: uuid.UUID) -> None:
    """The holder shows it no longer. Raises ``NotFound``."""
    now = library.clock.now()
    async with library.database.begin() as session:
        row = await session.get(ShowingRow, showing_id, with_for_update=True)
        if row is None or row.account_id != actor.id:
            raise NotFound("showing")
        if row.used_at is None and row.stopped_at is None:
            row.stopped_at = now
            await audit.record(session, now, Event("certs.show.stop", f"certificate:{row.certificate_id}", audit.Outcome.DONE, actor))


async def _seen(session: AsyncSession, row: ShowingRow, code: str, now: dt.datetime) -> Showing:
    changes = row.started_at + (_step(row, now) + 1) * STEP
    by = row.used_by or {}
    return Showing(
        row.id, row.certificate_id, row.purpose, await _words(session, row), row.matter_code, code, min(changes, row.ends_at),
        row.ends_at, row.used_at, str(by.get("name") or ""), row.stopped_at is not None,
    )  # fmt: skip


async def offered(library: Library, code: str) -> Offered:
    """Step 3: what it is shown for. Raises ``AuthorisationUnknown``, :class:`ShowingOver`."""
    async with library.database.session() as session:
        row = await _row_of(session, await find_authorisation(session, "", show_code=code), library.clock.now())
        return Offered(row.purpose, await _words(session, row), row.organisation, row.matter_code, Want(row.want))


async def check(library: Library, actor: Actor, code: str, purpose: str | None = None) -> Face:
    """Step 4. ``purpose``: what the checker checks it for, where a program asks; it must be the holder's, and is no use for another.

    A code that is for a matter is checked by the organisation that acts in it; whoever is known is counted against the day's quota.
    Raises ``AuthorisationUnknown``, ``QuotaExhausted``, :class:`ShowingOver`,
    :class:`ShownForAnother`.
    """
    now = library.clock.now()
    try:
        async with library.database.begin() as session:
            given = await find_authorisation(session, actor.organisation or "", show_code=code)
            row = await _row_of(session, given, now)
            if (purpose is not None and purpose != row.purpose) or row.organisation not in (None, actor.organisation):
                raise ShownForAnother
            if actor.kind is not ActorKind.ANONYMOUS:  # a passer-by is bounded by their address alone (api.limits)
                await count(session, now, actor, Use.FIND)
            return await _look(session, library, actor, row, now)
    except SharingRefused:
        await _refused(library, actor, ShowingOver.code, now)
        raise ShowingOver from None
    except FujieError as error:
        await _refused(library, actor, error.code, now)
        raise


async def _refused(library: Library, actor: Actor, code: str, now: dt.datetime) -> None:
    await audit.record_alone(library.database, now, Event("certs.show.check", "show-code", audit.Outcome.REFUSED, actor, code=code))


async def _row_of(session: AsyncSession, given: Given, now: dt.datetime) -> ShowingRow:
    """The showing behind a code that is good now: who holds it still, nobody checked it, its minute is not over."""
    shown = given.authorisation
    if shown.used_at is not None or shown.withdrawn_at is not None:
        raise ShowingOver
    row = await session.get(ShowingRow, shown.id)
    if row is None or now >= shown.expires_at or not shown.same_holder:
        raise AuthorisationUnknown
    return row


async def _look(session: AsyncSession, library: Library, actor: Actor, row: ShowingRow, now: dt.datetime) -> Face:
    certificate = await get_certificate(session, row.certificate_id)
    if certificate is None:
        raise NotFound("certificate")
    organisation = await get_organisation(session, actor.organisation) if actor.organisation else None
    await spend_showing(session, now, actor, row.id, organisation.name if organisation else "")
    words = await _words(session, row)
    session.add(access_row(library, actor, "show", words[0], certificate.id))
    details: dict[str, JSON] = {"purpose": row.purpose, "matter": row.matter_code or "", "showing": str(row.id)}
    await audit.record(session, now, Event("certs.show.check", f"certificate:{certificate.id}", audit.Outcome.DONE, actor, details))
    kind = await type_of(session, certificate)
    return Face(
        await holder_among(session, certificate.id, row.holder_index), certificate.type_name, kind.name_en if kind else "",
        certificate.issuer_name, certificate.standing(civil_date(now)), certificate.valid_to, words, now,
    )  # fmt: skip


async def _words(session: AsyncSession, row: ShowingRow) -> tuple[str, str]:
    """What it is shown for, in words (zh, en); a matter's name is Chinese in both."""
    if row.matter_code is None:
        return PURPOSES[row.purpose]
    name = (await matter_names(session, [row.matter_code])).get(row.matter_code, row.matter_code)
    return name, name
