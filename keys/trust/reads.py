"""Named selects of the trust list, as frozen values."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from keys.base.db import AsyncSession
from keys.trust.certificates import fingerprint, read_certificate
from keys.trust.entries import JSON, Scope, Since, TrustedAuthority, Use
from keys.trust.errors import TrustEntryUnknown
from keys.trust.lifecycle import Status
from keys.trust.models import CertificateRequestRow, ExternalAnswerRow, ExternalCrlRow, TrustChangeRow, TrustEntryRow


@dataclass(frozen=True, slots=True)
class Change:
    """One move of an entry, by whom and why."""

    move: str
    old: str | None
    new: str
    at: dt.datetime
    actor_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as people see it; ``changes`` oldest first."""

    id: uuid.UUID
    fingerprint: bytes
    certificate: bytes
    subordinates: tuple[bytes, ...]
    subject: str
    uses: frozenset[Use]
    scope: Scope
    valid_from: dt.datetime
    valid_to: dt.datetime
    crl_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    legal_effect: bool
    source: str
    status: Status
    status_since: dt.datetime
    changes: tuple[Change, ...] = ()

    def to_json(self) -> JSON:
        """For people and interfaces; the certificate by its fingerprint."""
        certificate = read_certificate(self.certificate)
        return {
            "id": str(self.id),
            "subject": self.subject,
            "sha256": self.fingerprint.hex(),
            "not_after": certificate.not_after.isoformat(),
            "uses": sorted(self.uses),
            "scope": self.scope.to_json(),
            "valid_from": self.valid_from.isoformat(),
            "valid_to": self.valid_to.isoformat(),
            "revocation": {"crl": list(self.crl_urls), "ocsp": list(self.ocsp_urls)},
            "legal_effect": self.legal_effect,
            "source": self.source,
            "status": self.status,
            "since": self.status_since.isoformat(),
            "history": [
                {"move": one.move, "to": one.new, "at": one.at.isoformat(), "by": one.actor_id, "reason": one.reason}
                for one in self.changes
            ],
        }

    def authority(self) -> TrustedAuthority:
        """What a verifier takes from it."""
        return TrustedAuthority(
            certificate=self.certificate,
            uses=self.uses,
            scope=self.scope,
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            history=tuple(Since(Status(one.new), one.at) for one in self.changes),
            subordinates=self.subordinates,
            crl_urls=self.crl_urls,
            ocsp_urls=self.ocsp_urls,
            legal_effect=self.legal_effect,
        )


async def get_entry(session: AsyncSession, entry_id: uuid.UUID) -> Entry:
    """The entry with its history; ``TrustEntryUnknown``."""
    row = await session.get(TrustEntryRow, entry_id, populate_existing=True)
    if row is None:
        raise TrustEntryUnknown(str(entry_id))
    return entry_view(row, (await _changes(session, [row.id])).get(row.id, ()))


async def list_entries(session: AsyncSession, status: Status | None = None) -> list[Entry]:
    """Every entry, oldest first; of one status where it is given."""
    query = select(TrustEntryRow).order_by(TrustEntryRow.created_at, TrustEntryRow.id)
    rows = list(await session.scalars(query if status is None else query.where(TrustEntryRow.status == status)))
    changes = await _changes(session, [row.id for row in rows])
    return [entry_view(row, changes.get(row.id, ())) for row in rows]


async def trusted_authorities(session: AsyncSession) -> tuple[TrustedAuthority, ...]:
    """Every authority that was ever trusted, with its history: what was withdrawn is still judged, and named, by it."""
    entries = await list_entries(session)
    return tuple(entry.authority() for entry in entries if any(one.new == Status.ACTIVE for one in entry.changes))


async def external_crls(session: AsyncSession) -> tuple[bytes, ...]:
    """The revocation lists of others that we keep, each verified before it was kept."""
    return tuple(await session.scalars(select(ExternalCrlRow.crl).where(ExternalCrlRow.crl != b"").order_by(ExternalCrlRow.url)))


async def external_answers(session: AsyncSession) -> tuple[bytes, ...]:
    """The OCSP answers of others that we keep, each verified before it was kept; one that has ended still says what it revoked."""
    return tuple(await session.scalars(select(ExternalAnswerRow.answer).where(ExternalAnswerRow.answer != b"")))


async def external_lists_of(session: AsyncSession, issuers: Sequence[bytes], now: dt.datetime) -> tuple[bytes, ...]:
    """The lists kept that one of these authorities (DER) issued and that are current at ``now``."""
    return tuple(one for _, one in await _current_lists(session, issuers, now))


async def without_list(session: AsyncSession, issuers: Sequence[bytes], now: dt.datetime) -> tuple[bytes, ...]:
    """Those of these authorities (DER) of which no list is at hand that is current at ``now``."""
    listed = {issuer for issuer, _ in await _current_lists(session, issuers, now)}
    return tuple(one for one in issuers if fingerprint(one) not in listed)


async def _current_lists(session: AsyncSession, issuers: Sequence[bytes], now: dt.datetime) -> Sequence[tuple[bytes, bytes]]:
    kept = ExternalCrlRow
    query = select(kept.issuer, kept.crl).where(kept.issuer.in_([fingerprint(one) for one in issuers]), kept.crl != b"")
    rows = await session.execute(query.where(kept.next_update >= now).order_by(kept.url))
    return [(issuer, crl) for issuer, crl in rows]


async def external_chain_of(session: AsyncSession, certificate: bytes) -> tuple[bytes, ...] | None:
    """The chain above a certificate that somebody else issued for a key of ours, their root last; None where we have no such one."""
    row = await session.scalar(select(CertificateRequestRow).where(CertificateRequestRow.certificate == certificate))
    return tuple(bytes.fromhex(one) for one in row.chain) if row else None


async def _changes(session: AsyncSession, entries: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, tuple[Change, ...]]:
    rows = await session.scalars(select(TrustChangeRow).where(TrustChangeRow.entry_id.in_(entries)).order_by(TrustChangeRow.id))
    found: dict[uuid.UUID, tuple[Change, ...]] = {}
    for row in rows:
        change = Change(row.move, row.old, row.new, row.at, row.actor_id, row.reason)
        found[row.entry_id] = (*found.get(row.entry_id, ()), change)
    return found


def entry_view(row: TrustEntryRow, changes: Sequence[Change]) -> Entry:
    return Entry(
        id=row.id,
        fingerprint=row.fingerprint,
        certificate=row.certificate,
        subordinates=tuple(bytes.fromhex(one) for one in row.subordinates),
        subject=row.subject,
        uses=frozenset(map(Use, row.uses)),
        scope=Scope.from_json(row.scope),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        crl_urls=tuple(row.crl_urls),
        ocsp_urls=tuple(row.ocsp_urls),
        legal_effect=row.legal_effect,
        source=row.source,
        status=Status(row.status),
        status_since=row.status_since,
        changes=tuple(changes),
    )
