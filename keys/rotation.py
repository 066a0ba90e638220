"""Rotation of token keys: a table of instants, and the few steps that write it.

A key is announced before it signs and stays announced after it signed, so that whoever keeps the JWK Set for as long as we
allow never meets a token whose key they cannot find:

    created_at      signs_from ── period ──  signs_until              published_until
        │── next ──────│──────── active ────────│────── retiring ──────────│── retired …
           ≥ lead                               = signs_from of the next        ≥ overlap

:func:`tend` is the background's step: it makes what is missing, one transaction under one lock. :func:`rotate` brings the
next key forward; :func:`replace_compromised` does so at once and takes the old ones back.
"""

import asyncio
import datetime as dt
from dataclasses import replace

from sqlalchemy import func, select

from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.custody.store import KeyStore, Purpose, StoredKey
from keys.evidence import audit
from keys.jwks import ALGORITHMS, KeyPlan, SigningKey, State, add_signing_key, change_instants, read_plan, thumbprint
from keys.schedule import DEFAULT, Schedule

_LOCK = "keys.jwks.ensure"


def earliest(schedule: Schedule, successor: SigningKey, now: dt.datetime, wanted: dt.datetime) -> dt.datetime:
    """``wanted``, or the first instant after it at which ``successor`` is known to everybody who may need it."""
    return max(wanted, successor.created_at + schedule.lead, now + schedule.notice)


def handed_over(schedule: Schedule, active: SigningKey, successor: SigningKey, at: dt.datetime) -> tuple[SigningKey, SigningKey]:
    """The two keys with ``at`` as the instant between them."""
    return replace(active, signs_until=at, published_until=at + schedule.overlap), replace(successor, signs_from=at)


def next_key(plan: KeyPlan, alg: str, now: dt.datetime) -> SigningKey | None:
    """The key of ``alg`` that is announced and does not sign yet; of several the first."""
    coming = [key for key in plan.keys if key.alg == alg and key.state(now) is State.NEXT]
    return min(coming, key=lambda key: key.signs_from, default=None)


def _active(plan: KeyPlan, alg: str, now: dt.datetime) -> SigningKey | None:
    return next((plan.signing(alg, now) for key in plan.keys if key.alg == alg and key.state(now) is State.ACTIVE), None)


async def ensure_signing_keys(database: Database, keystore: KeyStore, clock: Clock) -> None:
    """Makes a key that signs, of each algorithm that has none. Safe to call again, and by several at once.

    What is announced besides is :func:`tend`'s care: no start waits for it.
    """
    async with database.begin() as session:
        plan, now = await _locked_plan(session), clock.now()
        for alg, algorithm in ALGORITHMS.items():
            if _active(plan, alg, now) is None:
                await _add(session, alg, keystore.generate(algorithm, Purpose.TOKENS), now, now)


async def tend(database: Database, keystore: KeyStore, clock: Clock, schedule: Schedule = DEFAULT) -> None:
    """The background's step: what lacks an announced key gets one; a period that was shortened counts from now on.

    1. *look*   nothing to do is the usual case: nothing is locked or made
    2. *make*   keys, outside any transaction: an RSA key takes a while
    3. *place*  under the lock, as far as they are still missing; a key that another process was quicker with is dropped unused
    """
    async with database.session() as session:
        plan = await read_plan(session)
    if not any(_to_do(plan, schedule, alg, clock.now()) for alg in ALGORITHMS):
        return
    lacking = [alg for alg in ALGORITHMS if next_key(plan, alg, clock.now()) is None]
    made = {alg: await asyncio.to_thread(keystore.generate, ALGORITHMS[alg], Purpose.TOKENS) for alg in lacking}
    async with database.begin() as session:
        plan, now = await _locked_plan(session), clock.now()
        for alg in ALGORITHMS:
            await _tend_one(session, schedule, plan, alg, made.get(alg), now)


def _to_do(plan: KeyPlan, schedule: Schedule, alg: str, now: dt.datetime) -> bool:
    active, successor = _active(plan, alg, now), next_key(plan, alg, now)
    return active is not None and (successor is None or _planned(schedule, active, successor, now) < successor.signs_from)


def _planned(schedule: Schedule, active: SigningKey, successor: SigningKey, now: dt.datetime) -> dt.datetime:
    return earliest(schedule, successor, now, active.signs_from + schedule.period)


