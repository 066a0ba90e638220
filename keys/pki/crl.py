"""Revocation lists as they are published: one full list for each authority, partitions beside it where it has many certificates.

A list is remade when it is a day old or when one of its entries changed since. Entries are never dropped when their
certificate ends: a signature made before the revocation is judged long after.
"""

import datetime as dt
from collections.abc import Collection, Mapping

from sqlalchemy import LargeBinary, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on, insert

from keys.base.db import AsyncSession
from keys.custody.store import KeyStore, Purpose
from keys.models import AuthorityRow, CrlRow
from keys.pki.certificate import assemble
from keys.pki.crl_format import Crl, to_be_signed
from keys.pki.errors import AuthorityUnknown
from keys.pki.partitions import FULL, partitions_of
from keys.pki.reads import get_authority
from keys.pki.status_models import CrlEntryRow, CrlPartitionRow

CRL_VALIDITY = dt.timedelta(days=120)
CRL_REFRESH = dt.timedelta(days=1)


async def current_crl(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str) -> bytes:
    """The authority's full revocation list, DER, at most a day old and holding every revocation; ``AuthorityUnknown``.

    The session must be one that commits: the list may be made here.
    """
    return (await current_crls(session, keystore, now, [name]))[name]


async def current_crls(session: AsyncSession, keystore: KeyStore, now: dt.datetime, names: Collection[str]) -> Mapping[str, bytes]:
    """The current full list of each named authority, as :func:`current_crl` gives one."""
    lists = await _published(session, names, now)
    # in one order whoever asks, because making a list locks its authority
    for name in sorted(set(names) - set(lists)):
        lists[name] = await _remake(session, keystore, now, name)
    return lists


async def current_partition(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str, partition: int) -> bytes:
    """A partition's current list, DER; ``AuthorityUnknown`` where the authority has no such partition."""
    if partition not in partitions_of(name):
        raise AuthorityUnknown(f"authority {name[:40]!r} has no partition {partition}")
    if published := await _published_partition(session, name, partition, now):
        return published
    return await _remake_partition(session, keystore, now, name, partition)


async def _published(session: AsyncSession, names: Collection[str], now: dt.datetime) -> dict[str, bytes]:
    """The newest full list of each, unless it is older than a day or lacks a change."""
    newest = select(CrlRow.authority, CrlRow.crl).join(AuthorityRow, AuthorityRow.name == CrlRow.authority)
    newest = newest.where(CrlRow.authority.in_(names), CrlRow.partition == FULL, CrlRow.revocations == AuthorityRow.revocations)
    newest = newest.where(CrlRow.this_update > now - CRL_REFRESH, CrlRow.this_update <= now)
    rows = await session.execute(newest.ext(distinct_on(CrlRow.authority)).order_by(CrlRow.authority, CrlRow.number.desc()))
    return {row.authority: row.crl for row in rows}


async def _published_partition(session: AsyncSession, name: str, partition: int, now: dt.datetime) -> bytes | None:
    changes = select(CrlPartitionRow.changes).where(CrlPartitionRow.authority == name, CrlPartitionRow.partition == partition)
    newest = select(CrlRow.crl).where(CrlRow.authority == name, CrlRow.partition == partition)
    newest = newest.where(CrlRow.revocations == func.coalesce(changes.scalar_subquery(), 0))
    newest = newest.where(CrlRow.this_update > now - CRL_REFRESH, CrlRow.this_update <= now)
    return await session.scalar(newest.order_by(CrlRow.number.desc()).limit(1))


async def _remake(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str) -> bytes:
    """Lock the authority → look again → make."""
    locked = select(AuthorityRow.revocations).where(AuthorityRow.name == name).with_for_update()
    revocations = await session.scalar(locked)
    if revocations is None:
        raise AuthorityUnknown(f"no authority {name[:40]!r}")
    if published := await _published(session, [name], now):
        return published[name]
    return await _make(session, keystore, now, name, FULL, revocations)


async def _remake_partition(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str, partition: int) -> bytes:
    """Lock the partition → look again → make."""
    await get_authority(session, name)
    await session.execute(insert(CrlPartitionRow).values(authority=name, partition=partition, changes=0).on_conflict_do_nothing())
    locked = select(CrlPartitionRow.changes).where(CrlPartitionRow.authority == name, CrlPartitionRow.partition == partition)
    changes = await session.scalar(locked.with_for_update())
    if published := await _published_partition(session, name, partition, now):
        return published
    return await _make(session, keystore, now, name, partition, changes or 0)


async def _make(session: AsyncSession, keystore: KeyStore, now: dt.datetime, name: str, partition: int, changes: int) -> bytes:
    """Number → collect → sign → keep, under the lock of the list."""
    authority = await get_authority(session, name)
    of_list = (CrlRow.authority == name, CrlRow.partition == partition)
    number = (await session.scalar(select(func.max(CrlRow.number)).where(*of_list)) or 0) + 1
    begin = await session.scalar(select(AuthorityRow.created_at).where(AuthorityRow.name == name)) or now
    this_update = now.replace(microsecond=0)
    next_update = this_update + CRL_VALIDITY
    facts = Crl(authority.issuer, partition, number, this_update, next_update, begin, await _entries(session, name, partition))
    body = to_be_signed(facts)
    signed = assemble(body, authority.key.algorithm, keystore.sign(authority.key, body, Purpose.AUTHORITY))
    made = CrlRow(
        authority=name,
        partition=partition,
        number=number,
        this_update=this_update,
        next_update=next_update,
        revocations=changes,
        crl=signed,
    )
    session.add(made)
    await session.flush([made])
    return signed


async def _entries(session: AsyncSession, name: str, partition: int) -> bytes:
    """The entries strung together by the database, oldest first: 100,000 of them are one value, not 100,000 rows."""
    nothing_between = aggregate_order_by(literal(b"", LargeBinary), CrlEntryRow.revoked_at, CrlEntryRow.serial)
    strung = func.string_agg(CrlEntryRow.entry, nothing_between, type_=LargeBinary)
    chosen = select(strung).where(CrlEntryRow.authority == name)
    if partition != FULL:
        chosen = chosen.where(CrlEntryRow.partition == partition)
    return await session.scalar(chosen) or b""
