"""Writing an event for subscribers, in the transaction it speaks of: what is rolled back was never told, what is committed is.

``certs.dispatch`` hands it to the subscribers afterwards, in order, at least once, each time under the same id.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping

from certs.models import OutboxRow
from certs.topics import topic_of
from keys.base.db import AsyncSession
from keys.base.ids import new_id
from keys.evidence.audit import JSON


def write_event(
    session: AsyncSession,
    now: dt.datetime,
    topic: str,
    subject: uuid.UUID | str,
    payload: Mapping[str, JSON],
    *,
    to: Iterable[str] = (),
) -> uuid.UUID:
    """Add an event to the caller's transaction; its id, by which subscribers know a repetition.

    ``topic`` stands in :data:`certs.topics.TOPICS`, which says what of ``payload`` may leave the house. ``subject`` is what it speaks
    of: a certificate's id, where it speaks of one; the organisation that issued that and the one that asked for it are told without
    being named. ``to``: unified social credit codes of others who are told. Raises ``UnknownTopic``.
    """
    event_id = new_id()
    session.add(
        OutboxRow(
            id=event_id, topic=topic_of(topic).code, subject=str(subject), payload=dict(payload), organisations=sorted(set(to)),
            created_at=now,
        )
    )  # fmt: skip
    return event_id
