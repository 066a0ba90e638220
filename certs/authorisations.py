"""What the holder agreed to, as the rules of :mod:`certs.sharing` take it; and that it is used once.

given = await find_authorisation(session, personal, consent=id)          # or show_code=…
decision = require(Ask(..., authorisation=given.authorisation))
...                                                                      # in the transaction that records the access:
await spend(session, now, actor, decision.spends)                        # refuses the second of two at once
"""

import datetime as dt
import uuid
from dataclasses import dataclass, replace

from sqlalchemy import select, update

from certs.models import CertificateRow, HolderRow
from certs.sharing import Authorisation, Means, Want
from certs.sharing_models import ShareRequestRow, ShowCodeRow, ShowingRow
from certs.sharing_reasons import SharingRefused
from keys.base.actor import Actor
from keys.base.db import AsyncSession
from keys.base.errors import NotFound
from keys.base.ids import fingerprint, normalise_code

MATTER = "matter"
"""The purpose of a showing that is for a matter, named beside it."""


class AuthorisationUnknown(NotFound):
    """No such request of the asker, none that was allowed, or no code that is shown now."""

    code = "AUTHORISATION_UNKNOWN"
    public = ("没有该授权，或亮证码已更换。", "There is no such authorisation, or the code has changed since.")


@dataclass(frozen=True, slots=True)
class Given:
    """An authorisation, with whom and which certificate it is about. ``holder`` is a blind index."""

    authorisation: Authorisation
    holder: bytes
    certificate_id: uuid.UUID


async def find_authorisation(
    session: AsyncSession, organisation: str, *, consent: uuid.UUID | None = None, show_code: str = "", holder: bytes | None = None
) -> Given:
    """By the id of a request, or by a code. ``holder``: whom the asker says it is about. Raises :class:`AuthorisationUnknown`."""
    given = await _consent(session, organisation, consent) if consent is not None else await _shown(session, show_code)
    same = holder is None or holder == given.holder
    held = select(HolderRow.position).where(HolderRow.certificate_id == given.certificate_id, HolderRow.code_index == given.holder)
    still = (await session.execute(held.limit(1))).first() is not None
    return replace(given, authorisation=replace(given.authorisation, same_holder=same and still))


async def _consent(session: AsyncSession, organisation: str, request_id: uuid.UUID) -> Given:
    row = await session.get(ShareRequestRow, request_id, populate_existing=True)
    if row is None or row.organisation != organisation or row.certificate_id is None or row.good_until is None:
        raise AuthorisationUnknown
    agreed = Authorisation(
        row.id, Means.CONSENT, row.organisation, row.matter_code, row.type_code, Want(row.want), row.good_until, True, row.used_at,
        row.withdrawn_at,
    )  # fmt: skip
    return Given(agreed, row.holder_index, row.certificate_id)


async def _shown(session: AsyncSession, code: str) -> Given:
    query = (
        select(ShowingRow, ShowCodeRow.expires_at, CertificateRow.type_code)
        .join(ShowCodeRow, ShowCodeRow.showing_id == ShowingRow.id)
        .join(CertificateRow, CertificateRow.id == ShowingRow.certificate_id)
        .where(ShowCodeRow.digest == code_digest(code))
    )
    found = (await session.execute(query.execution_options(populate_existing=True))).one_or_none()
    if found is None:
        raise AuthorisationUnknown
    row, expires_at, type_code = found
    shown = Authorisation(
        row.id, Means.SHOW_CODE, row.organisation or "", row.matter_code or "", type_code, Want(row.want), expires_at, True, row.used_at,
        row.stopped_at,
    )  # fmt: skip
    return Given(shown, row.holder_index, row.certificate_id)


def code_digest(code: str) -> bytes:
    """What is stored of a code that is shown: its SHA-256, as a person may have typed it."""
    return fingerprint(normalise_code(code))


async def spend(session: AsyncSession, now: dt.datetime, actor: Actor, given: Authorisation | None, organisation_name: str = "") -> None:
    """Use it up, in the transaction that records the access; nothing where there is nothing to use up.

    Raises ``SharingRefused`` AUTHORISATION_USED for whoever comes second.
    """
    if given is None:
        return
    if given.means is Means.CONSENT:
        await _spend_consent(session, now, given.id)
    else:
        await spend_showing(session, now, actor, given.id, organisation_name)


async def _spend_consent(session: AsyncSession, now: dt.datetime, request_id: uuid.UUID) -> None:
    row = ShareRequestRow
    unused = update(row).where(row.id == request_id, row.used_at.is_(None), row.withdrawn_at.is_(None), row.good_until > now)
    if await session.scalar(unused.values(used_at=now).returning(row.id)) is None:
        raise SharingRefused("AUTHORISATION_USED")


async def spend_showing(session: AsyncSession, now: dt.datetime, actor: Actor, showing_id: uuid.UUID, organisation_name: str = "") -> None:
    """One code of a showing was used: none of its others is good any more. Raises ``SharingRefused`` AUTHORISATION_USED."""
    row = ShowingRow
    by = {"kind": actor.kind.value, "id": actor.id, "organisation": actor.organisation, "name": organisation_name}
    unused = update(row).where(row.id == showing_id, row.used_at.is_(None), row.stopped_at.is_(None))
    if await session.scalar(unused.values(used_at=now, used_by=by).returning(row.id)) is None:
        raise SharingRefused("AUTHORISATION_USED")
