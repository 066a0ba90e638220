"""Other instances for security administrators: with whom we exchange, whether they are level with us, and two people's decisions.

The card of ours is shown and handed out here; a card of the other's people is pasted here. What may be done is for the journeys to say.
"""

import orjson
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.pages.forms import Trouble, sent, shown_again, trouble_of, typed
from api.pages.guard import house_of, identifier_of, page, redirect
from api.pages.i18n import CHINESE, locale_of, mark, moment, translate
from api.pages.rendering import protect, render
from api.session import Present, require_login
from certs.federation import (
    LEVEL_NAMES,
    MAX_CARD,
    MOVES,
    STATUS_NAMES,
    Card,
    FederationNotEstablished,
    Level,
    PeerMove,
    PeerStatus,
)
from certs.federation_catalogue import count_types
from certs.federation_feed import count_told
from certs.federation_keys import own_card
from certs.federation_peers import Peer, PeerChange, Proposed, check_actor, get_peer, history_of_peer, list_peers, move, propose
from keys.base.actor import Actor, Role
from keys.base.db import AsyncSession
from keys.base.errors import Forbidden, FujieError, NotFound

LONGEST_REASON = 200
TONES = {
    PeerStatus.PROPOSED: "wait",
    PeerStatus.ACTIVE: "good",
    PeerStatus.SUSPENDED: "wait",
    PeerStatus.REJECTED: "mute",
    PeerStatus.WITHDRAWN: "mute",
}
BUTTONS = {
    PeerMove.APPROVE: mark("Approve the exchange"),
    PeerMove.REJECT: mark("Refuse"),
    PeerMove.SUSPEND: mark("Suspend at once"),
    PeerMove.RESUME: mark("Resume the exchange"),
    PeerMove.WITHDRAW: mark("End for good"),
}
DONE = {
    "proposed": mark("Registered. Another security administrator has to approve it."),
    "approve": mark("Approved. The exchange begins within seconds."),
    "reject": mark("Refused."),
    "suspend": mark("Suspended. Nothing is exchanged from this instant."),
    "resume": mark("Resumed."),
    "withdraw": mark("Ended for good."),
}


class InstancesForAdministrators(Forbidden):
    """The page is for security administrators."""

    code = "FEDERATION_PAGE_RESTRICTED"
    public = ("此页面仅供安全管理员使用。", "This page is for security administrators.")


def _administrator(request: Request) -> Present:
    present = require_login(request)
    if Role.SECURITY_ADMIN not in present.account.roles:
        raise InstancesForAdministrators
    check_actor(present.actor)
    return present


@page
async def show_all(request: Request) -> Response:
    _administrator(request)
    return await _all(request)


@page
async def post_card(request: Request) -> Response:
    """Register the instance whose card was pasted or handed over as a file."""
    actor, house = _administrator(request).actor, house_of(request)
    form = await sent(request, files=0, fields=8, part=MAX_CARD + 1)
    card, reason, level = typed(form, "card", MAX_CARD), typed(form, "reason", LONGEST_REASON), typed(form, "level")
    try:
        if level not in set(Level):
            raise NotFound("level")
        divisions = tuple(typed(form, "divisions").replace("，", ",").replace(",", " ").split())
        peer = await propose(house.database, house.clock, actor, Proposed(card.encode(), Level(level), reason, divisions))
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _all(request, error.status, trouble_of(request, error), form)
    return redirect(f"/federation/{peer.id}?done=proposed")


@page
async def download_card(request: Request) -> Response:
    _administrator(request)
    async with house_of(request).database.session() as session:
        card = await own_card(session)
    name = f"fujie-card-{card.instance}.json"
    content = orjson.dumps(card.to_json(), option=orjson.OPT_INDENT_2) + b"\n"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return protect(Response(content, media_type="application/json", headers=headers))


@page
async def show_one(request: Request) -> Response:
    return await _one(request, _administrator(request).actor)


@page
async def post_move(request: Request) -> Response:
    """One step in the life of the exchange, with its reason."""
    actor, house, identifier = _administrator(request).actor, house_of(request), identifier_of(request)
    form = await sent(request, files=0, fields=4)
    step, reason = typed(form, "move"), typed(form, "reason", LONGEST_REASON)
    try:
        if step not in {one.value for one in BUTTONS}:
            raise NotFound("move")
        await move(house.database, house.clock, actor, identifier, PeerMove(step), reason)
    except FujieError as error:
        if isinstance(error, NotFound) or error.status >= 500:
            raise
        return await _one(request, actor, error.status, trouble_of(request, error), reason)
    return redirect(f"/federation/{identifier}?done={step}")


