"""Change and re-making: another seal, with a code of its own, is ordered in the place of one that is there.

:func:`succeed`
  1. the seal whose place it takes may be succeeded, and is of the keeper's organisation
  2. the order is the old one, but for what changes
  3. it is applied for, reviewed, made and filed like any other (:mod:`seal.making`)
  4. the instant it is activated the old one ends (:mod:`seal.activation`)

A seal is never changed in place: whoever looks at a stamp of the old one finds the old words, the old code and its end.
"""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from keys.base.actor import Actor
from keys.base.clock import Clock
from keys.base.db import Database
from keys.base.errors import Conflict, InvalidInput
from seal.asn1_build import SignerList
from seal.changes import check_mover, refusals_audited
from seal.designs import Shape
from seal.impression_models import ImpressionRow
from seal.impressions import MediaType, Upload
from seal.lifecycle import SUCCEEDED, Move, Status, Succession
from seal.looks import SealLook
from seal.making import Place, SealOrder, apply_for_seal
from seal.models import SealRow
from seal.motives import Why
from seal.naming import NameRegister
from seal.once import Once
from seal.reads import Seal, SealNotFound, seal_view, standing


class SealNotSucceeded(Conflict):
    """The seal is in no state in which another is ordered in its place; ``extra`` names it."""

    code = "SEAL_NOT_SUCCEEDED"
    public = ("印章当前状态不能变更或重制。", "In its present status the seal is neither changed nor made again.")


class SealChangeEmpty(InvalidInput):
    """A change that changes nothing, or a re-making that changes words."""

    code = "SEAL_CHANGE_EMPTY"
    public = (
        "变更须改动名称、印文或有效期；重制不得改动印文。",
        "A change alters a name, words or the period; a re-making alters no words.",
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What the new seal has otherwise; None: as the old one. ``document_signer`` …: names of certificates of others."""

    name: str | None = None
    organisation_name: str | None = None
    lower_text: str | None = None
    valid_from: dt.datetime | None = None
    valid_to: dt.datetime | None = None
    document_signer: str | None = None
    seal_signer: str | None = None
    maker: str | None = None

    def stated(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


_WORDS = frozenset({"name", "organisation_name", "lower_text"})
_PERIOD = frozenset({"valid_from", "valid_to"})
_USUAL = {Succession.CHANGE: "text_changed", Succession.REMAKE: "damaged"}


async def succeed(
    database: Database,
    clock: Clock,
    actor: Actor,
    code: str,
    succession: Succession,
    changes: Changes,
    reason: Why | str = "",
    once: Once | None = None,
    register: NameRegister | None = None,
) -> Seal:
    """The application for the new seal. Raises :class:`SealNotSucceeded`, :class:`SealChangeEmpty`, ``SealNotFound`` and what
    ``apply_for_seal`` raises.
    """
    async with refusals_audited(database, clock, f"seal.{succession}", f"seal-code:{code[:20]}", actor):
        row, impression = await _old(database, code)
        seal = seal_view(row)
        check_mover(actor, Move.APPLY, organisation=seal.organisation, division=seal.division)
        order = _order(row, impression, succession, changes, clock.now())
    told = (
        reason if isinstance(reason, Why) and reason.code else Why(_USUAL[succession], reason if isinstance(reason, str) else reason.text)
    )
    if isinstance(reason, Why):
        told = dataclasses.replace(told, papers=reason.papers)
    renamed = register if changes.organisation_name is not None else None  # what was registered when it was ordered may stay
    return await apply_for_seal(database, clock, actor, order, told, place=Place(seal.id, succession), once=once, register=renamed)


async def _old(database: Database, code: str) -> tuple[SealRow, Upload | None]:
    async with database.session() as session:
        row = await session.scalar(select(SealRow).where(SealRow.code == code))
        if row is None:
            raise SealNotFound(code)
        impression = await session.get(ImpressionRow, row.id)
    if impression is None:
        return row, None
    return row, Upload(
        impression.source, MediaType(impression.media_type), impression.width_mm, impression.height_mm, Shape(impression.shape)
    )


def _order_again(row: SealRow, impression: Upload | None) -> SealOrder:
    """What was ordered, as it was ordered."""
    read: dict[str, Any] = {"look": SealLook.from_json(row.look), "impression": impression, "signer_list": SignerList(row.signer_list)}
    names = [field.name for field in dataclasses.fields(SealOrder) if field.name not in read]
    return SealOrder(**read, **{name: getattr(row, name) for name in names})


def _order(row: SealRow, impression: Upload | None, succession: Succession, changes: Changes, now: dt.datetime) -> SealOrder:
    status = standing(Status(row.status), row.valid_to, now)
    if status not in SUCCEEDED[succession] or row.successor is not None:
        raise SealNotSucceeded(f"{succession} of a seal that is {status}", status=str(status))
    stated = changes.stated()
    old = _order_again(row, impression)
    altered = {name for name, value in stated.items() if getattr(old, name) != value}
    wrong = not altered & (_WORDS | _PERIOD) if succession is Succession.CHANGE else bool(altered & _WORDS)
    if wrong:
        raise SealChangeEmpty(f"{succession} of {sorted(altered)}")
    if succession is Succession.REMAKE or "valid_from" not in stated:
        stated.setdefault("valid_from", max(now, row.valid_from))
    return dataclasses.replace(old, **stated)
