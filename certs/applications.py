"""One application that leads to several certificates (一件事): all of it is admitted and reserved, or nothing is.

1. recall   a key that came before gets its application again
2. admit    every certificate by itself; a refusal names each that is refused, is audited and leaves nothing
3. reserve  one transaction: the application, and for each certificate what ``certs.reservation`` writes
4. carry    each through by itself: one that waits for an approver or fails holds up no other
5. answer   how each of them stands now

From step 3 on the sweeper finishes what a killed process left, certificate by certificate: a repeated request only looks.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert

from certs.access import STAFF
from certs.admission import Admitted, admit
from certs.approvals import Approval, IdempotencyKeyReused, is_clean
from certs.carrying import carry_through
from certs.idempotency import request_digest, require_key
from certs.issuing_models import ApplicationItemRow, ApplicationRow
from certs.models import CertificateRow, IssuingRow
from certs.privacy import holds_number
from certs.records import Stage
from certs.reservation import reserve_in
from certs.stages import Issuing, Reserved
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession, Database
from keys.base.errors import FujieError, InvalidInput, NotFound
from keys.base.ids import new_id
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MOST_ITEMS = 20
PAGE_SIZE = 50


class ApplicationRefused(FujieError):
    """``extra['errors']``: ``{item, code, errors}`` of each certificate that is refused; none was issued."""

    code = "APPLICATION_REFUSED"
    status = 422
    public = (
        "申请中有证照不能签发，整件申请未受理，未签发任何证照。",
        "Some of the certificates applied for cannot be issued. The application was not accepted and nothing was issued.",
    )


@dataclass(frozen=True, slots=True)
class Application:
    """``number`` and ``title`` as the applying system knows it; the certificates in the order they are asked for."""

    number: str
    title: str
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One certificate of an application. ``failure``: the code of what made it void, or of what is tried again."""

    certificate_id: uuid.UUID
    identifier: str
    verification_code: str | None
    type_code: str
    type_name: str
    number: str
    issuer: str
    stage: Stage
    failure: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An application, and how each of its certificates stands."""

    id: uuid.UUID
    number: str
    title: str
    organisation: str | None
    created_at: dt.datetime
    items: tuple[Item, ...]

    @property
    def settled(self) -> bool:
        """Whether nothing of it is still to be issued."""
        return all(one.stage in (Stage.ISSUED, Stage.VOID) for one in self.items)


async def apply_for(
    issuing: Issuing, actor: Actor, application: Application, idempotency_key: str | None, *, address: str | None = None
) -> Standing:
    """See the module. Raises :class:`ApplicationRefused`, ``InvalidInput``, ``IdempotencyKeyRequired``, ``IdempotencyKeyReused``,
    and while nothing may be issued ``ClockUntrusted`` or ``TimestampsOverdue``."""
    try:
        return await _apply(issuing, actor, application, require_key(idempotency_key), address)
    except FujieError as error:
        outcome = audit.Outcome.REFUSED if error.status < 500 else audit.Outcome.FAILED
        details: dict[str, JSON] = {"application": issuing.personal.subject("certs.approval_number", application.number).hex()}
        await audit.record_alone(
            issuing.database, issuing.clock.now(), Event("certs.application", "application", outcome, actor, details, error.code)
        )
        raise


async def _apply(issuing: Issuing, actor: Actor, application: Application, key: str, address: str | None) -> Standing:
    check_application(application)
    request = _digest(issuing, application)
    if (earlier := await _recall(issuing.database, actor, key, request)) is not None:
        return await read_application(issuing.database, actor, earlier)
    admitted = await _admit(issuing, actor, application)
    application_id, reserved = await _reserve(issuing, actor, application, admitted, key, request, address)
    for one in reserved:
        await _carry(issuing, one)
    return await read_application(issuing.database, actor, application_id)


def check_application(application: Application) -> None:
    """Raises ``InvalidInput``."""
    errors = [
        {"field": name, "message": f"1–{longest} printable characters, no ID number"}
        for name, value, longest in (("application_number", application.number, 64), ("title", application.title, 200))
        if not value.strip() or len(value) > longest or not is_clean(value) or holds_number(value)
    ]
    if not 1 <= len(application.approvals) <= MOST_ITEMS:
        errors.append({"field": "items", "message": f"1–{MOST_ITEMS} certificates"})
    if errors:
        raise InvalidInput("the application is not well-formed", errors=errors)


def _digest(issuing: Issuing, application: Application) -> bytes:
    parts = [application.number, application.title, *(request_digest(issuing.personal, one).hex() for one in application.approvals)]
    return issuing.personal.subject("certs.application", orjson.dumps(parts).decode())


async def _recall(database: Database, actor: Actor, key: str, request: bytes) -> uuid.UUID | None:
    async with database.session() as session:
        row = await session.scalar(select(ApplicationRow).where(ApplicationRow.client_id == actor.id, ApplicationRow.key == key))
    if row is not None and row.request != request:
        raise IdempotencyKeyReused
    return row.id if row else None


async def _admit(issuing: Issuing, actor: Actor, application: Application) -> list[Admitted]:
    admitted, refused = [], []
    for place, approval in enumerate(application.approvals):
        try:
            admitted.append(await admit(issuing, actor, approval))
        except FujieError as error:
            if error.status >= 500:
                raise
            refused.append(refusal(place, error))
    if refused:
        raise ApplicationRefused(errors=refused)
    return admitted


def refusal(place: int, error: FujieError) -> dict[str, object]:
    """One refused certificate of an application, as the sender is told."""
    return {"item": place, "code": error.code, "errors": error.extra.get("errors", [])}


async def _reserve(
    issuing: Issuing, actor: Actor, application: Application, admitted: list[Admitted], key: str, request: bytes, address: str | None
) -> tuple[uuid.UUID, list[Reserved]]:
    """One transaction. Certificates are numbered in the order of type and issuer, so that two applications never wait for each other."""
    now, application_id = issuing.clock.now(), new_id()
    async with issuing.database.begin() as session:
        values = {
            "id": application_id, "client_id": actor.id, "key": key, "request": request, "number": application.number.strip(),
            "title": application.title.strip(), "organisation": actor.organisation, "actor_name": actor.name, "created_at": now,
        }  # fmt: skip
        taken = await session.scalar(insert(ApplicationRow).values(values).on_conflict_do_nothing().returning(ApplicationRow.id))
        if taken is None:
            earlier = await session.scalar(select(ApplicationRow).where(ApplicationRow.client_id == actor.id, ApplicationRow.key == key))
            if earlier is None or earlier.request != request:
                raise IdempotencyKeyReused
            return earlier.id, []
        reserved = await _reserve_each(session, issuing, actor, application_id, admitted, address)
        session.add_all(
            ApplicationItemRow(application_id=application_id, position=place, certificate_id=one.certificate.id)
            for place, one in enumerate(reserved)
        )
        details: dict[str, JSON] = {"certificates": [str(one.certificate.id) for one in reserved]}
        event = Event("certs.application", f"application:{application_id}", audit.Outcome.INTENT, actor, details)
        await audit.record(session, now, event)
    return application_id, reserved


async def _reserve_each(
    session: AsyncSession, issuing: Issuing, actor: Actor, application_id: uuid.UUID, admitted: list[Admitted], address: str | None
) -> list[Reserved]:
    reserved: dict[int, Reserved] = {}
    for place, one in sorted(enumerate(admitted), key=lambda pair: (pair[1].kind.code, pair[1].issuer.uscc, pair[0])):
        try:
            made = await reserve_in(
                session, issuing, actor, one, f"{application_id}:{place}", request_digest(issuing.personal, one.approval), address
            )
        except FujieError as error:  # a number that is taken: rolled back, nothing of the application stays
            raise ApplicationRefused(errors=[refusal(place, error)]) from error
        if made is None:
            raise IdempotencyKeyReused
        reserved[place] = made
    return [reserved[place] for place in range(len(admitted))]


async def _carry(issuing: Issuing, reserved: Reserved) -> None:
    """What failed is void and told, or the sweeper tries it again: either way the others go on."""
    try:
        await carry_through(issuing, reserved)
    except FujieError as error:
        details: dict[str, JSON] = {"identifier": reserved.certificate.identifier}
        outcome = audit.Outcome.REFUSED if error.status < 500 else audit.Outcome.FAILED
        event = Event("certs.application.item", f"certificate:{reserved.certificate.id}", outcome, reserved.actor, details, error.code)
        await audit.record_alone(issuing.database, issuing.clock.now(), event)


async def read_application(database: Database, actor: Actor, application_id: uuid.UUID) -> Standing:
    """An application of the actor's, or of the organisation they work for. Raises ``NotFound``."""
    async with database.session() as session:
        row = await session.get(ApplicationRow, application_id)
        if row is None or not _may_read(row, actor):
            raise NotFound("application")
        return _standing(row, await _items(session, [row.id]))


