"""Our side as a log: ask the configured witnesses for their cosignatures, and publish them under our checkpoints."""

import asyncio
import datetime as dt
from dataclasses import dataclass

import httpx2 as httpx
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from keys.base.actor import SYSTEM, Actor
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import InvalidInput
from keys.evidence.audit import Event, Outcome, record, record_alone
from keys.evidence.models import LogCheckpoint, LogCosignature, LogWitness
from keys.evidence.notes import MalformedNote, Note, SignatureLine, VerifierKey, cosignature_time, line_verifies
from keys.evidence.stored import consistency_proof, latest_checkpoint
from keys.evidence.witness import AddCheckpoint

SECONDS = 10.0
MOST_ANSWER = 16_384
FUTURE = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one witness answered. ``problem`` is None where it cosigned; ``alarming``: it says that it saw another history."""

    witness: str
    size: int
    problem: str | None = None
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over HTTP, read to its end."""

    status: int
    content_type: str
    text: str


class AnswerTooLong(Exception):
    """Longer than any answer of a witness."""


async def ask_witness(database: Database, now: dt.datetime, actor: Actor, vkey: VerifierKey, url: str) -> None:
    """Ask this witness (its cosignature key, the prefix before ``/add-checkpoint``) from now on."""
    if not vkey.kind.timed:
        raise InvalidInput("a witness has a cosignature key (0x04)")
    if not url.startswith(("https://", "http://")):
        raise InvalidInput("the witness's address must be http(s)")
    changed = {"vkey": str(vkey), "url": url.rstrip("/")}
    values = {"name": vkey.name, "size": 0, "added_at": now, **changed}
    async with database.begin() as session:
        statement = insert(LogWitness).values(values).on_conflict_do_update(index_elements=[LogWitness.name], set_=changed)
        await session.execute(statement)
        await record(session, now, Event("keys.evidence.witness.ask", f"witness:{vkey.name}", Outcome.DONE, actor, changed))


async def forget_witness(database: Database, now: dt.datetime, actor: Actor, name: str) -> bool:
    """Ask it no longer; its cosignatures stay."""
    async with database.begin() as session:
        gone = await session.scalar(delete(LogWitness).where(LogWitness.name == name).returning(LogWitness.name))
        if gone is not None:
            await record(session, now, Event("keys.evidence.witness.forget", f"witness:{name}", Outcome.DONE, actor))
        return gone is not None


async def configured(session: AsyncSession) -> list[LogWitness]:
    return list(await session.scalars(select(LogWitness).order_by(LogWitness.name)))


async def collect(database: Database, clock: Clock, client: httpx.AsyncClient) -> list[Asked]:
    """Ask every witness that has not cosigned the newest checkpoint; what each answered.

    1. choose the newest checkpoint    2. for each witness: prove that it extends what it cosigned last   3. ask
    4. a witness that knows another size is asked once more from there    5. verify its cosignature and keep it

    A witness that has seen more than we have, or another root, says that our log was cut or has forked: that is audited as
    a failure every time it changes what it says.
    """
    async with database.session() as session:
        checkpoint = await latest_checkpoint(session)
        witnesses = await configured(session)
    if checkpoint is None:
        return []
    answers = []
    for witness in witnesses:
        if witness.size != checkpoint.size or witness.problem is not None:
            answers.append(await _ask(database, clock, client, witness, checkpoint))
    return answers


async def _ask(database: Database, clock: Clock, client: httpx.AsyncClient, witness: LogWitness, checkpoint: LogCheckpoint) -> Asked:
    asked = await _exchange(database, clock, client, witness, checkpoint, witness.size, again=True)
    if asked.problem is not None:
        await _note_problem(database, clock.now(), witness, asked)
    return asked


async def _exchange(
    database: Database, clock: Clock, client: httpx.AsyncClient, witness: LogWitness, checkpoint: LogCheckpoint, old: int, *, again: bool
) -> Asked:
    """One ``add-checkpoint``; a second one from the size the witness names, if that is one of ours."""
    async with database.session() as session:
        proof = await consistency_proof(session, old, checkpoint.size) if old < checkpoint.size else []
    request = AddCheckpoint(old, tuple(proof), Note.parse(checkpoint.note))
    try:
        answer = await _post(client, f"{witness.url}/add-checkpoint", request.encode().encode())
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, AnswerTooLong) as error:
        return Asked(witness.name, checkpoint.size, f"no answer: {type(error).__name__}")
    if answer.status == 200:
        return await _accept(database, clock.now(), witness, checkpoint, answer.text)
    known = _known_size(answer)
    if known is None:
        return Asked(witness.name, checkpoint.size, f"answered {answer.status}", alarming=answer.status == 422)
    if known > checkpoint.size:
        return Asked(witness.name, checkpoint.size, f"cosigned size {known}, which is more than this log holds", alarming=True)
    if known == old:
        return Asked(witness.name, checkpoint.size, f"cosigned another root of size {known}", alarming=True)
    if not again:
        return Asked(witness.name, checkpoint.size, "changes the size it says it cosigned")
    return await _exchange(database, clock, client, witness, checkpoint, known, again=False)


