"""Seals, moves and notices as JSON: one form for the API and the commands."""

from typing import Any

from seal.kinds import KINDS
from seal.lifecycle import STATUS_NAMES
from seal.motives import DOCUMENT_KIND_NAMES, DocumentKind, sentence
from seal.notices import Notice
from seal.public_status import instant_text
from seal.reads import Seal, StatusChange
from seal.statistics import Statistics

JSON = dict[str, Any]


def seal_json(seal: Seal) -> JSON:
    """``code`` is null until the seal is made; ``id`` names it from its application on."""
    return {
        "id": str(seal.id),
        "code": seal.code or None,
        "name": seal.name,
        "kind": seal.kind.value,
        "kind_zh": KINDS[seal.kind].zh,
        "organisation": seal.organisation,
        "organisation_name": seal.organisation_name,
        "division": seal.division,
        "status": seal.status.value,
        "status_zh": STATUS_NAMES[seal.status][0],
        "since": instant_text(seal.status_since),
        "valid_from": instant_text(seal.valid_from),
        "valid_to": instant_text(seal.valid_to),
        "succession": seal.succession.value if seal.succession else None,
        "predecessor": str(seal.predecessor) if seal.predecessor else None,
        "successor": str(seal.successor) if seal.successor else None,
    }


def change_json(change: StatusChange) -> JSON:
    zh, en = sentence(change.reason_code)
    return {
        "move": change.move,
        "from": change.old,
        "to": change.new,
        "at": instant_text(change.at),
        "recorded_at": instant_text(change.recorded_at) if change.recorded_at else None,
        "by": change.actor_id,
        "reason_code": change.reason_code,
        "reason_zh": zh,
        "reason_en": en,
        "reason": change.reason,
        "documents": [{**one, "kind_zh": DOCUMENT_KIND_NAMES[DocumentKind(one["kind"])][0]} for one in change.documents],
    }


def notice_json(notice: Notice) -> JSON:
    return {
        "id": notice.id,
        "seal": str(notice.seal_id),
        "code": notice.seal_code or None,
        "name": notice.seal_name,
        "kind": notice.kind,
        "at": instant_text(notice.at),
        "zh": notice.zh,
        "en": notice.en,
        "reason_code": notice.reason_code or None,
        "reason": notice.text,
        "read_at": instant_text(notice.read_at) if notice.read_at else None,
        "read_by": notice.read_by,
    }


def statistics_json(told: Statistics) -> JSON:
    return {
        "seals": [
            {
                "organisation": one.organisation,
                "organisation_name": one.organisation_name,
                "kind": one.kind.value,
                "status": one.status.value,
                "seals": one.seals,
            }
            for one in told.seals
        ],
        "uses": [
            {"organisation": one.organisation, "kind": one.kind.value, "month": one.month, "uses": one.uses, "unattended": one.unattended}
            for one in told.uses
        ],
    }
