"""Whether every key still works: each is used once, and what it makes is checked with its public half (after a restore, a move, a scare).

A key whose row stands but whose secret was destroyed on purpose is told apart from one that does not open.
"""

import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import select

from keys.base.db import Database
from keys.base.errors import FujieError
from keys.custody.algorithms import SIGNING
from keys.custody.reads import as_stored
from keys.custody.store import Algorithm, KeyStore, StoredKey
from keys.custody.verifying import verify_signature
from keys.models import StoredKeyRow
from keys.pki.certificate import signature_algorithm

WORKS, DESTROYED, WRONG = "works", "destroyed", "does not match its public half"
_PAGE = 500
_CONTEXT = b"fujie key check"


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """``result``: works, destroyed, does not match its public half, or the code of the error that using it raised."""

    id: uuid.UUID
    algorithm: str
    purpose: str
    result: str

    @property
    def healthy(self) -> bool:
        return self.result in (WORKS, DESTROYED)


async def check_keys(database: Database, keystore: KeyStore) -> AsyncIterator[KeyCheck]:
    """Every stored key in the order they were made. One that fails never hides the others."""
    last = uuid.UUID(int=0)
    while True:
        async with database.session() as session:
            page = select(StoredKeyRow).where(StoredKeyRow.id > last).order_by(StoredKeyRow.id).limit(_PAGE)
            rows = (await session.scalars(page)).all()
        for row in rows:
            yield KeyCheck(row.id, row.algorithm, row.purpose, _result(keystore, row))
        if len(rows) < _PAGE:
            return
        last = rows[-1].id


def _result(keystore: KeyStore, row: StoredKeyRow) -> str:
    if not row.wrapped:
        return DESTROYED
    try:
        return WORKS if _works(keystore, as_stored(row)) else WRONG
    except FujieError as error:
        return error.code


def _works(keystore: KeyStore, key: StoredKey) -> bool:
    """It signs what verifies, opens what it sealed, or gives one digest twice."""
    challenge = secrets.token_bytes(32)
    if key.algorithm in SIGNING:
        signature = keystore.sign(key, challenge, key.purpose)
        return verify_signature(key.public, signature_algorithm(key.algorithm).dump(), challenge, signature)
    if key.algorithm in (Algorithm.HMAC, Algorithm.HMAC_SM3):
        return keystore.mac(key, challenge, key.purpose) == keystore.mac(key, challenge, key.purpose)
    return keystore.decrypt(key, keystore.encrypt(key, challenge, _CONTEXT, key.purpose), _CONTEXT, key.purpose) == challenge