async def _post(client: httpx.AsyncClient, url: str, body: bytes) -> Answer:
    """The answer as a whole within ``SECONDS``: one that sends an octet now and then keeps within the limit of each read for ever."""
    octets = bytearray()
    headers = {"Accept-Encoding": "identity"}
    async with asyncio.timeout(SECONDS), client.stream("POST", url, content=body, headers=headers, timeout=SECONDS) as response:
        async for part in response.aiter_raw():
            octets += part
            if len(octets) > MOST_ANSWER:
                raise AnswerTooLong
        return Answer(response.status_code, response.headers.get("content-type", ""), octets.decode(errors="replace"))


def _known_size(answer: Answer) -> int | None:
    """The size in a 409 of ``text/x.tlog.size``."""
    text = answer.text.strip()
    typed = answer.content_type.partition(";")[0] == "text/x.tlog.size"
    return int(text) if answer.status == 409 and typed and text.isascii() and text.isdigit() and len(text) < 18 else None


async def _accept(database: Database, now: dt.datetime, witness: LogWitness, checkpoint: LogCheckpoint, answer: str) -> Asked:
    """Keep the cosignature of the key we expect; all others are ignored (tlog-witness)."""
    line = cosignature_in(answer, VerifierKey.parse(witness.vkey), Note.parse(checkpoint.note).text, now)
    if line is None:
        return Asked(witness.name, checkpoint.size, "its cosignature does not verify")
    async with database.begin() as session:
        values = {"size": checkpoint.size, "witness": witness.name, "line": line, "created_at": now}
        await session.execute(insert(LogCosignature).values(values).on_conflict_do_nothing())
        moved = {"size": func.greatest(LogWitness.size, checkpoint.size), "answered_at": now, "problem": None}
        await session.execute(update(LogWitness).where(LogWitness.name == witness.name).values(moved))
        if witness.problem is not None:
            await record(session, now, Event("keys.evidence.witness.answer", f"witness:{witness.name}", Outcome.DONE, SYSTEM))
    return Asked(witness.name, checkpoint.size)


def cosignature_in(answer: str, key: VerifierKey, text: str, now: dt.datetime) -> str | None:
    """The signature line of ``key`` among a witness's answer, if it verifies over the checkpoint ``text`` and is of now."""
    for raw in answer.removesuffix("\n").split("\n"):
        try:
            line = SignatureLine.parse(raw)
            if line_verifies(key, text, line) and cosignature_time(line) <= now + FUTURE:
                return str(line)
        except MalformedNote:
            continue
    return None


async def _note_problem(database: Database, now: dt.datetime, witness: LogWitness, asked: Asked) -> None:
    """An event where what the witness says has changed, not one every turn."""
    async with database.begin() as session:
        await session.execute(update(LogWitness).where(LogWitness.name == witness.name).values(problem=asked.problem))
    if asked.problem != witness.problem:
        code = "WITNESS_SAW_ANOTHER_LOG" if asked.alarming else "WITNESS_DID_NOT_COSIGN"
        details = {"size": asked.size, "problem": asked.problem}
        event = Event("keys.evidence.witness.answer", f"witness:{witness.name}", Outcome.FAILED, SYSTEM, details, code=code)
        await record_alone(database, now, event)


async def with_cosignatures(session: AsyncSession, checkpoint: LogCheckpoint) -> str:
    """The checkpoint's note with every cosignature kept for it."""
    statement = select(LogCosignature.line).where(LogCosignature.size == checkpoint.size).order_by(LogCosignature.witness)
    return checkpoint.note + "".join(await session.scalars(statement))


async def latest_cosigned(session: AsyncSession) -> str | None:
    """The newest checkpoint that any witness cosigned, with its cosignatures."""
    size = await session.scalar(select(func.max(LogCosignature.size)))
    checkpoint = None if size is None else await session.get(LogCheckpoint, size)
    return None if checkpoint is None else await with_cosignatures(session, checkpoint)
