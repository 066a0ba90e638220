"""Gathers what the policy judges, in two statements: seal with all that surrounds it, then grants with what they came from."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ARRAY, DateTime, LargeBinary, RowMapping, Text, and_, bindparam, func, or_, select, union

from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.pki.reads import certificate_ends, serial_text
from keys.pki.standing_locks import any_revoked, standing_mark
from seal.authority_models import ApprovalRow, GrantCounterRow, LegalBasisRow, PostingRow, RequirementRow, WindowRow, WindowSealRow
from seal.departures import is_barred, left_since
from seal.lifecycle import Status
from seal.models import GrantRow, MadeSealRow, MatterRow, SealRow
from seal.policy_facts import (
    APPROVAL_LIFETIME,
    EVERY_SEAL,
    GrantFacts,
    MatterFacts,
    Requirements,
    SealFacts,
    Use,
    WindowFacts,
)
from seal.reads import SealNotFound

TOTAL = "total"
"""The period of a counter that counts for ever."""
WINDOW = "window"
"""The kind of grantee that a service window is."""

_serials: WeakKeyDictionary[object, dict[str, tuple[str, ...]]] = WeakKeyDictionary()
"""By engine, then by code: the serial numbers of what was made, which never changes."""
_CAPACITY = 4096


async def certificate_serials(session: AsyncSession, seal_code: str) -> tuple[str, ...]:
    """The serial numbers of the seal's two certificates, as ``keys`` keeps them; none before it is made."""
    known = _serials.setdefault(session.get_bind().engine, {})
    if seal_code not in known:
        query = select(MadeSealRow.signer_certificate, MadeSealRow.sm_certificate).join(SealRow, SealRow.id == MadeSealRow.seal_id)
        made = (await session.execute(query.where(SealRow.code == seal_code))).one_or_none()
        if made is None:
            return ()
        if len(known) >= _CAPACITY:
            known.clear()
        known[seal_code] = tuple(serial_text(certificate_ends(der).serial) for der in made)
    return known[seal_code]


_KEPT = (
    select(WindowSealRow.id)
    .where(WindowSealRow.window_id == WindowRow.id, WindowSealRow.seal_id == SealRow.id, WindowSealRow.returned_at.is_(None))
    .correlate(WindowRow, SealRow)  # this very seal: two selects further out, where SQLAlchemy does not look by itself
)
_STAFFED = (
    select(PostingRow.id)
    .where(PostingRow.window_id == WindowRow.id, PostingRow.person == bindparam("person", type_=Text), PostingRow.ended_at.is_(None))
    .correlate(WindowRow)
)
_WINDOW = {
    "id": WindowRow.id,
    "organisation": WindowRow.organisation,
    "division": WindowRow.division,
    "networks": WindowRow.networks,
    "keeps": _KEPT.exists(),
    "staffed": _STAFFED.exists(),
    "closed": WindowRow.closed_at.is_not(None),
}
_WINDOWS = (
    select(func.jsonb_agg(func.jsonb_build_object(*(part for pair in _WINDOW.items() for part in pair))))
    .where(or_(_KEPT.exists(), _STAFFED.exists()))
    .correlate(SealRow)
    .scalar_subquery()
)
_APPROVERS = (
    select(func.jsonb_agg(func.jsonb_build_array(ApprovalRow.approver, ApprovalRow.requester)))
    .where(
        ApprovalRow.seal_id == SealRow.id,
        ApprovalRow.document_hash == bindparam("document", type_=LargeBinary),
        ApprovalRow.withdrawn_at.is_(None),
        ApprovalRow.at > bindparam("approved_since", type_=DateTime(timezone=True)),
        ~left_since(ApprovalRow.approver, ApprovalRow.at),
    )
    .correlate(SealRow)
    .scalar_subquery()
)
_BASIS = (
    select(LegalBasisRow.basis)
    .where(
        LegalBasisRow.seal_id == SealRow.id,
        LegalBasisRow.matter_code == bindparam("matter"),
        LegalBasisRow.confirmed_at.is_not(None),
        LegalBasisRow.withdrawn_at.is_(None),
    )
    .correlate(SealRow)
    .scalar_subquery()
)
_FACTS = (
    select(
        SealRow.id,
        SealRow.kind,
        SealRow.organisation,
        SealRow.division,
        SealRow.status,
        SealRow.valid_from,
        SealRow.valid_to,
        SealRow.authority_version,
        MatterRow.is_approval,
        MatterRow.organisation.label("acting"),
        RequirementRow.assurance,
        RequirementRow.authenticator,
        RequirementRow.approvals,
        _BASIS.label("basis"),
        _APPROVERS.label("approvers"),
        _WINDOWS.label("windows"),
        any_revoked(bindparam("serials", type_=ARRAY(Text))).label("revoked"),
        standing_mark(bindparam("serials", type_=ARRAY(Text))).label("standing"),
        is_barred(bindparam("person", type_=Text)).label("gone"),
    )
    .select_from(SealRow)
    .outerjoin(MatterRow, MatterRow.code == bindparam("matter"))
    .outerjoin(RequirementRow, RequirementRow.seal_id == SealRow.id)
    .where(SealRow.code == bindparam("seal"))
)


@dataclass(frozen=True, slots=True)
class Found:
    """The seal as its rows name it: ``version`` of its authority, ``standing`` of its certificates (``keys.pki.standing_locks``)."""

    seal_id: uuid.UUID
    version: int
    standing: str


