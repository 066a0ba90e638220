"""Annotated copies: made, sealed, recalled, refused; worth what the original is worth."""

import dataclasses
import datetime as dt
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from zxingcpp import read_barcodes

from certs.access_rates import QuotaExhausted, Rate, Rule, Use, set_rate
from certs.approvals import IdempotencyKeyReused
from certs.copies import CopySealNotGranted, CopyWanted, OriginalNotInForce, expiry, make_copy
from certs.copy_records import copies_of
from certs.copy_seals import grant_copies
from certs.library import Library, PurposeRequired, access_history
from certs.lifecycle import Standing
from certs.pictures import picture
from certs.reads import get_certificate
from certs.sharing import SharingRefused
from certs.standing import change_standing
from keys.base.actor import Actor, ActorKind, Role
from keys.base.errors import InvalidInput, NotFound

WANTED = CopyWanted("办理食品经营许可，核对排水许可", days=30)


@pytest.fixture
def issued(stocked: Any) -> Any:
    return stocked.issued[0]


@pytest.fixture
async def sealable(city: Any, issued: Any) -> Any:
    """The keeper of the issuer's seal granted copies."""
    await granted(city, issued)
    return issued


async def granted(city: Any, issued: Any) -> None:
    now = city.issuing.clock.now()
    async with city.issuing.database.begin() as session:
        certificate = await get_certificate(session, issued.id)
        keeper = Actor(
            ActorKind.PERSON, "keeper", "Keeper", certificate.issuer, "990100", frozenset({Role.SEAL_KEEPER}), assurance=2, authenticator=2
        )
        await grant_copies(session, now, keeper, certificate.seal_code, certificate.matter_code)


def wanting(issued: Any, **changes: Any) -> CopyWanted:
    return dataclasses.replace(WANTED, certificate_id=issued.id, **changes)


async def test_a_copy_shows_the_original_says_what_for_and_is_sealed(city: Any, sealable: Any, tmp_path: Path) -> None:
    copy = await make_copy(city.issuing, city.client, wanting(sealable), "k")
    pdf = await city.issuing.blobs.get(copy.sha256)
    Path("/tmp/b6/real.pdf").write_bytes(pdf)
