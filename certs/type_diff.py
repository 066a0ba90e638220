"""What one version of a certificate type changes against another. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from certs.catalogue import CertificateType, definition

_SKIPPED = frozenset({"version", "fields", "code"})


class Change(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Difference:
    """``member``: its place in the definition; a field is named by its short name (``fields.KZ_ZS.mask``). JSON values."""

    member: str
    change: Change
    before: Any = None
    after: Any = None

    def to_json(self) -> dict[str, Any]:
        return {"member": self.member, "change": self.change.value, "before": self.before, "after": self.after}


def differences(before: CertificateType | None, after: CertificateType) -> tuple[Difference, ...]:
    """Everything that is not the same, in the order of the definition. Without ``before`` the version is the first: nothing differs."""
    if before is None:
        return ()
    old, new = definition(before), definition(after)
    plain = [
        Difference(name, Change.CHANGED, old[name], value) for name, value in new.items() if name not in _SKIPPED and old[name] != value
    ]
    return (*plain, *_fields(_by_short(old), _by_short(new)))


def _by_short(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["short"]: one for one in document["fields"]}


def _fields(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[Difference]:
    found = [Difference(f"fields.{short}", Change.REMOVED, one["name"]) for short, one in old.items() if short not in new]
    found += [Difference(f"fields.{short}", Change.ADDED, None, one["name"]) for short, one in new.items() if short not in old]
    for short in (short for short in new if short in old):
        found += [
            Difference(f"fields.{short}.{member}", Change.CHANGED, old[short][member], value)
            for member, value in new[short].items()
            if old[short][member] != value
        ]
    kept_before, kept_after = [one for one in old if one in new], [one for one in new if one in old]
    if kept_before != kept_after:
        found.append(Difference("fields", Change.MOVED, kept_before, kept_after))
    return found
