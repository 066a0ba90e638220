"""Steps 3 to 6 of issuing: render, permit, stamp, store. Rendering and stamping run in worker processes."""

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from certs.catalogue import order_fields
from certs.glyph_models import GlyphRow, SubstituteRow
from certs.glyphs import Glyph
from certs.legibility import GlyphMissing
from certs.metadata import describe, encode
from certs.own_paper_values import OwnPaper
from certs.own_papers import Imprint, imprint
from certs.photograph_keeping import kept_photograph
from certs.qr import MOST_OFFLINE
from certs.records import Certificate
from certs.rendering import RenderJob, render
from certs.stages import Issuing, Permitted, Rendered, Reserved, Stamped
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.db import Database
from seal.material import load_material
from seal.permits import Place, UseRequest, request_permit, request_permits
from seal.stamping import stamp


def render_job(reserved: Reserved) -> RenderJob:
    """What is printed, wholly from the record: the same job whenever and wherever it is printed. The photograph is kept apart."""
    certificate, kind = reserved.certificate, reserved.kind
    return RenderJob(
        type_code=kind.code,
        title_zh=kind.name_zh,
        title_en=kind.name_en,
        number=certificate.number,
        identifier=certificate.identifier,
        holders=tuple(one.name for one in certificate.holders),
        fields=order_fields(kind, certificate.fields),
        issuer=certificate.issuer_name,
        issued_on=certificate.issued_on or civil_date(certificate.created_at),
        valid_from=certificate.valid_from,
        valid_to=certificate.valid_to,
        verify_url=reserved.verify_url,
        verification_code=certificate.verification_code or "",
        metadata=encode(describe(certificate, kind)),
        timestamp=certificate.created_at,
        offline_text=printable(reserved.offline_text),
        template=kind.template,
        copy=reserved.copy,
    )


def printable(text: str | None) -> str | None:
    """The offline code, unless it would be too fine to be read from paper: the certificate still has its address code."""
    return text if text and len(text) <= MOST_OFFLINE else None


async def print_document(issuing: Issuing, reserved: Reserved) -> Rendered:
    """Render the unsealed PDF, with its holder's photograph, supplied glyphs and agreed substitutes where it needs them.

    Raises ``GlyphMissing``, naming what is still lacking, and what else ``certs.rendering.render`` refuses.
    """
    if reserved.paper is not None:
        return await _print_own(issuing, reserved, reserved.paper)
    job = render_job(reserved)
    if reserved.photo:
        job = dataclasses.replace(job, photo=await kept_photograph(issuing.database, issuing.personal, reserved.certificate.id))
    try:
        made = await issuing.workers.run(render, job, issuing.fonts)
    except GlyphMissing as missing:
        job = await with_supplied(issuing.database, reserved.certificate.id, job, missing)
        made = await issuing.workers.run(render, job, issuing.fonts)
    return Rendered(reserved, made.pdf, bytes.fromhex(made.sha256), made.seal_place)


async def _print_own(issuing: Issuing, reserved: Reserved, paper: OwnPaper) -> Rendered:
    """The issuer's own document, with its code and its metadata. Raises what the store raises."""
    certificate = reserved.certificate
    job = Imprint(
        paper, certificate.number, certificate.identifier, certificate.issuer_name,
        certificate.issued_on or civil_date(certificate.created_at), certificate.valid_from, certificate.valid_to, reserved.verify_url,
        certificate.verification_code or "", encode(describe(certificate, reserved.kind)), certificate.created_at,
    )  # fmt: skip
    made = await issuing.workers.run(imprint, await issuing.blobs.get(bytes.fromhex(paper.document)), job, issuing.fonts)
    return Rendered(reserved, made.pdf, bytes.fromhex(made.sha256), made.seal_place)


async def with_supplied(database: Database, certificate_id: uuid.UUID, job: RenderJob, missing: GlyphMissing) -> RenderJob:
    """The job with what was supplied for the missing characters, and what was agreed for this certificate."""
    async with database.session() as session:
        found = select(GlyphRow).where(GlyphRow.character.in_(missing.characters)).order_by(GlyphRow.character)
        rows = await session.scalars(found)
        glyphs = tuple(Glyph(row.character, row.path) for row in rows)
        agreed = await session.scalars(select(SubstituteRow).where(SubstituteRow.certificate_id == certificate_id))
        substitutes = tuple((row.character, row.text) for row in agreed)
    return dataclasses.replace(job, glyphs=glyphs, substitutes=substitutes)


async def permit(issuing: Issuing, rendered: Rendered, use: UseRequest) -> Permitted:
    """Ask the seal's policy for this one document, and load what stamping needs. Raises ``NotPermitted``.

    By the gate's instant: a wrong clock would find the seal not yet valid, and the certificate would be void for ever.
    """
    given = await request_permit(issuing.database, issuing.gate, use)
    async with issuing.database.begin() as session:
        material = await load_material(session, issuing.keystore, issuing.gate.now(), given.seal_code, standing=given.standing)
    return Permitted(rendered, given, material, use.actor)


async def permits(issuing: Issuing, rendered: Sequence[Rendered], use: UseRequest) -> list[Permitted]:
    """The same for several documents of one kind at once; ``use`` is of the first. Raises ``NotPermitted`` where any is refused."""
    given = await request_permits(issuing.database, issuing.gate, use, [one.document_hash for one in rendered])
    async with issuing.database.begin() as session:
        material = await load_material(session, issuing.keystore, issuing.gate.now(), use.seal_code, standing=given[0].standing)
    return [Permitted(one, permit, material, use.actor) for one, permit in zip(rendered, given, strict=True)]


def unattended_use(rendered: Rendered) -> UseRequest:
    """The client's own use, from where it asked."""
    reserved = rendered.reserved
    return _use(reserved.certificate, reserved.actor, rendered.document_hash, Place(None, reserved.address), unattended=True)


def attended_use(reserved: Reserved, actor: Actor, document_hash: bytes, place: Place) -> UseRequest:
    """The use by somebody's hand, for whoever asked that the certificate be issued."""
    return _use(reserved.certificate, actor, document_hash, place, requester=reserved.actor.id)


def _use(certificate: Certificate, actor: Actor, document_hash: bytes, place: Place, **more: Any) -> UseRequest:
    return UseRequest(
        seal_code=certificate.seal_code or "",
        actor=actor,
        matter_code=certificate.matter_code or "",
        certificate_type=certificate.type_code,
        document_hash=document_hash,
        place=place,
        **more,
    )


async def stamp_and_store(issuing: Issuing, permitted: Permitted) -> Stamped:
    """Stamp in a worker, then store durably: when this returns the sealed PDF outlives a power cut.

    Raises what ``issuing.gate`` raises: a wrong clock would stand in the seal for ever.
    """
    signing_time = issuing.gate.now().replace(microsecond=0)
    rendered = permitted.rendered
    stamped = await issuing.workers.run(
        stamp, permitted.permit, rendered.pdf, permitted.material, rendered.seal_place, issuing.keystore, signing_time
    )
    digest = await issuing.blobs.put(stamped.pdf)
    return Stamped(permitted, digest, signing_time)


def place_values(rendered: Rendered) -> dict[str, object]:
    """The seal's place as it is kept with a certificate that waits for its stamp."""
    return dataclasses.asdict(rendered.seal_place)