async def _all(request: Request, status: int = 200, trouble: Trouble | None = None, form: FormData | None = None) -> Response:
    locale = locale_of(request)
    async with house_of(request).database.session() as session:
        own = await _own(session)
        peers = [_listed(one, locale) for one in await list_peers(session)]
    typed_before = {name: shown_again(typed(form, name, MAX_CARD)) if form else "" for name in ("card", "reason", "divisions", "level")}
    return render(
        request, "federation.html", status=status, own=_shown_card(own) if own else None, peers=peers, trouble=trouble,
        asked=typed_before, levels=[(one.value, _in(locale, LEVEL_NAMES[one])) for one in Level],
    )  # fmt: skip


async def _own(session: AsyncSession) -> Card | None:
    try:
        return await own_card(session)
    except FederationNotEstablished:
        return None


def _shown_card(card: Card) -> dict[str, object]:
    return {
        "name": card.name, "organisation": card.organisation, "divisions": " ".join(card.divisions), "address": card.address,
        "sha256": groups(card.digest()), "keys": len(card.keys),
    }  # fmt: skip


def groups(digest: bytes) -> str:
    """A digest as two people read it to each other: groups of four.

    >>> groups(bytes(4))
    '0000 0000'
    """
    text = digest.hex().upper()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _listed(peer: Peer, locale: str) -> dict[str, object]:
    return {
        "id": str(peer.id), "name": peer.name, "code": peer.status.value, "level": _in(locale, LEVEL_NAMES[peer.level]),
        "status": _in(locale, STATUS_NAMES[peer.status]),
        "tone": "bad" if peer.problem and peer.status is PeerStatus.ACTIVE else TONES[peer.status], "address": peer.address,
        "problem": peer.problem if peer.status is PeerStatus.ACTIVE else None,
        "heard": moment(peer.heard_at, locale) if peer.heard_at else "",
    }  # fmt: skip


async def _one(request: Request, actor: Actor, status: int = 200, trouble: Trouble | None = None, reason: str = "") -> Response:
    locale, identifier = locale_of(request), identifier_of(request)
    async with house_of(request).database.session() as session:
        peer, history = await get_peer(session, identifier), await history_of_peer(session, identifier)
        types, told = await count_types(session), await count_told(session)
    done = DONE.get(request.query_params.get("done", ""))
    return render(
        request, "federation_peer.html", status=status, peer=_listed(peer, locale), card=_shown_card(peer.card),
        divisions=" ".join(peer.divisions), types=types.get(str(peer.id), 0), certificates=told.get(peer.id, 0),
        history=[_change(one, locale) for one in reversed(history)], moves=_moves(peer, history, actor, locale), trouble=trouble,
        reason=shown_again(reason), done=translate(locale, done) if done else "",
    )  # fmt: skip


def _moves(peer: Peer, history: tuple[PeerChange, ...], actor: Actor, locale: str) -> list[tuple[str, str]]:
    """The steps the table allows; those that another person has to take are offered to other people only."""
    possible = [step for step, rule in MOVES.items() if peer.status in rule.sources]
    return [(step.value, translate(locale, BUTTONS[step])) for step in possible if not _own_move(step, history, actor)]


def _own_move(step: PeerMove, history: tuple[PeerChange, ...], actor: Actor) -> bool:
    other = MOVES[step].other_than
    authors = [one.actor_id for one in history if one.move is other]
    return bool(authors) and authors[-1] == actor.id


def _change(change: PeerChange, locale: str) -> dict[str, str]:
    words = MOVES[change.move].zh if locale == CHINESE else MOVES[change.move].en.capitalize()
    return {"move": words, "at": moment(change.at, locale), "by": change.actor_name, "reason": change.reason}


def _in(locale: str, names: tuple[str, str]) -> str:
    return names[locale != CHINESE]


routes: list[BaseRoute] = [
    Route("/federation", show_all),
    Route("/federation", post_card, methods=["POST"]),
    Route("/federation/card.json", download_card),
    Route("/federation/{id}", show_one),
    Route("/federation/{id}", post_move, methods=["POST"]),
]
