"""Revocation data of others, fetched from the addresses on the trust list and from nowhere else.

:func:`refresh` (in the background, every minute)
  1. gather the addresses of what is trusted, and of certificates that others issued for us
  2. of those due, fetch each: http or https, no redirect, no proxy, at most 16 MB and 10 seconds
  3. believe it only if it verifies (:mod:`keys.trust.lists`) and is not older than the one kept
  4. keep it, or the reason why not; the old one stays until it ends

  5. where an authority on the list has a responder and no list that can be used, ask it about our certificates under it
     (:mod:`keys.trust.answers`)

A list that ended is no evidence: verdicts that need it are INDETERMINATE. A failing address is tried again after a minute.
"""

import asyncio
import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.streams import gathered
from keys.base.tls import web_trust
from keys.trust.certificates import Certificate, read_certificate
from keys.trust.lifecycle import Status
from keys.trust.lists import ReadList, read_list
from keys.trust.models import CertificateRequestRow, ExternalCrlRow
from keys.trust.ocsp import OcspAnswer, RevocationAnswerRefused, ocsp_request, read_answer
from keys.trust.reads import list_entries

MAX_ANSWER = 16 << 20
SECONDS = 10.0
RETRY = dt.timedelta(minutes=1)
REFRESH = dt.timedelta(hours=6)
_NONCE_OCTETS = 16  # RFC 8954 §2.1: 1 to 32 octets


class RevocationSourceUnreachable(RevocationAnswerRefused):
    """The address does not answer, or not as it should."""

    code = "REVOCATION_SOURCE_UNREACHABLE"
    public = ("无法获取对方的吊销信息。", "The other side's revocation data cannot be fetched.")


@dataclass(frozen=True, slots=True)
class Source:
    """An address, and who may have signed what is there."""

    url: str
    issuers: tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many lists and answers were kept, and the addresses (or certificates) that failed with the codes why."""

    kept: int
    failed: Mapping[str, str]


async def fetch(url: str, body: bytes | None = None, content_type: str = "") -> bytes:
    """The octets at the address; with ``body``, the answer to a POST. Raises :class:`RevocationSourceUnreachable`."""
    if not url.lower().startswith(("http://", "https://")):
        raise RevocationSourceUnreachable("not an http address")
    headers = {"Accept-Encoding": "identity", **({"Content-Type": content_type} if content_type else {})}
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx2.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False, verify=web_trust()) as client,
            client.stream("POST" if body is not None else "GET", url, content=body, headers=headers) as answer,
        ):
            if answer.status_code != httpx2.codes.OK:
                raise RevocationSourceUnreachable(f"answers {answer.status_code}")
            return await gathered(answer.aiter_raw(), MAX_ANSWER, RevocationSourceUnreachable("larger than 16 MB"))
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
        raise RevocationSourceUnreachable(type(error).__name__) from error


async def ask_ocsp(clock: Clock, url: str, certificate: bytes, issuer: bytes) -> OcspAnswer:
    """The status of a certificate (DER) by its issuer's (DER) responder, verified. Raises :class:`RevocationAnswerRefused`."""
    subject, above, nonce = read_certificate(certificate), read_certificate(issuer), secrets.token_bytes(_NONCE_OCTETS)
    encoded = await fetch(url, ocsp_request(subject, above, nonce), "application/ocsp-request")
    return read_answer(encoded, subject, above, nonce, clock.now())


async def refresh(database: Database, clock: Clock) -> Refreshed:
    """See the module's steps. Safe to run in several processes: a list is only ever replaced by a newer one."""
    async with database.session() as session:
        due = [source for source in await sources(session) if await _is_due(session, source.url, clock.now())]
    failed: dict[str, str] = {}
    for source in due:
        try:
            await _renew(database, clock, source)
        except RevocationAnswerRefused as error:
            failed[source.url] = error.code
            await _note_failure(database, clock.now(), source, error.code)
    return Refreshed(len(due) - len(failed), failed)


async def sources(session: AsyncSession) -> tuple[Source, ...]:
    """Every address that may be asked for a list: of what is trusted now, and of what others certified for us."""
    found: dict[str, tuple[bytes, ...]] = {}
    for entry in await list_entries(session, Status.ACTIVE):
        for url in entry.crl_urls:
            found[url] = (*found.get(url, ()), entry.certificate, *entry.subordinates)
    for row in await session.scalars(select(CertificateRequestRow).where(CertificateRequestRow.certificate.is_not(None))):
        chain = (row.certificate or b"", *map(bytes.fromhex, row.chain))
        for one in chain:
            for url in read_certificate(one).crl_urls:
                found[url] = (*found.get(url, ()), *chain[1:])
    return tuple(Source(url, tuple(map(read_certificate, dict.fromkeys(issuers)))) for url, issuers in sorted(found.items()))


async def _is_due(session: AsyncSession, url: str, now: dt.datetime) -> bool:
    row = await session.get(ExternalCrlRow, url)
    return row is None or now >= next_attempt(row.tried_at, row.fetched_at, row.next_update, row.failure is not None)


def next_attempt(tried_at: dt.datetime, fetched_at: dt.datetime | None, next_update: dt.datetime | None, failed: bool) -> dt.datetime:
    """After a failure a minute later; else half-way to its end, at most six hours on: well before nextUpdate."""
    if failed or fetched_at is None or next_update is None:
        return tried_at + RETRY
    return fetched_at + max(RETRY, min(REFRESH, (next_update - fetched_at) / 2))


async def _renew(database: Database, clock: Clock, source: Source) -> None:
    now = clock.now()
    found = read_list(await fetch(source.url), source.issuers, now)
    if not await _keep(database, now, source.url, found):
        raise RevocationAnswerRefused("older than the list kept")


async def _keep(database: Database, now: dt.datetime, url: str, found: ReadList) -> bool:
    """Whether it was kept: a list never gives way to an older one of the same issuer (somebody replays it)."""
    values = {
        "url": url,
        "issuer": found.issuer,
        "this_update": found.this_update,
        "next_update": found.next_update,
        "crl": found.encoded,
        "fetched_at": now,
        "tried_at": now,
        "failure": None,
    }
    new = insert(ExternalCrlRow).values(values)
    newer = ExternalCrlRow.this_update.is_(None) | (ExternalCrlRow.this_update <= new.excluded.this_update)
    another = ExternalCrlRow.issuer != new.excluded.issuer
    kept = new.on_conflict_do_update(index_elements=[ExternalCrlRow.url], set_=values, where=newer | another)
    async with database.begin() as session:
        return await session.scalar(kept.returning(ExternalCrlRow.url)) is not None


async def _note_failure(database: Database, now: dt.datetime, source: Source, code: str) -> None:
    values = {"url": source.url, "issuer": b"", "crl": b"", "tried_at": now, "failure": code}
    new = insert(ExternalCrlRow).values(values)
    noted = new.on_conflict_do_update(index_elements=[ExternalCrlRow.url], set_={"tried_at": now, "failure": code})
    async with database.begin() as session:
        await session.execute(noted)
