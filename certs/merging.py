"""One licence that absorbs others (多证合一): what it takes up, who claims each item, and what becomes of the certificates before it.

1. A merge rule lets a type take up another: on what legal basis, which department claims the item, within how many days.
2. The approval names what is absorbed: a type, and the holder's certificate of it where there is one.
3. Before a number is taken everything is checked: the rule, the holder, the certificate's status. The items are listed on the licence,
   in its field ``KZ_HBSX``: on paper, in the record, in the attached metadata and in what anybody verifies.
4. In transaction 2 of issuing, with the licence, each predecessor is cancelled with it as its successor, and each item is open for its
   department to claim.

Claiming, and the alert of what nobody claimed in time: ``certs.claiming``.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import select

from certs.approvals import Absorption, Approval
from certs.catalogue import CertificateType
from certs.issuing_models import MergedItemRow, MergeRuleRow
from certs.lifecycle import MoveNotAllowed, find_move
from certs.models import CertificateRow, HolderRow, TypeRow
from certs.outbox import write_event
from certs.reads import get_certificate
from certs.records import Certificate, Stage
from certs.standing import Grounds, end_with_successor
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.errors import FujieError
from keys.base.ids import new_id
from keys.evidence.audit import JSON

MERGED_FIELD = "KZ_HBSX"
"""The short name of the field in which a type of licence lists what it took up (合并事项)."""
MOST_ITEMS = 30
MERGED = Grounds("多证合一：由合并后的证照替代", "MERGED")


class TypeNotAbsorbable(FujieError):
    """No merge rule lets this type take up the other. ``extra['errors']`` names the item."""

    code = "TYPE_NOT_ABSORBABLE"
    status = 422
    public = ("按整合目录，该证照不能合并所列事项。", "By the merge rules this licence does not take up that type of certificate.")


class AbsorbedUnfit(FujieError):
    """What should be absorbed is no certificate of that type and holder that could be cancelled. ``extra['errors']`` names the item."""

    code = "ABSORBED_UNFIT"
    status = 422
    public = (
        "拟合并的证照不存在、不属于该持证主体，或当前状态不能注销。",
        "What should be absorbed does not exist, is another holder's, or has a status that cannot be cancelled.",
    )


class TypeListsNoItems(FujieError):
    """The type has no field ``KZ_HBSX``: the licence could not show what it took up."""

    code = "TYPE_LISTS_NO_ITEMS"
    status = 422
    public = (
        "该证照类型没有“合并事项”栏目（KZ_HBSX），无法列明合并内容。",
        "This type has no field for merged items (KZ_HBSX), so the licence could not list them.",
    )


@dataclass(frozen=True, slots=True)
class MergeRule:
    """``type_code`` takes up ``absorbed``. ``department``: credit code of who claims the item; empty: who issued what was absorbed."""

    type_code: str
    absorbed: str
    department: str
    claim_days: int
    basis: str


@dataclass(frozen=True, slots=True)
class MergedItem:
    """An item of an approval that may be absorbed. ``holders``: blind indexes of the holders of the certificate before it."""

    type_code: str
    name: str
    department: str
    claim_days: int
    absorbed: Certificate | None
    holders: frozenset[bytes]

    @property
    def line(self) -> str:
        """As the licence lists it."""
        return f"{self.name}（{self.absorbed.number}）" if self.absorbed and self.absorbed.number else self.name


async def find_merged(session: AsyncSession, kind: CertificateType, absorbs: Collection[Absorption]) -> tuple[MergedItem, ...]:
    """The items an approval names, each allowed by a rule. Raises :class:`TypeNotAbsorbable`, :class:`AbsorbedUnfit`,
    :class:`TypeListsNoItems`."""
    if not absorbs:
        return ()
    merged_label(kind)
    statement = (
        select(MergeRuleRow, TypeRow.name_zh)
        .join(TypeRow, TypeRow.code == MergeRuleRow.absorbed)
        .where(MergeRuleRow.type_code == kind.code)
    )
    rules = {row.absorbed: (row, name) for row, name in await session.execute(statement)}
    if wrong := [place for place, one in enumerate(absorbs) if one.type_code not in rules]:
        raise TypeNotAbsorbable(errors=_errors(wrong, "no merge rule"))
    return tuple([await _item(session, place, one, *rules[one.type_code]) for place, one in enumerate(absorbs)])


def _errors(places: Collection[int], message: str) -> list[dict[str, str]]:
    return [{"field": f"absorbs.{place}", "message": message} for place in places]


async def _item(session: AsyncSession, place: int, asked: Absorption, rule: MergeRuleRow, name: str) -> MergedItem:
    if asked.certificate_id is None:
        if not rule.department:
            raise AbsorbedUnfit(errors=_errors([place], "the rule names no department: a certificate is needed"))
        return MergedItem(asked.type_code, name, rule.department, rule.claim_days, None, frozenset())
    found = await get_certificate(session, asked.certificate_id)
    if found is None or found.stage is not Stage.ISSUED or found.type_code != asked.type_code or found.successor is not None:
        raise AbsorbedUnfit(errors=_errors([place], "no such certificate of this type"))
    try:
        find_move("cancel", found.status)
    except MoveNotAllowed:
        raise AbsorbedUnfit(errors=_errors([place], "its status does not allow it")) from None
    holders = frozenset(await session.scalars(select(HolderRow.code_index).where(HolderRow.certificate_id == found.id)))
    return MergedItem(asked.type_code, name, rule.department or found.issuer, rule.claim_days, found, holders)


def check_same_holders(items: Collection[MergedItem], holders: Collection[bytes]) -> None:
    """A licence takes up what its own holders hold, nobody else's. Raises :class:`AbsorbedUnfit`."""
    wrong = [place for place, one in enumerate(items) if one.absorbed is not None and not one.holders <= set(holders)]
    if wrong:
        raise AbsorbedUnfit(errors=_errors(wrong, "no such certificate of this type"))


