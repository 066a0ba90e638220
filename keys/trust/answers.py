"""OCSP answers of others about certificates of ours, kept where their authority has no revocation list that can be used.

:func:`refresh_answers` (in the background, after the lists)
  1. gather the links of every chain that somebody else issued for a key of ours: certificate and issuer
  2. leave out issuers of which a current list is kept, and those for which no trusted entry names a responder
  3. of those due, at most :data:`MOST` at a time, ask the entry's responders in turn; believe what verifies (:mod:`keys.trust.ocsp`)
  4. keep the answer until its nextUpdate, or the reason why there is none; the old one stays until it ends

An answer never gives way to an older one. One without nextUpdate can prove a revocation, never that there is none.
"""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.trust.certificates import fingerprint
from keys.trust.connectors import Refreshed, ask_ocsp, next_attempt, refresh
from keys.trust.lifecycle import Status
from keys.trust.models import CertificateRequestRow, ExternalAnswerRow
from keys.trust.ocsp import OLDEST_WITHOUT_END, OcspAnswer, OcspStatus, RevocationAnswerRefused
from keys.trust.reads import Entry, list_entries, without_list

MOST = 64


@dataclass(frozen=True, slots=True)
class Question:
    """A certificate and its issuer, DER, and where to ask."""

    subject: bytes
    issuer: bytes
    urls: tuple[str, ...]


async def refresh_all(database: Database, clock: Clock) -> Refreshed:
    """The lists of others, then the answers where there is no list."""
    lists = await refresh(database, clock)
    kept, failed = await refresh_answers(database, clock)
    return Refreshed(lists.kept + kept, {**lists.failed, **failed})


async def refresh_answers(database: Database, clock: Clock) -> tuple[int, dict[str, str]]:
    """See the module's steps. How many answers were kept, and the certificates (SHA-256) of which nothing was learnt with the codes why."""
    async with database.session() as session:
        now = clock.now()
        due = [one for one in await questions(session, now) if await _is_due(session, one.subject, now)][:MOST]
    failed: dict[str, str] = {}
    for question in due:
        try:
            await _keep(database, clock.now(), question, await _ask(clock, question))
        except RevocationAnswerRefused as error:
            failed[fingerprint(question.subject).hex()] = error.code
            await _note_failure(database, clock.now(), question, error.code)
    return len(due) - len(failed), failed


async def questions(session: AsyncSession, now: dt.datetime) -> tuple[Question, ...]:
    """What has to be asked, each certificate once."""
    rows = await session.scalars(select(CertificateRequestRow).where(CertificateRequestRow.certificate.is_not(None)))
    chains = [(row.certificate or b"", *map(bytes.fromhex, row.chain)) for row in rows]
    links = {subject: issuer for chain in chains for subject, issuer in itertools.pairwise(chain)}
    unlisted = set(await without_list(session, list(dict.fromkeys(links.values())), now))
    entries = await list_entries(session, Status.ACTIVE)
    asked = (Question(subject, issuer, _responders(entries, issuer)) for subject, issuer in links.items() if issuer in unlisted)
    return tuple(one for one in asked if one.urls)


def _responders(entries: Sequence[Entry], issuer: bytes) -> tuple[str, ...]:
    """Of the entries whose authority, or an authority below it, issued the certificate."""
    named = (url for entry in entries if issuer in (entry.certificate, *entry.subordinates) for url in entry.ocsp_urls)
    return tuple(dict.fromkeys(named))


async def _is_due(session: AsyncSession, subject: bytes, now: dt.datetime) -> bool:
    row = await session.get(ExternalAnswerRow, fingerprint(subject))
    return row is None or now >= next_attempt(row.tried_at, row.fetched_at, row.until, row.failure is not None)


async def _ask(clock: Clock, question: Question) -> OcspAnswer:
    """The first answer that can be believed and tells something. Raises the refusal of the last responder."""
    refusal = RevocationAnswerRefused("no responder")
    for url in question.urls:
        try:
            answer = await ask_ocsp(clock, url, question.subject, question.issuer)
        except RevocationAnswerRefused as error:
            refusal = error
        else:
            if answer.status is not OcspStatus.UNKNOWN:
                return answer
            refusal = RevocationAnswerRefused("the responder does not know the certificate")
    raise refusal


async def _keep(database: Database, now: dt.datetime, question: Question, answer: OcspAnswer) -> None:
    values = {
        "subject": fingerprint(question.subject),
        "issuer": fingerprint(question.issuer),
        "this_update": answer.this_update,
        "until": answer.next_update or answer.this_update + OLDEST_WITHOUT_END,
        "answer": answer.encoded,
        "fetched_at": now,
        "tried_at": now,
        "failure": None,
    }
    new = insert(ExternalAnswerRow).values(values)
    newer = ExternalAnswerRow.this_update.is_(None) | (ExternalAnswerRow.this_update <= new.excluded.this_update)
    kept = new.on_conflict_do_update(index_elements=[ExternalAnswerRow.subject], set_=values, where=newer)
    async with database.begin() as session:
        if await session.scalar(kept.returning(ExternalAnswerRow.subject)) is None:
            raise RevocationAnswerRefused("older than the answer kept")


async def _note_failure(database: Database, now: dt.datetime, question: Question, code: str) -> None:
    noted = {"tried_at": now, "failure": code}
    values = {"subject": fingerprint(question.subject), "issuer": fingerprint(question.issuer), "answer": b"", **noted}
    new = insert(ExternalAnswerRow).values(values)
    async with database.begin() as session:
        await session.execute(new.on_conflict_do_update(index_elements=[ExternalAnswerRow.subject], set_=noted))
