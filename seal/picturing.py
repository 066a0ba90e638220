"""From an order to the picture that is cut into a seal: drawn from its texts, or taken from an uploaded impression.

1. :func:`plate_for`   what will be cut, tried as a whole when the order comes in
2. :func:`keep_impression`, :func:`plate_of`   kept beside the application, found again when it is made
3. :func:`engraved`    every form of the picture, with the code the seal has been given

:func:`preview` does 1 and 3 and stores nothing.
"""

import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass, replace

from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import InvalidInput
from seal.appearance import check, draw
from seal.designs import Colour, SealDesign
from seal.drawing import Drawing
from seal.engraving import SealPicture, engrave
from seal.impression_models import ImpressionRow
from seal.impression_room import redraw
from seal.impressions import Upload
from seal.kinds import bears_emblem
from seal.looks import SealLook, design_of
from seal.models import SealRow

_ANY_CODE = "0" * 14


class EmblemNeedsImpression(InvalidInput):
    """The seal bears the national emblem, which nobody draws here."""

    code = "SEAL_EMBLEM_NEEDS_IMPRESSION"
    public = (
        "该印章刊有国徽图案，系统不绘制国徽，请上传印模。",
        "This seal bears the national emblem, which is never drawn here: upload an impression.",
    )


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose seal it is, of which kind. ``organisation``: USCC and name. ``lower_text``: below the middle."""

    kind: str
    organisation: str
    organisation_name: str
    lower_text: str


@dataclass(frozen=True, slots=True)
class Plate:
    """What is to be cut: a design, or the outlines of an impression, in one ink."""

    source: SealDesign | Drawing
    colour: Colour


def plate_for(subject: Subject, look: SealLook, upload: Upload | None) -> Plate:
    """What an order asks for. Takes seconds of CPU; call it off the event loop.

    Raises :class:`EmblemNeedsImpression`, what :func:`seal.appearance.check` raises, or what :mod:`seal.impressions` lists.
    """
    if upload is not None:
        return Plate(redraw(upload), look.colour)
    if bears_emblem(subject.kind, subject.organisation_name):
        raise EmblemNeedsImpression(subject.organisation_name[:40])
    design = _design(subject, look, "")
    check(design)
    return Plate(design, look.colour)


def engraved(plate: Plate) -> SealPicture:
    """The picture. Burns CPU."""
    return draw(plate.source) if isinstance(plate.source, SealDesign) else engrave(plate.source, plate.colour)


def preview(subject: Subject, look: SealLook, upload: Upload | None) -> SealPicture:
    """What the seal will look like; zeros stand for the code it has not been given yet. Raises as :func:`plate_for`."""
    plate = plate_for(subject, look, upload)
    if isinstance(plate.source, SealDesign):
        plate = replace(plate, source=_design(subject, look, _ANY_CODE))
    return engraved(plate)


def _design(subject: Subject, look: SealLook, code: str) -> SealDesign:
    return design_of(
        subject.kind,
        look,
        name=subject.organisation_name,
        organisation=subject.organisation,
        lower_text=subject.lower_text,
        code=code,
    )


async def keep_impression(session: AsyncSession, now: dt.datetime, actor: Actor, seal_id: uuid.UUID, upload: Upload, plate: Plate) -> None:
    """Beside the application: what was sent, octet by octet, and the outlines it became."""
    if not isinstance(plate.source, Drawing):
        raise TypeError("an uploaded impression becomes a drawing")
    session.add(
        ImpressionRow(
            seal_id=seal_id,
            source=upload.content,
            media_type=upload.media_type,
            shape=upload.shape,
            sha256=hashlib.sha256(upload.content).digest(),
            drawing=plate.source.to_bytes(),
            width_mm=upload.width_mm,
            height_mm=upload.height_mm,
            uploaded_by=actor.id,
            uploaded_at=now,
        )
    )
    await session.flush()


async def plate_of(session: AsyncSession, row: SealRow) -> Plate:
    """What the applied-for seal will be cut from, with the code it has by now."""
    look = SealLook.from_json(row.look)
    kept = await session.get(ImpressionRow, row.id)
    if kept is not None:
        return Plate(Drawing.from_bytes(kept.drawing), look.colour)
    subject = Subject(row.kind, row.organisation, row.organisation_name, row.lower_text)
    return Plate(_design(subject, look, row.code or ""), look.colour)
