"""A certificate's status at any instant. Pure; ``certs.reads`` brings the history."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from certs.lifecycle import Operation, Standing, Status, standing
from certs.records import Certificate, HistoryEntry
from keys.base.clock import civil_date

_REPLACING = frozenset({Operation.RENEW, Operation.CHANGE, Operation.TRANSFER_IN})


@dataclass(frozen=True, slots=True)
class StatusAt:
    """What held at an instant. ``status``: none before the certificate was known here; ``entry``: the operation that led to it."""

    at: dt.datetime
    status: Status | None
    standing: Standing
    entry: HistoryEntry | None


def status_then(certificate: Certificate, entries: Sequence[HistoryEntry], instant: dt.datetime) -> StatusAt:
    """The status and what a relying party would have been told at ``instant``; ``entries`` oldest first."""
    before = [one for one in entries if one.at <= instant]
    if not before:
        return StatusAt(instant, None, Standing.UNKNOWN, None)
    status = Status(before[-1].to_status)
    replaced = any(one.from_status is not None and one.operation in _REPLACING for one in before)
    told = standing(
        status, today=civil_date(instant), valid_from=certificate.valid_from, valid_to=certificate.valid_to, superseded=replaced
    )
    return StatusAt(instant, status, told, before[-1])