async def _tend_one(session: AsyncSession, schedule: Schedule, plan: KeyPlan, alg: str, made: StoredKey | None, now: dt.datetime) -> None:
    active, successor = _active(plan, alg, now), next_key(plan, alg, now)
    if active is None:
        return
    if successor is None and made is not None:
        at = max(active.signs_from + schedule.period, now + schedule.lead)
        successor = await _add(session, alg, made, now, at)
        await change_instants(session, handed_over(schedule, active, successor, at)[0])
    elif successor is not None:
        await _bring_forward(session, schedule, active, successor, _planned(schedule, active, successor, now))


async def _add(session: AsyncSession, alg: str, made: StoredKey, now: dt.datetime, signs_from: dt.datetime) -> SigningKey:
    key = SigningKey(thumbprint(made.public), alg, made, now, signs_from)
    await add_signing_key(session, key)
    await _audit(session, now, "keys.tokens.announce", key, SYSTEM)
    return key


async def _bring_forward(session: AsyncSession, schedule: Schedule, active: SigningKey, successor: SigningKey, at: dt.datetime) -> bool:
    """Let ``successor`` take over at ``at`` if that is earlier than planned; whether it was."""
    if at >= successor.signs_from:
        return False
    for key in handed_over(schedule, active, successor, at):
        await change_instants(session, key)
    return True


async def rotate(database: Database, keystore: KeyStore, clock: Clock, schedule: Schedule = DEFAULT, actor: Actor = SYSTEM) -> KeyPlan:
    """Let the announced keys sign as soon as everybody knows them; the plan as it then is. Nobody who keeps to
    ``Cache-Control`` notices. Asked again before that instant, it changes nothing."""
    await tend(database, keystore, clock, schedule)
    async with database.begin() as session:
        plan, now = await _locked_plan(session), clock.now()
        for alg in ALGORITHMS:
            active, successor = _active(plan, alg, now), next_key(plan, alg, now)
            if active is None or successor is None:
                continue
            at = earliest(schedule, successor, now, now)
            if await _bring_forward(session, schedule, active, successor, at):
                await _audit(session, now, "keys.tokens.rotate", successor, actor, at)
        return await read_plan(session)


async def replace_compromised(
    database: Database, keystore: KeyStore, clock: Clock, actor: Actor = SYSTEM, *, announced_too: bool = False
) -> KeyPlan:
    """Take back every key that signs or signed, at once; the announced one signs from now on.

    With ``announced_too`` that one is taken back as well (whoever has the key-encryption key has both), and keys that nobody has
    seen sign from now on. What the old ones signed is not believed any more, here at once and elsewhere when the JWK Set is
    fetched again.
    """
    made = {alg: await asyncio.to_thread(keystore.generate, algorithm, Purpose.TOKENS) for alg, algorithm in ALGORITHMS.items()}
    async with database.begin() as session:
        plan, now = await _locked_plan(session), clock.now()
        for alg in ALGORITHMS:
            successor = None if announced_too else next_key(plan, alg, now)
            await _take_back(session, plan, alg, successor, now, actor)
            if successor is None:
                successor = await _add(session, alg, made[alg], now, now)
            else:
                await change_instants(session, replace(successor, signs_from=now, signs_until=None, published_until=None))
            await _audit(session, now, "keys.tokens.rotate", successor, actor, now)
        return await read_plan(session)


async def _take_back(session: AsyncSession, plan: KeyPlan, alg: str, spared: SigningKey | None, now: dt.datetime, actor: Actor) -> None:
    for key in plan.keys:
        if key.alg == alg and key.compromised_at is None and (spared is None or key.kid != spared.kid):
            await change_instants(session, replace(key, compromised_at=now))
            await _audit(session, now, "keys.tokens.take_back", key, actor)


async def _locked_plan(session: AsyncSession) -> KeyPlan:
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK, 0))))
    return await read_plan(session)


async def _audit(
    session: AsyncSession, now: dt.datetime, action: str, key: SigningKey, actor: Actor, signs_from: dt.datetime | None = None
) -> None:
    details: dict[str, audit.JSON] = {"alg": key.alg}
    if signs_from is not None:
        details["signs_from"] = signs_from.isoformat(timespec="seconds")
    await audit.record(session, now, audit.Event(action, f"key:{key.kid}", audit.Outcome.DONE, actor, details))
