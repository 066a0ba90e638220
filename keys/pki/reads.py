"""Named selects of the PKI, as frozen values."""

import datetime as dt
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from asn1crypto import x509
from sqlalchemy import select

from keys.base.db import AsyncSession
from keys.custody.reads import as_stored
from keys.custody.store import StoredKey
from keys.models import AuthorityRow, CertificateRow, StoredKeyRow
from keys.pki.certificate import REGISTER_OF_LEGAL_PERSONS, Issuer, Subject
from keys.pki.errors import AuthorityUnknown, CertificateUnknown
from keys.pki.status_lifecycle import Standing
from keys.pki.status_models import CertificateStatusChangeRow


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its certificate (DER), its key and what it writes into what it signs.

    ``external_chain``: what others issued above it, their root last; empty where its parent is ours or it is a root.
    """

    name: str
    parent: str
    profile: str
    certificate: bytes
    key: StoredKey
    issuer: Issuer
    external_chain: tuple[bytes, ...] = ()

    @property
    def is_root(self) -> bool:
        """Nobody of ours stands above it."""
        return self.parent == self.name


@dataclass(frozen=True, slots=True)
class CertificateEnds:
    """What chains are built from. ``authority_key_identifier`` is None where the certificate names none."""

    serial: int
    subject: bytes
    authority_key_identifier: bytes | None
    not_after: dt.datetime


class CertificateStatus(StrEnum):
    GOOD = "good"
    ON_HOLD = "on_hold"
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A certificate's status at an instant; ``revoked_at`` and ``reason`` only where it was revoked or on hold then."""

    status: CertificateStatus
    revoked_at: dt.datetime | None = None
    reason: str | None = None


def serial_text(serial: int) -> str:
    """A serial number as the database holds it: hexadecimal, at least 32 digits."""
    return f"{serial:032x}"


@functools.lru_cache(maxsize=512)
def certificate_ends(certificate: bytes) -> CertificateEnds:
    """Reads what a chain needs from a certificate, DER. Raises ``CertificateUnknown`` when it cannot be read."""
    try:
        tbs = x509.Certificate.load(certificate, strict=True)["tbs_certificate"]
        identifier = x509.Certificate.load(certificate).authority_key_identifier
        not_after: dt.datetime = tbs["validity"]["not_after"].native
        return CertificateEnds(tbs["serial_number"].native, tbs["subject"].dump(), identifier, not_after)
    except (ValueError, TypeError, KeyError) as error:
        raise CertificateUnknown("these octets are no certificate") from error


async def get_authorities(session: AsyncSession) -> Mapping[str, Authority]:
    """Every authority by its name, in one select: there are a handful."""
    signed = select(AuthorityRow, StoredKeyRow).join(StoredKeyRow, StoredKeyRow.id == AuthorityRow.key_id)
    rows = await session.execute(signed.where(AuthorityRow.certificate != b""))  # one that is being established has none yet
    return {row.name: _authority(row, as_stored(key)) for row, key in rows}


def _authority(row: AuthorityRow, key: StoredKey) -> Authority:
    subject = certificate_ends(row.certificate).subject
    issuer = Issuer(row.name, key.algorithm, subject, row.key_identifier, row.base_url)
    return Authority(row.name, row.parent, row.profile, row.certificate, key, issuer, tuple(row.external_chain))


async def get_authority(session: AsyncSession, name: str) -> Authority:
    """The authority of this name; ``AuthorityUnknown``."""
    return named(await get_authorities(session), name)


def named(authorities: Mapping[str, Authority], name: str) -> Authority:
    """The authority of this name; ``AuthorityUnknown``."""
    if (authority := authorities.get(name)) is None:
        raise AuthorityUnknown(f"no authority {name[:40]!r}")
    return authority


_NAME_LIMIT = 64
_DIVISION = re.compile(r"[0-9]{6}")


def service_subject(authority: Authority, common_name: str) -> Subject:
    """Whom a certificate names that an authority issues to the service itself: whoever the authority belongs to.

    An authority that somebody else certified may be named in another manner than ours: its own name stands in for an organisation.
    """
    parts = x509.Certificate.load(authority.certificate).subject.native
    organisation, code, division = (_text(parts, one) for one in ("organization_name", "organization_identifier", "locality_name"))
    return Subject(
        common_name=common_name,
        organisation=(organisation or _text(parts, "common_name") or authority.name)[:_NAME_LIMIT],
        organisation_code=code.removeprefix(REGISTER_OF_LEGAL_PERSONS),
        division=division if _DIVISION.fullmatch(division) else "000000",
    )


def _text(parts: Mapping[str, object], name: str) -> str:
    value = parts.get(name)
    return value if isinstance(value, str) else ""


def issuing_authority(authorities: Mapping[str, Authority], certificate: bytes) -> Authority:
    """The authority of ours that a certificate names as its issuer; ``CertificateUnknown``.

    Its signature is not checked here: what we issued is asked of the database by serial number.
    """
    identifier = certificate_ends(certificate).authority_key_identifier
    for authority in authorities.values():
        if authority.issuer.key_identifier == identifier:
            return authority
    raise CertificateUnknown("no authority of ours issued this certificate")


def chain_above(authorities: Mapping[str, Authority], authority: Authority) -> tuple[Authority, ...]:
    """The authority itself, then its issuers up to the root."""
    chain = [authority]
    while not chain[-1].is_root:
        chain.append(authorities[chain[-1].parent])
    return tuple(chain)


def certificates_above(authorities: Mapping[str, Authority], authority: Authority) -> tuple[bytes, ...]:
    """The authority's certificate, then those above it up to the root, ours or somebody else's, DER."""
    chain = chain_above(authorities, authority)
    return (*(above.certificate for above in chain), *chain[-1].external_chain)


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One row of a certificate's history: what ``status`` held from ``at`` on, by which move, and whose."""

    move: str
    status: CertificateStatus
    at: dt.datetime
    reason: str | None
    actor_id: str


_SIGNED = select(CertificateRow.not_before, CertificateRow.not_after).where(CertificateRow.certificate != b"")
_CHANGES = select(CertificateStatusChangeRow).order_by(CertificateStatusChangeRow.number.desc()).limit(1)


async def status_at(session: AsyncSession, serial: int, instant: dt.datetime) -> StatusReport:
    """What the status of the certificate with this serial number was at ``instant``, by its history."""
    row = (await session.execute(_SIGNED.where(CertificateRow.serial == serial_text(serial)))).one_or_none()
    if row is None:
        return StatusReport(CertificateStatus.UNKNOWN)
    change = CertificateStatusChangeRow
    last = await session.scalar(_CHANGES.where(change.serial == serial_text(serial), change.at <= instant))
    if last is not None and last.status != Standing.GOOD:
        return StatusReport(CertificateStatus(last.status), last.revoked_at, last.reason)
    if instant < row.not_before:
        return StatusReport(CertificateStatus.NOT_YET_VALID)
    return StatusReport(CertificateStatus.EXPIRED if instant > row.not_after else CertificateStatus.GOOD)


async def status_history(session: AsyncSession, serial: int) -> tuple[StatusChange, ...]:
    """Every change of a certificate's status, the oldest first."""
    change = CertificateStatusChangeRow
    rows = await session.scalars(select(change).where(change.serial == serial_text(serial)).order_by(change.number))
    return tuple(StatusChange(row.move, CertificateStatus(row.status), row.at, row.reason, row.actor_id) for row in rows)
