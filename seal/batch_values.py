"""Batches as values."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seal.document_levels import Level
from seal.document_lifecycle import BatchStatus
from seal.document_values import Approval

MOST_DOCUMENTS = 10_000
DECISION_HOLDS = dt.timedelta(hours=12)
"""How long after the last approval a batch may be stamped; later it takes a new one."""


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """What is asked: one seal, one matter, the same places on every document. ``documents``: 1 to 10,000 uploads.

    ``level``: PAdES level of every file: B-B, B-T, B-LT or B-LTA.
    """

    title: str
    seal_code: str
    matter_code: str
    document_kind: str | None
    documents: tuple[uuid.UUID, ...]
    placements: tuple[Mapping[str, Any], ...]
    certification: int | None = None
    profile: str = "pades"
    unattended: bool = False
    level: str = Level.B_B


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and how far it is. ``manifest``: what an approver agrees to; ``reason``: why it stands where it stands."""

    id: uuid.UUID
    organisation: str
    title: str
    seal_code: str
    matter_code: str
    document_kind: str | None
    requester: str
    requester_name: str
    unattended: bool
    approvals_needed: int
    approvals: tuple[Approval, ...]
    manifest: bytes
    status: BatchStatus
    status_since: dt.datetime
    created_at: dt.datetime
    reason: str
    total: int
    sealed: int
    refused: int
    level: Level = Level.B_B

    @property
    def waiting(self) -> int:
        return self.total - self.sealed - self.refused


@dataclass(frozen=True, slots=True)
class BatchDocument:
    """One document's result. ``state``: ``waiting``, ``sealed`` or ``refused`` (``failure``: its code)."""

    position: int
    document_id: uuid.UUID
    name: str
    state: str
    failure: str | None
    sealed_hash: bytes | None
    sealed_at: dt.datetime | None
