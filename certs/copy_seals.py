"""Which seal seals an organisation's annotated copies, and in whose name it is used.

Copies are sealed by the service of the house, not by whoever asks for them: the keeper of the seal grants it that use, unattended, for
documents of the kind ``annotated_copy``. Unless something else is arranged a copy bears the seal of its original, used in the original's
matter; an organisation whose certificates came without a seal, or whose seal is gone, names another one.
"""

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from certs.copy_models import CopySealRow
from certs.records import Certificate
from certs.service_grants import Service, grant_service
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from keys.base.errors import Conflict
from keys.evidence.audit import Event, Outcome, record
from seal.reads import Seal, get_seal

DOCUMENT_KIND = "annotated_copy"
COPYING = Service("fujie:copies", DOCUMENT_KIND, 50_000, dt.timedelta(days=365 * 3))


class CopySealMissing(Conflict):
    """Neither had the original a seal, nor did its issuer name one for copies."""

    code = "COPY_SEAL_MISSING"
    public = (
        "该证照没有可用于制作加注件的印章，请颁发机构先行设置。",
        "There is no seal for annotated copies of this certificate. Its issuer has to name one first.",
    )


@dataclass(frozen=True, slots=True)
class CopySeal:
    """The seal, the matter it is used in, and whose it is."""

    seal_code: str
    matter_code: str
    organisation: str
    organisation_name: str
    division: str


def service(sealing: CopySeal) -> Actor:
    """The copying service, as the seal's policy meets it."""
    return Actor(ActorKind.CLIENT, COPYING.name, "加注件 Annotated copies", sealing.organisation, sealing.division)


async def copy_seal_of(session: AsyncSession, certificate: Certificate) -> CopySeal:
    """What was arranged for the issuer, else the original's own. Raises :class:`CopySealMissing`."""
    row = await session.get(CopySealRow, certificate.issuer)
    seal_code, matter_code = (row.seal_code, row.matter_code) if row else (certificate.seal_code or "", certificate.matter_code or "")
    if not seal_code or not matter_code:
        raise CopySealMissing(str(certificate.id))
    return _of(await get_seal(session, seal_code), matter_code)


def _of(seal: Seal, matter_code: str) -> CopySeal:
    return CopySeal(seal.code, matter_code, seal.organisation, seal.organisation_name, seal.division)


async def grant_copies(session: AsyncSession, now: dt.datetime, actor: Actor, seal_code: str, matter_code: str) -> None:
    """Let the copying service use a seal in a matter; again where it has lapsed.

    Raises ``GrantForbidden``, ``SealNotFound``, ``GrantInvalid``.
    """
    await grant_service(session, now, actor, COPYING, seal_code, matter_code)


async def arrange_copies(
    session: AsyncSession, now: dt.datetime, actor: Actor, organisation: str, seal_code: str, matter_code: str
) -> None:
    """Copies of all certificates of an issuer are sealed with this seal in this matter from now on, and its use is granted."""
    await grant_copies(session, now, actor, seal_code, matter_code)
    statement = insert(CopySealRow).values(
        organisation=organisation, seal_code=seal_code, matter_code=matter_code, set_at=now, set_by=actor.id
    )
    changed = {name: statement.excluded[name] for name in ("seal_code", "matter_code", "set_at", "set_by")}
    await session.execute(statement.on_conflict_do_update(index_elements=["organisation"], set_=changed))
    details = {"seal": seal_code, "matter": matter_code}
    await record(session, now, Event("certs.copy.arrange", f"organisation:{organisation}", Outcome.DONE, actor, {**details}))


async def arrangements(session: AsyncSession) -> list[tuple[str, str, str]]:
    """(organisation, seal, matter) of every arrangement."""
    rows = await session.scalars(select(CopySealRow).order_by(CopySealRow.organisation))
    return [(row.organisation, row.seal_code, row.matter_code) for row in rows]
