"""The queue of rare characters (生僻字): a certificate that no font can print waits, by name, and is never printed with a hole in it.

1. wait      ``await_glyphs``: issuing stops in the stage ``awaiting_glyph``; which characters are missing is kept and told
2. supply    ``supply_glyph``: an operator gives an outline, good for every certificate; or
   agree     ``agree_substitute``: other characters are printed in its place on one certificate, by somebody's agreement
3. go on     certificates that lack nothing any more are reserved again; the sweeper carries them through as any other

What was supplied and agreed is audited, refusals too. The record, the metadata and the identifier keep the character itself: a
substitute is only what is printed.
"""

import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from certs.fonts import missing_characters
from certs.glyph_models import GlyphRow, GlyphWaitRow, SubstituteRow
from certs.glyphs import Glyph, checked, refused
from certs.legibility import check_legible
from certs.models import CertificateRow, IssuingRow
from certs.records import Stage
from certs.stages import Issuing
from certs.sweeping import sweep
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import Conflict, FujieError, InvalidInput
from keys.evidence import audit
from keys.evidence.audit import JSON, Event

MOST_SUBSTITUTE, MOST_WORDS = 8, 200


class NotWaitedFor(Conflict):
    """The certificate does not wait for this character."""

    code = "GLYPH_NOT_WAITED_FOR"
    public = ("该证照并未等待这个字。", "This certificate is not waiting for this character.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A character, and the certificates that wait for it, the longest first."""

    character: str
    certificates: tuple[uuid.UUID, ...]
    since: dt.datetime


async def waiting(session: AsyncSession) -> tuple[Waiting, ...]:
    """The queue, the oldest character first."""
    rows = (await session.execute(select(GlyphWaitRow).order_by(GlyphWaitRow.since, GlyphWaitRow.certificate_id))).scalars().all()
    characters = dict.fromkeys(row.character for row in rows)
    found = {one: [row for row in rows if row.character == one] for one in characters}
    return tuple(Waiting(one, tuple(row.certificate_id for row in rows), rows[0].since) for one, rows in found.items())


async def supply_glyph(issuing: Issuing, actor: Actor, glyph: Glyph, source: bytes, kind: str, licence: str) -> int:
    """Keep an outline for a character no font has; how many certificates go on. ``kind``: ``svg`` or ``font``.

    Raises GlyphRefused; InvalidInput without a word on by what right it is used, or for a character the fonts have.
    """
    now = issuing.clock.now()
    details: dict[str, JSON] = {"character": code_point(glyph.character), "kind": kind, "source": hashlib.sha256(source).hexdigest()}
    try:
        checked(glyph.character, glyph.path)
        _require_rare(glyph.character)
        details["licence"] = _words("licence", licence)
        async with issuing.database.begin() as session:
            values = {
                "path": glyph.path, "source": kind, "source_hash": hashlib.sha256(source).digest(), "licence": licence.strip(),
                "supplied_by": actor.id, "supplied_at": now,
            }  # fmt: skip
            statement = insert(GlyphRow).values(character=glyph.character, **values)
            await session.execute(statement.on_conflict_do_update(index_elements=["character"], set_=values))
            released = await _release(session, now, actor)
            await audit.record(session, now, _event("supply", glyph.character, actor, details))
    except FujieError as error:
        await _refused(issuing, actor, "supply", glyph.character, error)
        raise
    await sweep(issuing)
    return len(released)


async def agree_substitute(issuing: Issuing, actor: Actor, certificate_id: uuid.UUID, character: str, text: str, agreement: str) -> bool:
    """Print ``text`` in place of ``character`` on this certificate; whether it goes on now.

    ``agreement``: who agreed and how, kept in the audit log. Raises NotWaitedFor, InvalidInput, GlyphMissing.
    """
    now = issuing.clock.now()
    try:
        _check_substitute(text)
        words = _words("agreement", agreement)
        async with issuing.database.begin() as session:
            if await session.get(GlyphWaitRow, (certificate_id, character), with_for_update=True) is None:
                raise NotWaitedFor
            given = {"text": text, "agreement": words, "agreed_by": actor.id, "agreed_at": now}
            statement = insert(SubstituteRow).values(certificate_id=certificate_id, character=character, **given)
            await session.execute(statement.on_conflict_do_update(index_elements=["certificate_id", "character"], set_=given))
            released = await _release(session, now, actor)
            details: dict[str, JSON] = {
                "character": code_point(character),
                "printed": text,
                "agreement": words,
                "certificate": str(certificate_id),
            }
            await audit.record(session, now, _event("substitute", character, actor, details))
    except FujieError as error:
        await _refused(issuing, actor, "substitute", character, error)
        raise
    await sweep(issuing)
    return certificate_id in released


async def _release(session: AsyncSession, now: dt.datetime, actor: Actor) -> frozenset[uuid.UUID]:
    """Reserve again whatever lacks nothing any more."""
    have = (
        select(GlyphWaitRow.certificate_id)
        .outerjoin(GlyphRow, GlyphRow.character == GlyphWaitRow.character)
        .outerjoin(
            SubstituteRow,
            (SubstituteRow.character == GlyphWaitRow.character) & (SubstituteRow.certificate_id == GlyphWaitRow.certificate_id),
        )
        .where(GlyphRow.character.is_(None), SubstituteRow.character.is_(None))
    )
    ready = (
        update(IssuingRow)
        .where(IssuingRow.stage == Stage.AWAITING_GLYPH.value, IssuingRow.certificate_id.not_in(have))
        .values(stage=Stage.RESERVED.value, lease_owner=None, lease_until=None, attempts=0)
        .returning(IssuingRow.certificate_id)
    )
    found = frozenset(await session.scalars(ready))
    if found:
        await session.execute(update(CertificateRow).where(CertificateRow.id.in_(found)).values(stage=Stage.RESERVED.value))
        await session.execute(delete(GlyphWaitRow).where(GlyphWaitRow.certificate_id.in_(found)))
        for one in sorted(found):
            await audit.record(session, now, Event("certs.issue.resume", f"certificate:{one}", audit.Outcome.DONE, actor))
    return found


def code_point(character: str) -> str:
    return " ".join(f"U+{ord(one):04X}" for one in character)


def _require_rare(character: str) -> None:
    if not missing_characters([character]):
        raise refused("证照字库中已有这个字", "the certificate fonts have this character")


def _check_substitute(text: str) -> None:
    if not 0 < len(text) <= MOST_SUBSTITUTE:
        raise InvalidInput("a substitute of a wrong length", errors=[{"field": "text", "message": f"1–{MOST_SUBSTITUTE}"}])
    check_legible([("text", text)])


def _words(name: str, text: str) -> str:
    words = text.strip()
    if not 0 < len(words) <= MOST_WORDS:
        raise InvalidInput(f"{name} is needed", errors=[{"field": name, "message": f"1–{MOST_WORDS}"}])
    return words


def _event(step: str, character: str, actor: Actor, details: dict[str, JSON]) -> Event:
    return Event(f"certs.glyph.{step}", f"character:{code_point(character)}", audit.Outcome.DONE, actor, details)


async def _refused(issuing: Issuing, actor: Actor, step: str, character: str, error: FujieError) -> None:
    event = Event(f"certs.glyph.{step}", f"character:{code_point(character[:1])}", audit.Outcome.REFUSED, actor, code=error.code)
    await audit.record_alone(issuing.database, issuing.clock.now(), event)
