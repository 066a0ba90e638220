"""Service windows: who works there, and which seals they keep. A seal that windows keep is used at them and nowhere else.

A window is run by an organisation of its own (a service centre). The seal's organisation hands the seal over and takes it back;
the window's organisation posts its clerks. What a window may use the seal for is granted to the window (``seal.grants``).
Everything that ends here ends at once: permits given before are worth nothing (``seal.authority_version``).
"""

import datetime as dt
import re
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import Actor, ActorKind
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import Conflict, Forbidden, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import Event, Outcome
from seal.authority_access import administers, check_grantor, keeps
from seal.authority_models import PostingRow, WindowRow, WindowSealRow
from seal.authority_version import narrow_all, narrowed
from seal.changes import refusals_audited
from seal.divisions import covers
from seal.grants import is_network
from seal.models import SealRow
from seal.reads import get_seal

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{1,39}")
_DIVISION = re.compile(r"[0-9]{6}")
_LONGEST = 200
_MOST_NETWORKS = 32


class WindowInvalid(InvalidInput):
    code = "WINDOW_INVALID"
    public = ("窗口的内容不正确。", "The window is not well-formed.")


class WindowNotFound(NotFound):
    code = "WINDOW_NOT_FOUND"
    public = ("没有这个窗口。", "There is no such window.")


class WindowForbidden(Forbidden):
    code = "WINDOW_FORBIDDEN"
    public = ("您没有权限管理此窗口。", "You may not manage this window.")


class WindowUnsuitable(Conflict):
    code = "WINDOW_UNSUITABLE"
    public = ("窗口已撤销，或不在印章的行政区划内。", "The window is closed, or outside the seal's division.")


class NotAtWindow(Conflict):
    code = "NOT_AT_WINDOW"
    public = ("该窗口没有保管此印章，或此人不在该窗口工作。", "The window does not keep this seal, or the person does not work there.")


class AlreadyAtWindow(Conflict):
    code = "ALREADY_AT_WINDOW"
    public = ("该窗口已经保管此印章，或此人已在该窗口工作。", "The window keeps this seal already, or the person works there already.")