async def list_applications(
    database: Database, actor: Actor, *, before: uuid.UUID | None = None, limit: int = PAGE_SIZE
) -> tuple[list[Standing], uuid.UUID | None]:
    """The actor's and their organisation's applications, newest first, and the id to go on before if there are more."""
    own = ApplicationRow.client_id == actor.id
    query = select(ApplicationRow).where(
        or_(own, ApplicationRow.organisation == actor.organisation) if actor.organisation and _of_staff(actor) else own
    )
    if before is not None:
        query = query.where(ApplicationRow.id < before)
    async with database.session() as session:
        rows = list(await session.scalars(query.order_by(ApplicationRow.id.desc()).limit(limit + 1)))
        items = await _items(session, [row.id for row in rows[:limit]])
    return [_standing(row, items) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


def _of_staff(actor: Actor) -> bool:
    return actor.kind is ActorKind.CLIENT or (actor.kind is ActorKind.PERSON and bool(actor.roles & STAFF))


def _may_read(row: ApplicationRow, actor: Actor) -> bool:
    same = actor.organisation is not None and actor.organisation == row.organisation
    return actor.kind is ActorKind.SYSTEM or row.client_id == actor.id or (same and _of_staff(actor))


async def _items(session: AsyncSession, applications: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Item]]:
    query = (
        select(ApplicationItemRow.application_id, CertificateRow, IssuingRow.failure)
        .join(CertificateRow, CertificateRow.id == ApplicationItemRow.certificate_id)
        .outerjoin(IssuingRow, IssuingRow.certificate_id == CertificateRow.id)
        .where(ApplicationItemRow.application_id.in_(list(applications)))
        .order_by(ApplicationItemRow.application_id, ApplicationItemRow.position)
    )
    found: dict[uuid.UUID, list[Item]] = {}
    for application_id, row, failure in await session.execute(query):
        stage = Stage(row.stage)
        item = Item(
            row.id, row.identifier, row.verification_code, row.type_code, row.type_name, row.number, row.issuer_name, stage,
            None if stage is Stage.ISSUED else failure,
        )  # fmt: skip
        found.setdefault(application_id, []).append(item)
    return found


def _standing(row: ApplicationRow, items: dict[uuid.UUID, list[Item]]) -> Standing:
    return Standing(row.id, row.number, row.title, row.organisation, row.created_at, tuple(items.get(row.id, ())))
