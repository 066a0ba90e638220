"""What the rules of :mod:`certs.sharing` are asked about, as the database knows it.

ask = Ask(actor, organisation, Want.RECORD, await type_facts(session, code), purpose, now, matter=await matter_facts(session, code))
"""

import uuid
from collections.abc import Collection

from sqlalchemy import select

from certs.catalogue import Sharing, SharingClass
from certs.lifecycle import Standing
from certs.matter_papers import Enough, Paper, papers_of
from certs.models import CertificateRow, HolderRow, TypeRow
from certs.reads import holders_of, may_issue_for, to_certificate
from certs.records import DISPOSED, Certificate, Stage
from certs.sharing import CertificateFacts, MatterFacts, PaperFacts, TypeFacts
from keys.base.actor import Actor, ActorKind
from keys.base.db import AsyncSession
from seal.matters import Matter, get_matter

_MOST = 50


async def type_facts(session: AsyncSession, code: str) -> TypeFacts:
    """The type as the catalogue has it; one that was never in force is shared with nobody."""
    return (await types_facts(session, [code]))[code]


async def types_facts(session: AsyncSession, codes: Collection[str]) -> dict[str, TypeFacts]:
    """The same of several, by code."""
    query = select(TypeRow.code, TypeRow.sharing_class).where(TypeRow.code.in_(codes), TypeRow.version.is_not(None))
    known = {code: Sharing(SharingClass(sharing)) for code, sharing in await session.execute(query)} if codes else {}
    return {code: TypeFacts(code, known.get(code)) for code in codes}


async def matter_facts(session: AsyncSession, code: str) -> MatterFacts | None:
    """The matter with the papers it asks for, or None."""
    matter = await get_matter(session, code) if code else None
    return None if matter is None else facts_of_matter(matter, await papers_of(session, code))


def facts_of_matter(matter: Matter, papers: Collection[Paper]) -> MatterFacts:
    """What the rules need of a matter that was read already. Pure."""
    asked = tuple(PaperFacts(one.code, frozenset(one.types), one.enough is Enough.COPY, one.basis) for one in papers)
    return MatterFacts(matter.code, matter.organisation, asked)


def facts_of(certificate: Certificate) -> CertificateFacts:
    """What the rules need of a certificate. Pure."""
    gone = certificate.stage is not Stage.ISSUED or DISPOSED in certificate.flags
    return CertificateFacts(certificate.id, certificate.issuer, certificate.client_organisation, gone)


async def organisation_asked_for(session: AsyncSession, actor: Actor, matter: MatterFacts | None) -> tuple[str, bool]:
    """For whom the actor asks, and whether as a client that serves another organisation: the matter's, where it may act for it."""
    own = actor.organisation or ""
    if matter is None or matter.organisation == own or actor.kind is not ActorKind.CLIENT:
        return own, False
    serves = await may_issue_for(session, actor.id, matter.organisation)
    return (matter.organisation, True) if serves else (own, False)


async def held_of_type(session: AsyncSession, holder: bytes, type_code: str) -> tuple[Certificate, ...]:
    """The holder's issued certificates of a type, newest first; what was disposed of has no holder any more."""
    query = (
        select(CertificateRow)
        .join(HolderRow, HolderRow.certificate_id == CertificateRow.id)
        .where(HolderRow.code_index == holder, CertificateRow.type_code == type_code, CertificateRow.stage == Stage.ISSUED)
        .order_by(CertificateRow.id.desc())
        .limit(_MOST)
    )
    rows = list(await session.scalars(query)) if holder else []
    holders = await holders_of(session, [row.id for row in rows])
    return tuple(to_certificate(row, holders) for row in rows)


async def holder_among(session: AsyncSession, certificate_id: uuid.UUID, holder: bytes) -> str:
    """The name of the holder with that blind index, as the certificate has it."""
    query = select(HolderRow.name).where(HolderRow.certificate_id == certificate_id, HolderRow.code_index == holder)
    return await session.scalar(query.limit(1)) or ""


_TRUSTED = ("A", "B")


def answers_yes(certificate: Certificate, standing: Standing) -> bool:
    """Whether it counts as "holds a valid one": in force, no flag of an import, trust grade A or B. Pure."""
    return standing is Standing.IN_FORCE and not certificate.flags and certificate.trust_grade in _TRUSTED
