"""Secrets that we share with others' machines: sealed where they are kept, two at once while one replaces the other."""

import datetime as dt
import uuid
from typing import Protocol

from certs.webhook_signing import new_secret
from identity.personal_data import PersonalData

OVERLAP = dt.timedelta(hours=24)


class Kept(Protocol):
    """A row with a secret and, for a while, the one before it."""

    id: uuid.UUID
    secret: bytes
    former: bytes | None
    former_until: dt.datetime | None


def secret_context(row_id: uuid.UUID) -> str:
    """What a sealed secret is bound to: it opens nowhere but in its own row."""
    return f"certs.secret:{row_id}"


def seal_new(personal: PersonalData, row_id: uuid.UUID) -> tuple[str, bytes]:
    """A new secret, to be shown this once, and its envelope."""
    secret = new_secret()
    return secret, personal.seal(secret, secret_context(row_id))


def good_secrets(personal: PersonalData, now: dt.datetime, row: Kept) -> tuple[str, ...]:
    """Those that are good now, the newest first."""
    sealed = [row.secret]
    if row.former is not None and row.former_until is not None and now < row.former_until:
        sealed.append(row.former)
    return tuple(personal.open(one, secret_context(row.id)) for one in sealed)


def replace_secret(personal: PersonalData, now: dt.datetime, row: Kept) -> str:
    """Give the row a new secret; the old one is good for :data:`OVERLAP` more. The new one, to be shown this once."""
    secret, sealed = seal_new(personal, row.id)
    row.former, row.former_until, row.secret = row.secret, now + OVERLAP, sealed
    return secret
