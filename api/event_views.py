"""Subscriptions, deliveries and entrances as JSON: for the API and the command line."""

import datetime as dt
from typing import Any

from certs.delivery_rules import Answer, judge
from certs.drops import Drop
from certs.entrances import Entrance
from certs.event_reads import Delivery
from certs.subscriptions import Subscription


def subscription_json(one: Subscription) -> dict[str, Any]:
    return {
        "id": str(one.id), "organisation": one.organisation, "name": one.name, "url": one.url, "topics": list(one.topics),
        "types": list(one.types), "state": one.state.value, "created_at": _at(one.created_at), "waiting": one.waiting, "dead": one.dead,
        "failures": one.failures, "trouble": one.trouble, "failed_at": _at(one.failed_at), "succeeded_at": _at(one.succeeded_at),
        "next_attempt_at": _at(one.due_at) if one.failures else None, "former_secret_until": _at(one.former_until),
    }  # fmt: skip


def delivery_json(one: Delivery) -> dict[str, Any]:
    return {
        "sequence": one.sequence, "event": str(one.event_id), "type": one.topic, "state": one.state, "attempts": one.attempts,
        "queued_at": _at(one.queued_at), "tried_at": _at(one.tried_at), "answer": one.answer, "trouble": one.trouble,
    }  # fmt: skip


def answer_json(one: Answer) -> dict[str, Any]:
    return {"outcome": judge(one).value, "status": one.status, "trouble": one.trouble or None}


def entrance_json(one: Entrance, base_url: str) -> dict[str, Any]:
    return {
        "id": str(one.id), "organisation": one.organisation, "client_id": one.client_id, "name": one.name, "state": one.state.value,
        "address": entrance_address(one, base_url), "created_at": _at(one.created_at), "used_at": _at(one.used_at),
        "former_secret_until": _at(one.former_until),
    }  # fmt: skip


def entrance_address(one: Entrance, base_url: str) -> str:
    return f"{base_url}/api/v1/entrances/{one.id}/approvals"


def drop_json(one: Drop) -> dict[str, Any]:
    return {
        "client_id": one.client_id, "file": one.file_name, "state": one.state, "issued": one.issued, "waiting": one.waiting,
        "refused": one.refused, "trouble": one.trouble, "found_at": _at(one.found_at), "ended_at": _at(one.ended_at),
    }  # fmt: skip


def _at(instant: dt.datetime | None) -> str | None:
    return instant.isoformat() if instant else None
