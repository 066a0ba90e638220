"""What API and command line say about authority over seals, and how both ask ``why``."""

import dataclasses
import datetime as dt
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any

from api.wiring import House
from identity.organisations import get_organisation
from identity.people import Account, actor_of, find_by_username
from keys.base.actor import Actor, ActorKind
from keys.base.errors import NotFound
from seal.grants import GranteeKind, StandingGrant
from seal.matters import Matter, get_matter
from seal.permits import Place, UseRequest, explain_use
from seal.policy import HASH_OCTETS, Answer, RuleAnswer
from seal.reads import get_seal
from seal.windows import close_window, end_posting, hand_over, post, take_back

ANY_DOCUMENT = bytes(HASH_OCTETS)
"""Stands for a document that is not there yet."""


@dataclass(frozen=True, slots=True)
class Question:
    """May this person, or this client, use this seal for this? ``at`` None: now."""

    seal_code: str
    matter_code: str
    person: str | None = None
    client: str | None = None
    certificate_type: str | None = None
    document_kind: str | None = None
    document_hash: bytes = ANY_DOCUMENT
    requester: str | None = None
    window: str | None = None
    address: str | None = None
    unattended: bool = False
    authenticator: int | None = None
    at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """Each rule's answer, and what they come to."""

    permitted: bool
    code: str
    answers: tuple[RuleAnswer, ...]


async def find_account(house: House, username: str) -> Account:
    """Raises NotFound."""
    async with house.database.session() as session:
        account = await find_by_username(session, username)
    if account is None:
        raise NotFound("account")
    return account


async def why(house: House, asked: Question) -> Explained:
    """What each rule says. A person is taken to log in with the factors they have, unless the question says otherwise."""
    actor, active = await _actor(house, asked)
    place = Place(asked.window, asked.address) if asked.window or asked.address else None
    request = UseRequest(
        asked.seal_code,
        actor,
        asked.matter_code,
        asked.certificate_type,
        asked.document_hash,
        asked.unattended,
        asked.document_kind,
        place,
        asked.requester,
        active,
    )
    async with house.database.session() as session:
        answers = await explain_use(session, asked.at or house.clock.now(), request)
    denied = next((one for one in answers if one.answer is Answer.DENY), None)
    decisive = denied or answers[-1]
    return Explained(decisive.answer is Answer.GRANT, decisive.reason_code, answers)


async def _actor(house: House, asked: Question) -> tuple[Actor, bool]:
    if asked.person is None:
        return Actor(ActorKind.CLIENT, asked.client or "", division=await _division(house, asked.seal_code)), True
    account = await find_account(house, asked.person)
    level = asked.authenticator if asked.authenticator is not None else 2 if account.has_second_factor else 1
    return dataclasses.replace(actor_of(account), authenticator=level), account.active


async def _division(house: House, seal_code: str) -> str:
    """A client is asked about as one of the seal's own division: what it may do there, its grants say."""
    async with house.database.session() as session:
        return (await get_seal(session, seal_code)).division


def explained_json(told: Explained) -> dict[str, Any]:
    rules = [{"rule": one.rule, "answer": one.answer.value, "code": one.reason_code, "zh": one.zh, "en": one.en} for one in told.answers]
    return {"permitted": told.permitted, "code": told.code, "rules": rules}


def plain(value: object) -> Any:
    """A frozen value as JSON: octets in hexadecimal, instants and identifiers as text."""
    if dataclasses.is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (uuid.UUID, dt.datetime)):
        return value.isoformat() if isinstance(value, dt.datetime) else str(value)
    if isinstance(value, (tuple, list, frozenset)):
        return [plain(one) for one in value]
    return value.value if isinstance(value, Enum) else value


def grant_json(standing: StandingGrant) -> dict[str, Any]:
    told = plain(standing)
    return {**told.pop("grant"), **told}


async def account_id(house: House, username: str) -> str:
    """An account's identifier; ``""`` where there is none, for the journey to refuse after it asked who wants to know."""
    async with house.database.session() as session:
        account = await find_by_username(session, username)
    return "" if account is None else str(account.id)


async def grantee(house: House, kind: GranteeKind, name: str) -> str:
    """Persons are named by their username, clients and windows by their identifiers."""
    return await account_id(house, name) if kind is GranteeKind.PERSON else name


async def divisions_of(house: House, matter: Matter) -> tuple[str, ...]:
    """Of the organisations that have the matter now and are to have it; ``""`` for one that is not known."""
    async with house.database.session() as session:
        old = await get_matter(session, matter.code)
        named = {matter.organisation} | ({old.organisation} if old else set())
        known = [await get_organisation(session, one) for one in sorted(named)]
    return tuple("" if one is None else one.division for one in known)


async def window_step(house: House, actor: Actor, window_id: str, step: str, name: str) -> None:
    """One step of a window's life. Raises what the step raises, NotFound for one there is not."""
    database, clock = house.database, house.clock
    if step in ("give", "take"):
        move = hand_over if step == "give" else take_back
        await move(database, clock, actor, window_id=window_id, seal_code=name)
    elif step in ("post", "leave"):
        person = await account_id(house, name)
        await (post if step == "post" else end_posting)(database, clock, actor, window_id=window_id, person=person)
    elif step == "close":
        await close_window(database, clock, actor, window_id)
    else:
        raise NotFound(step[:20])