def merged_label(kind: CertificateType) -> str:
    """The name of the field that lists the items. Raises :class:`TypeListsNoItems`."""
    label = next((one.name for one in kind.fields if one.short == MERGED_FIELD), None)
    if label is None:
        raise TypeListsNoItems(kind.code)
    return label


def listed(kind: CertificateType, approval: Approval, items: Collection[MergedItem]) -> Approval:
    """The approval with the items in their field; what its sender wrote there stands before them."""
    if not items:
        return approval
    label = merged_label(kind)
    own = approval.fields.get(label, "").strip()
    text = "；".join([own, *(one.line for one in items)] if own else [one.line for one in items])
    fields: Mapping[str, str] = {**approval.fields, label: text}
    return replace(approval, fields=fields)


def item_rows(certificate_id: uuid.UUID, items: Collection[MergedItem]) -> list[MergedItemRow]:
    """Transaction 1: the items as they are reserved with the licence."""
    return [
        MergedItemRow(
            id=new_id(), certificate_id=certificate_id, position=position, type_code=one.type_code, name=one.name,
            department=one.department, absorbed_id=one.absorbed.id if one.absorbed else None, claim_days=one.claim_days, note="",
        )
        for position, one in enumerate(items)
    ]  # fmt: skip


async def settle_merged(session: AsyncSession, now: dt.datetime, actor: Actor, licence: Certificate) -> None:
    """Transaction 2: predecessors are cancelled with the licence as successor, items are open to be claimed, departments are told.

    Raises ``MoveNotAllowed`` where a predecessor's status changed meanwhile.
    """
    rows = list(
        await session.scalars(
            select(MergedItemRow)
            .where(MergedItemRow.certificate_id == licence.id)
            .order_by(MergedItemRow.absorbed_id, MergedItemRow.position)
        )
    )
    for row in rows:
        if row.absorbed_id is not None:
            await end_with_successor(session, now, actor, row.absorbed_id, licence.identifier, MERGED)
        row.opened_at, row.due_on = now, civil_date(now) + dt.timedelta(days=row.claim_days)
        write_event(session, now, "merged_item.open", licence.id, item_payload(row, licence.identifier), to=(row.department,))


def item_payload(row: MergedItemRow, identifier: str) -> dict[str, JSON]:
    """What a department is told of an item: ids, no personal data."""
    return {
        "id": str(row.certificate_id), "identifier": identifier, "item": str(row.id), "type": row.type_code,
        "department": row.department, "due_on": row.due_on.isoformat() if row.due_on else None,
    }  # fmt: skip


async def absorbed_by(session: AsyncSession, certificate_id: uuid.UUID) -> list[tuple[str, str, str | None]]:
    """(type code, name, identifier of the certificate before it) of each item that a licence took up, in their order."""
    query = (
        select(MergedItemRow.type_code, MergedItemRow.name, CertificateRow.identifier)
        .outerjoin(CertificateRow, CertificateRow.id == MergedItemRow.absorbed_id)
        .where(MergedItemRow.certificate_id == certificate_id)
        .order_by(MergedItemRow.position)
    )
    return [(code, name, identifier) for code, name, identifier in await session.execute(query)]
