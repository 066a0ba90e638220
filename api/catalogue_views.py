"""The catalogue as JSON: what the API and the command line answer."""

from typing import Any

from certs.catalogue import definition
from certs.catalogue_keeping import Kept
from certs.catalogue_reads import Entry, TypeChange, Version


def entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "code": entry.code,
        "name_zh": entry.name_zh,
        "name_en": entry.name_en,
        "status": entry.status.value,
        "version": entry.version,
        "open_version": entry.open_version,
        "holder_kind": entry.holder_kind,
        "sharing": entry.sharing.value,
        "issuers": list(entry.issuers),
        "updated_at": entry.updated_at.isoformat(),
    }


def version_json(version: Version) -> dict[str, Any]:
    return {
        "code": version.kind.code,
        "version": version.kind.version,
        "status": version.status.value,
        "digest": version.digest.hex(),
        "written_at": version.written_at.isoformat(),
        "published_at": version.published_at.isoformat() if version.published_at else None,
        "retired_at": version.retired_at.isoformat() if version.retired_at else None,
        "definition": definition(version.kind),
    }


def change_json(change: TypeChange) -> dict[str, Any]:
    return {
        "version": change.version,
        "move": change.move.value,
        "to": change.status.value,
        "at": change.at.isoformat(),
        "actor": {"kind": change.actor_kind, "name": change.actor_name},
        "reason": change.reason,
        "digest": change.digest.hex(),
    }


def kept_json(kept: Kept) -> dict[str, Any]:
    return {"code": kept.code, "version": kept.version, "status": kept.status.value, "digest": kept.digest.hex()}