@dataclass(frozen=True, slots=True)
class Window:
    """``id`` letters, digits and hyphens; ``networks`` CIDR, where its desks are: a use must come from there; none: from anywhere."""

    id: str
    name: str
    organisation: str
    division: str
    place: str
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window with the codes of the seals it keeps and the identifiers of who works there."""

    window: Window
    closed: bool
    seals: tuple[str, ...]
    people: tuple[str, ...]


async def put_window(database: Database, clock: Clock, actor: Actor, window: Window) -> None:
    """Add or change a window; permits for seals it keeps are worth nothing any more.

    Raises :class:`WindowInvalid`, :class:`WindowForbidden`.
    """
    async with refusals_audited(database, clock, "seal.window.put", f"window:{window.id[:40]}", actor), database.begin() as session:
        _check(window)
        _check_manager(actor, window.organisation, window.division)
        row = await session.scalar(select(WindowRow).where(WindowRow.id == window.id).with_for_update())
        if row is not None:
            _check_manager(actor, row.organisation, row.division)
        await narrow_all(session, await _kept_by(session, window.id))
        now = clock.now()
        values = {
            "name": window.name,
            "organisation": window.organisation,
            "division": window.division,
            "place": window.place,
            "networks": list(window.networks),
            "changed_at": now,
        }
        statement = insert(WindowRow).values(id=window.id, **values)
        await session.execute(statement.on_conflict_do_update(index_elements=[WindowRow.id], set_=values))
        details: dict[str, audit.JSON] = {"organisation": window.organisation, "networks": list[audit.JSON](window.networks)}
        await audit.record(session, now, Event("seal.window.put", f"window:{window.id}", Outcome.DONE, actor, details))


async def close_window(database: Database, clock: Clock, actor: Actor, window_id: str) -> None:
    """Nothing is sealed there from this instant. Raises :class:`WindowNotFound`, :class:`WindowForbidden`."""
    async with refusals_audited(database, clock, "seal.window.close", f"window:{window_id[:40]}", actor), database.begin() as session:
        row = await _window(session, window_id)
        _check_manager(actor, row.organisation, row.division)
        await narrow_all(session, await _kept_by(session, window_id))
        now = clock.now()
        await session.execute(update(WindowRow).where(WindowRow.id == window_id).values(closed_at=now, changed_at=now))
        await audit.record(session, now, Event("seal.window.close", f"window:{window_id}", Outcome.DONE, actor))


async def hand_over(database: Database, clock: Clock, actor: Actor, *, window_id: str, seal_code: str) -> None:
    """Give a seal to a window to keep: from now on it is used at its windows only.

    Raises ``SealNotFound``, ``GrantForbidden``, :class:`WindowNotFound`, :class:`WindowUnsuitable`, :class:`AlreadyAtWindow`.
    """
    subject = f"seal-code:{seal_code[:14]}"
    async with refusals_audited(database, clock, "seal.window.give", subject, actor), database.begin() as session:
        seal = await get_seal(session, seal_code)
        check_grantor(actor, seal)
        window = await _window(session, window_id)
        if window.closed_at is not None or not covers(seal.division, window.division):
            raise WindowUnsuitable(window_id)
        await narrowed(session, seal.id)
        now = clock.now()
        row = {"id": new_id(), "window_id": window_id, "seal_id": seal.id, "given_at": now, "given_by": actor.id}
        if await session.scalar(insert(WindowSealRow).values(row).on_conflict_do_nothing().returning(WindowSealRow.id)) is None:
            raise AlreadyAtWindow(f"{seal_code} {window_id}")
        await _record(session, now, "give", actor, seal.id, window_id)


async def take_back(database: Database, clock: Clock, actor: Actor, *, window_id: str, seal_code: str) -> None:
    """The window keeps the seal no longer. Raises ``SealNotFound``, ``GrantForbidden``, :class:`NotAtWindow`."""
    subject = f"seal-code:{seal_code[:14]}"
    async with refusals_audited(database, clock, "seal.window.take", subject, actor), database.begin() as session:
        seal = await get_seal(session, seal_code)
        check_grantor(actor, seal)
        await narrowed(session, seal.id)
        now = clock.now()
        statement = (
            update(WindowSealRow)
            .where(WindowSealRow.window_id == window_id, WindowSealRow.seal_id == seal.id, WindowSealRow.returned_at.is_(None))
            .values(returned_at=now, returned_by=actor.id)
        )
        if await session.scalar(statement.returning(WindowSealRow.id)) is None:
            raise NotAtWindow(f"{seal_code} {window_id[:40]}")
        await _record(session, now, "take", actor, seal.id, window_id)


async def post(database: Database, clock: Clock, actor: Actor, *, window_id: str, person: str) -> None:
    """Somebody (an account's UUID) works at the window from now on. Raises :class:`WindowNotFound`, :class:`WindowForbidden`."""
    async with refusals_audited(database, clock, "seal.window.post", f"window:{window_id[:40]}", actor), database.begin() as session:
        row = await _window(session, window_id)
        _check_manager(actor, row.organisation, row.division)
        if not person:
            raise NotFound("account")
        now = clock.now()
        values = {"id": new_id(), "window_id": window_id, "person": person, "since": now, "posted_by": actor.id}
        if await session.scalar(insert(PostingRow).values(values).on_conflict_do_nothing().returning(PostingRow.id)) is None:
            raise AlreadyAtWindow(f"{person} {window_id}")
        await audit.record(session, now, Event("seal.window.post", f"window:{window_id}", Outcome.DONE, actor, {"person": person}))


async def end_posting(database: Database, clock: Clock, actor: Actor, *, window_id: str, person: str) -> None:
    """They work there no longer, from this instant. Raises :class:`WindowNotFound`, :class:`WindowForbidden`, :class:`NotAtWindow`."""
    async with refusals_audited(database, clock, "seal.window.leave", f"window:{window_id[:40]}", actor), database.begin() as session:
        row = await _window(session, window_id)
        _check_manager(actor, row.organisation, row.division)
        await narrow_all(session, await _kept_by(session, window_id))
        now = clock.now()
        statement = (
            update(PostingRow)
            .where(PostingRow.window_id == window_id, PostingRow.person == person, PostingRow.ended_at.is_(None))
            .values(ended_at=now, ended_by=actor.id)
        )
        if await session.scalar(statement.returning(PostingRow.id)) is None:
            raise NotAtWindow(f"{person} {window_id}")
        await audit.record(session, now, Event("seal.window.leave", f"window:{window_id}", Outcome.DONE, actor, {"person": person}))


async def list_windows(session: AsyncSession, *, organisation: str | None = None, after: str = "", limit: int = 50) -> list[OpenWindow]:
    """Windows in the order of their names, those of one organisation or all, from the one after ``after`` on."""
    query = select(WindowRow).where(WindowRow.id > after).order_by(WindowRow.id).limit(limit)
    if organisation is not None:
        query = query.where(WindowRow.organisation == organisation)
    rows = list(await session.scalars(query))
    names = [row.id for row in rows]
    kept = select(WindowSealRow.window_id, SealRow.code).join(SealRow, SealRow.id == WindowSealRow.seal_id)
    seals = (await session.execute(kept.where(WindowSealRow.window_id.in_(names), WindowSealRow.returned_at.is_(None)))).all()
    posted = select(PostingRow.window_id, PostingRow.person).where(PostingRow.window_id.in_(names), PostingRow.ended_at.is_(None))
    people = (await session.execute(posted)).all()
    return [
        OpenWindow(
            Window(row.id, row.name, row.organisation, row.division, row.place, tuple(row.networks)),
            row.closed_at is not None,
            tuple(sorted(code or "" for name, code in seals if name == row.id)),
            tuple(sorted(person for name, person in people if name == row.id)),
        )
        for row in rows
    ]


async def _window(session: AsyncSession, window_id: str) -> WindowRow:
    row = await session.get(WindowRow, window_id)
    if row is None:
        raise WindowNotFound(window_id[:40])
    return row


async def _kept_by(session: AsyncSession, window_id: str) -> list[uuid.UUID]:
    kept = select(WindowSealRow.seal_id).where(WindowSealRow.window_id == window_id, WindowSealRow.returned_at.is_(None))
    return list(await session.scalars(kept))


def shown_people(found: OpenWindow, actor: Actor) -> tuple[str, ...]:
    """Who works there, for whoever manages the window; anybody else sees themselves. Account identifiers lead to people."""
    window = found.window
    if _manages(actor, window.organisation, window.division):
        return found.people
    return tuple(person for person in found.people if person == actor.id)


def _manages(actor: Actor, organisation: str, division: str) -> bool:
    return actor.kind is ActorKind.SYSTEM or keeps(actor, organisation) or administers(actor, division)


def _check_manager(actor: Actor, organisation: str, division: str) -> None:
    if not _manages(actor, organisation, division):
        raise WindowForbidden(f"{actor.id} manages no windows of {organisation}")


def _check(window: Window) -> None:
    faults = {
        "id": not _NAME.fullmatch(window.id),
        "name": not _is_line(window.name),
        "place": not _is_line(window.place),
        "division": not _DIVISION.fullmatch(window.division),
        "organisation": not 0 < len(window.organisation) <= 18,
        "networks": len(window.networks) > _MOST_NETWORKS or not all(map(is_network, window.networks)),
    }
    if wrong := [field for field, found in faults.items() if found]:
        raise WindowInvalid(", ".join(wrong), errors=[{"field": field, "message": "not well-formed"} for field in wrong])


def _is_line(text: str) -> bool:
    return 0 < len(text.strip()) <= _LONGEST and text.isprintable()


async def _record(session: AsyncSession, now: dt.datetime, step: str, actor: Actor, seal_id: uuid.UUID, window_id: str) -> None:
    await audit.record(session, now, Event(f"seal.window.{step}", f"seal:{seal_id}", Outcome.DONE, actor, {"window": window_id}))