async def read_facts(
    session: AsyncSession,
    now: dt.datetime,
    *,
    actor: Actor,
    seal_code: str,
    matter_code: str,
    document_hash: bytes,
    person_active: bool = True,
    **more: Any,
) -> tuple[Found, Use]:
    """The seal as it stands, and the use as the policy judges it.

    ``more``: the other members of :class:`~seal.policy_facts.Use` that the request brings. Raises ``SealNotFound``.
    """
    parameters = {
        "seal": seal_code,
        "matter": matter_code,
        "document": document_hash,
        "approved_since": now - APPROVAL_LIFETIME,
        "person": actor.id if actor.kind is ActorKind.PERSON else "",
        "serials": list(await certificate_serials(session, seal_code)),
    }
    found = (await session.execute(_FACTS, parameters)).mappings().one_or_none()
    if found is None:
        raise SealNotFound(seal_code[:14])
    windows = tuple(_window(one) for one in found["windows"] or ())
    use = Use(
        now=now,
        actor=actor,
        seal=_seal(seal_code, found),
        matter=_matter(matter_code, found),
        document_hash=document_hash,
        grants=await _grants(session, now, found["id"], actor, windows),
        approvers=frozenset((approver, requester) for approver, requester in found["approvers"] or ()),
        windows=windows,
        person_active=person_active and not found["gone"],
        **more,
    )
    return Found(found["id"], found["authority_version"], found["standing"]), use


def _seal(code: str, found: RowMapping) -> SealFacts:
    stated = found["assurance"] is not None
    required = Requirements(found["assurance"], found["authenticator"], found["approvals"]) if stated else EVERY_SEAL
    return SealFacts(
        code,
        found["kind"],
        found["organisation"],
        found["division"],
        Status(found["status"]),
        found["valid_from"],
        found["valid_to"],
        required,
        not found["revoked"],
    )


def _matter(code: str, found: RowMapping) -> MatterFacts | None:
    return None if found["acting"] is None else MatterFacts(code, found["is_approval"], found["acting"], found["basis"])


def _window(values: Mapping[str, Any]) -> WindowFacts:
    return WindowFacts(**{**values, "networks": tuple(values["networks"])})


_OWN = (
    select(GrantRow.id, GrantRow.ancestors)
    .where(
        GrantRow.seal_id == bindparam("seal_id"),
        or_(
            and_(GrantRow.grantee_kind == bindparam("kind"), GrantRow.grantee_id == bindparam("grantee")),
            and_(GrantRow.grantee_kind == WINDOW, GrantRow.grantee_id == func.any(bindparam("window_ids", type_=ARRAY(Text)))),
        ),
    )
    .cte("own")
)
_CHAINS = union(select(_OWN.c.id), select(func.unnest(_OWN.c.ancestors))).subquery("chains")
_DAY, _ALL = (
    select(GrantCounterRow.used).where(GrantCounterRow.grant_id == GrantRow.id, GrantCounterRow.period == period).scalar_subquery()
    for period in (bindparam("today", type_=Text), TOTAL)
)
_GRANTS = (
    select(
        GrantRow.id,
        GrantRow.grantee_kind,
        GrantRow.grantee_id,
        GrantRow.matter_code,
        GrantRow.certificate_type,
        GrantRow.valid_from,
        GrantRow.valid_to,
        GrantRow.unattended,
        GrantRow.withdrawn_at.is_not(None).label("withdrawn"),
        GrantRow.document_kind,
        GrantRow.window_id,
        GrantRow.networks,
        GrantRow.hours,
        GrantRow.quota_day,
        GrantRow.quota_total,
        func.coalesce(GrantRow.reviewed_at, GrantRow.granted_at).label("reviewed_at"),
        GrantRow.ancestors,
        func.coalesce(_DAY, 0).label("used_today"),
        func.coalesce(_ALL, 0).label("used_total"),
        GrantRow.id.in_(select(_OWN.c.id)).label("own"),
    )
    .where(GrantRow.id.in_(select(_CHAINS.c.id)))
    .order_by(GrantRow.id)
)


async def _grants(
    session: AsyncSession, now: dt.datetime, seal_id: uuid.UUID, actor: Actor, windows: tuple[WindowFacts, ...]
) -> tuple[GrantFacts, ...]:
    parameters = {
        "seal_id": seal_id,
        "kind": actor.kind,
        "grantee": actor.id,
        "window_ids": [one.id for one in windows if one.staffed],
        "today": civil_date(now).isoformat(),
    }
    rows = (await session.execute(_GRANTS, parameters)).mappings().all()
    plain = {row["id"]: grant_facts(row) for row in rows}
    return tuple(grant_facts(row, tuple(plain[one] for one in row["ancestors"])) for row in rows if row["own"])


_COPIED = (
    "id", "matter_code", "certificate_type", "valid_from", "valid_to", "unattended", "withdrawn", "document_kind",
    "quota_day", "quota_total", "used_today", "used_total", "reviewed_at",
)  # fmt: skip


def grant_facts(row: RowMapping, above: tuple[GrantFacts, ...] = ()) -> GrantFacts:
    """One row as facts. What a window was granted is used at that window."""
    window = row["grantee_id"] if row["grantee_kind"] == WINDOW else row["window_id"]
    copied = {name: row[name] for name in _COPIED if name in row}
    return GrantFacts(**copied, window_id=window, networks=tuple(row["networks"]), hours=tuple(row["hours"]), above=above)
