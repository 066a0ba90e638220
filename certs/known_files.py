"""What is known here of a file by its octets alone, whichever version of it somebody has.

A file that is kept provable has several versions, each with a hash of its own (:mod:`seal.upgrades`): any of them finds the record it was
issued under, and says whether a newer one is to be had. A file that is not kept up is found by the one hash it has.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from certs.catalogue import CertificateType
from certs.copy_records import copy_by_digest
from certs.models import CertificateRow
from certs.reads import get_type
from certs.records import Stage
from certs.verification import RecordReport, record_by_code
from keys.base.db import Database
from seal.upgrades import Version, version_of


@dataclass(frozen=True, slots=True)
class KnownFile:
    """``report``: today's record of the certificate; None: a document that was sealed here. ``newest``: SHA-256 of the newest version."""

    document_hash: bytes
    newest: bytes
    level: str | None
    report: RecordReport | None

    @property
    def _kind(self) -> str:
        if self.report is None or self.report.certificate is None:
            return "document"
        return "copy" if self.report.copy else "certificate"

    def to_json(self) -> dict[str, object]:
        """``record`` of ``POST /api/v1/verify``; nothing of it is about a person, and whoever asks has the file."""
        found = self.report.certificate if self.report else None
        return {
            "kind": self._kind,
            "identifier": found.identifier if found else None,
            "status": self.report.status.value if self.report else None,
            "story": {"zh": self.report.story[0], "en": self.report.story[1]} if self.report and self.report.story[0] else None,
            "level": self.level,
            "sha256": self.document_hash.hex(),
            "newest_sha256": self.newest.hex(),
            "superseded": self.document_hash != self.newest,
        }


async def known_file(database: Database, now: dt.datetime, document_hash: bytes) -> KnownFile | None:
    """The file with this SHA-256, or a version of it; None: it was not made here, or it was changed."""
    async with database.session() as session:
        version = await version_of(session, document_hash)
        code = await session.scalar(_code(version.first_hash if version else document_hash))
        copy = await copy_by_digest(session, document_hash) if code is None else None
        code = copy.verification_code if copy else code
    report = await record_by_code(database, now, code) if code else None
    return None if version is None and report is None else _known(document_hash, version, report)


async def type_stated(database: Database, metadata: Mapping[str, Any] | None) -> CertificateType | None:
    """The type that a file's metadata state: the version its certificate was issued under here, else the newest; None: nobody knows it."""
    code, identifier = stated(metadata, "ZZLXDM"), stated(metadata, "ZZBS")
    if not code:
        return None
    version = select(CertificateRow.type_version).where(
        CertificateRow.identifier == identifier, CertificateRow.type_code == code, ~CertificateRow.duplicate
    )
    async with database.session() as session:
        return await get_type(session, code, await session.scalar(version.limit(1)) if identifier else None)


def stated(metadata: Mapping[str, Any] | None, name: str) -> str:
    """What a file's metadata say under a name, where that can be looked for; anybody may have written them."""
    value = (metadata or {}).get(name)
    return value if isinstance(value, str) and value.isprintable() else ""


def _code(first_hash: bytes) -> Select[str | None]:
    return select(CertificateRow.verification_code).where(CertificateRow.document_hash == first_hash, CertificateRow.stage == Stage.ISSUED)


def _known(document_hash: bytes, version: Version | None, report: RecordReport | None) -> KnownFile:
    newest, level = (version.current_hash, version.level) if version else (document_hash, None)
    return KnownFile(document_hash, newest, level, report)
