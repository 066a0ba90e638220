"""The sharing desk asks other instances, the city its province and the other way round: yes or no of each, then the record.

Every question is logged here and there, and the holder reads it. What another instance says stands under its name, with the instant of its
answer; one that refused or is away says so in words, and when it was last heard.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.federation_channel import exchange_of
from api.pages.guard import house_of
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import render
from api.pages.words import STATUS_TAGS
from certs.federation import PeerStatus
from certs.federation_asking import PeerAnswer, Wanted, ask_peers
from certs.federation_catalogue import PeerTypeUnknown, types_of_peers
from certs.federation_peers import list_peers
from certs.matter_papers import papers_of
from certs.shared_reading import Query
from certs.sharing import Want
from certs.sharing_reasons import REASONS
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import NotFound

HERE, EVERYWHERE = "here", "everywhere"
HOLDS = {True: ("good", mark("Holds a valid one")), False: ("wait", mark("No valid one"))}
REFUSED, AWAY = ("bad", mark("Refused")), ("mute", mark("Did not answer"))
NOBODY = mark("No instance that is connected has this type.")
_SHOWN = (
    ("number", mark("Number")), ("issuer_name", mark("Issuer")), ("valid_from", mark("Valid from")), ("valid_to", mark("Valid until")),
    ("identifier", mark("Identifier")), ("verification_code", mark("Verification code")),
)  # fmt: skip


async def places(session: AsyncSession, locale: str) -> list[tuple[str, str]]:
    """Where may be asked, for the form; empty while this instance exchanges with none."""
    active = await list_peers(session, PeerStatus.ACTIVE)
    if not active:
        return []
    first = [(HERE, translate(locale, mark("In this library"))), (EVERYWHERE, translate(locale, mark("At every other instance")))]
    return first + [(str(one.id), one.name) for one in active]


def peer_in(where: str) -> uuid.UUID | None:
    """The instance that was chosen; None for all of them. Raises ``NotFound``."""
    if where == EVERYWHERE:
        return None
    try:
        return uuid.UUID(where)
    except ValueError:
        raise NotFound("instance") from None


async def ask_elsewhere(request: Request, actor: Actor, query: Query, where: str) -> list[dict[str, Any]]:
    """What each instance says of every type that the matter's papers name. Raises what ``ask_peers`` raises."""
    house, locale, peer = house_of(request), locale_of(request), peer_in(where)
    async with house.database.session() as session:
        types = [one for paper in await papers_of(session, query.matter_code) for one in paper.types]
    found = []
    for code in dict.fromkeys(types or [""]):  # without papers the rules of sharing say what is missing
        wanted = Wanted(query.matter_code, code, query.purpose, Want.DATA, query.holder_code, query.code_type, peer)
        try:
            answers = await ask_peers(exchange_of(house), actor, wanted)
        except PeerTypeUnknown:
            answers = ()
        said = [_said(one, locale, moment(house.clock.now(), locale)) for one in answers]
        found.append({"type": code, "title": await _title(request, code), "answers": said})
    return found


async def _title(request: Request, code: str) -> str:
    """What those who issue it call it."""
    async with house_of(request).database.session() as session:
        known = await types_of_peers(session, code=code, limit=1)
    if not known:
        return code
    kind = known[0].kind
    return kind.name_zh if locale_of(request) == CHINESE else kind.name_en or kind.name_zh


def _said(answer: PeerAnswer, locale: str, at: str) -> dict[str, Any]:
    tone, label = AWAY if answer.outcome == "away" else REFUSED if answer.holds is None else HOLDS[answer.holds]
    heard = moment(answer.peer.heard_at, locale) if answer.peer.heard_at else ""
    return {
        "peer": str(answer.peer.id), "name": answer.peer.name, "outcome": answer.outcome, "tone": tone, "label": translate(locale, label),
        "why": _why(answer, locale), "code": answer.code, "at": at, "heard": heard if answer.outcome == "away" else "",
        "take": answer.holds is True,
    }  # fmt: skip


def _why(answer: PeerAnswer, locale: str) -> str:
    """Of a refusal, the other's own reason in words where it is one of the rules of sharing; else its sentence."""
    told = REASONS.get(answer.code, answer.title) if answer.outcome == "refused" else answer.title
    return told[0 if locale == CHINESE else 1]


async def take_record(request: Request, actor: Actor, query: Query, where: str) -> Response:
    """The record as the instance that was named gives it, or its refusal in words. Raises what ``ask_peers`` raises, ``NotFound``."""
    house, locale, peer = house_of(request), locale_of(request), peer_in(where)
    if peer is None:
        raise NotFound("instance")
    wanted = Wanted(query.matter_code, query.type_code, query.purpose, Want.RECORD, query.holder_code, query.code_type, peer)
    (answer,) = await ask_peers(exchange_of(house), actor, wanted)
    at = moment(house.clock.now(), locale)
    return render(
        request, "share_elsewhere.html", said=_said(answer, locale, at), records=[_record(one, locale) for one in answer.records], at=at,
        title=await _title(request, query.type_code),
    )  # fmt: skip


def _record(told: Mapping[str, Any], locale: str) -> dict[str, Any]:
    """A record of another instance for the page; what is not as it must be is left out."""
    standing = str(told.get("standing"))
    tone, label = STATUS_TAGS.get(standing, ("mute", mark("Status unknown")))
    fields, holders = told.get("fields"), told.get("holders")
    return {
        "name": str(told.get("name", "")), "tone": tone, "spoken": translate(locale, label), "standing": standing,
        "facts": [(translate(locale, label), str(told.get(name) or "")) for name, label in _SHOWN],
        "fields": [(str(name), str(value)) for name, value in fields.items()] if isinstance(fields, dict) else [],
        "holders": [f"{one.get('name', '')}（{one.get('code', '')}）" for one in holders or () if isinstance(one, dict)],
    }  # fmt: skip
