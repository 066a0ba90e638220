"""The status lists as they are served: signed when something changed, and often enough to stay good.

1. the list was looked at a moment ago: it stands
2. gather what is not valid, pack and compress it                        0.1 s for two million entries
3. the last signature speaks of the same entries and is young: it stands
4. else sign again, both forms, one process at a time
"""

import datetime as dt
import hashlib
from dataclasses import dataclass

import orjson
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from certs.code_keys import CodeKey, signing_key
from certs.code_models import StatusEntryRow, StatusTokenRow
from certs.lifecycle import Status
from certs.models import CertificateRow
from certs.offline_signing import FILL
from certs.token_status import JWT_TYPE, VALIDITY, TokenStatus, compress, jwt_claims, pack, sign_cwt, token_status
from keys.base.clock import Clock
from keys.base.db import AsyncSession, Database
from keys.base.errors import NotFound
from keys.custody.store import KeyStore, Purpose
from keys.jwks import read_plan, sign_jws

CALM = dt.timedelta(seconds=10)
REFRESH = dt.timedelta(hours=6)


class StatusListNotFound(NotFound):
    """No certificate was ever given a place in such a list."""

    code = "STATUS_LIST_NOT_FOUND"
    public = ("没有这个状态列表。", "There is no such status list.")


@dataclass(frozen=True, slots=True)
class PublishedList:
    """A list as it is served; ``content`` is the SHA-256 of its entries."""

    list: int
    built_at: dt.datetime
    expires_at: dt.datetime
    content: bytes
    jwt: bytes
    cwt: bytes


class StatusLists:
    """The lists of one process: each is looked at again after :data:`CALM`. Two that look at once do the same work and agree."""

    def __init__(self, database: Database, keystore: KeyStore, clock: Clock, base_url: str) -> None:
        self._database, self._keystore, self._clock, self._base_url = database, keystore, clock, base_url
        self._looked: dict[int, tuple[dt.datetime, PublishedList]] = {}

    async def current(self, number: int) -> PublishedList:
        """The list as of now. Raises :class:`StatusListNotFound`."""
        known = self._looked.get(number)
        now = self._clock.now()
        if known is not None and dt.timedelta(0) <= now - known[0] < CALM:
            return known[1]
        async with self._database.begin() as session:
            if number not in range(1, await last_list(session) + 1):
                raise StatusListNotFound(str(number)[:20])
            published = await publish(session, self._keystore, now, self._base_url, number)
        self._looked[number] = now, published
        return published

    async def numbers(self) -> range:
        """The numbers of the lists there are."""
        async with self._database.session() as session:
            return range(1, await last_list(session) + 1)


def list_address(base_url: str, number: int) -> str:
    return f"{base_url}/status-lists/{number}"


async def last_list(session: AsyncSession) -> int:
    """The list that is being filled; 0 while no certificate was given a place."""
    last, called = (await session.execute(text("SELECT last_value, is_called FROM certs.status_ordinals"))).one()
    return (last - 1) // FILL + 1 if called else 0


async def publish(session: AsyncSession, keystore: KeyStore, now: dt.datetime, base_url: str, number: int) -> PublishedList:
    """The list with this number, signed anew where its entries changed or its signature is old."""
    octets = pack(await entries(session, number))
    content = hashlib.sha256(octets).digest()
    if (standing := await _standing(session, number, content, now)) is not None:
        return standing
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"certs.status_list.{number}", 0))))
    if (standing := await _standing(session, number, content, now)) is not None:
        return standing
    signer = await signing_key(session, keystore, now)
    compressed, uri = compress(octets), list_address(base_url, number)
    cwt = sign_cwt(uri, now, compressed, signer.algorithm, signer.kid, lambda message: _sign(keystore, signer, message))
    plan = await read_plan(session)
    claims = orjson.dumps(jwt_claims(uri, base_url, now, compressed))
    jwt = sign_jws(keystore, plan.signing("ES256", now), {"typ": JWT_TYPE}, claims).encode()
    published = PublishedList(number, now, now + VALIDITY, content, jwt, cwt)
    await _keep(session, published)
    return published


async def entries(session: AsyncSession, number: int) -> list[tuple[int, TokenStatus]]:
    """Every entry of the list that is not plainly valid. A certificate given up while being issued is invalid; nobody has it."""
    statement = (
        select(StatusEntryRow.index, CertificateRow.status)
        .join(CertificateRow, CertificateRow.id == StatusEntryRow.certificate_id)
        .where(StatusEntryRow.list == number, CertificateRow.status != Status.VALID.value)
    )
    return [(index, token_status(Status(status))) for index, status in await session.execute(statement)]


def _sign(keystore: KeyStore, signer: CodeKey, message: bytes) -> bytes:
    return keystore.sign(signer.key, message, Purpose.CODES)


async def _standing(session: AsyncSession, number: int, content: bytes, now: dt.datetime) -> PublishedList | None:
    row = await session.get(StatusTokenRow, number, populate_existing=True)
    if row is None or row.content != content or not dt.timedelta(0) <= now - row.built_at < REFRESH:
        return None
    return PublishedList(row.list, row.built_at, row.expires_at, row.content, row.jwt, row.cwt)


async def _keep(session: AsyncSession, one: PublishedList) -> None:
    values = {"built_at": one.built_at, "expires_at": one.expires_at, "content": one.content, "jwt": one.jwt, "cwt": one.cwt}
    statement = insert(StatusTokenRow).values(list=one.list, **values)
    await session.execute(statement.on_conflict_do_update(index_elements=[StatusTokenRow.list], set_=values))
