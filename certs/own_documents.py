"""Approval documents (批文): a department's own PDF is numbered, sealed and registered, and verified like any certificate.

1. rebuild  the PDF is rebuilt in a process of its own: what is hidden in it goes, what was removed is told; it is stored under its hash
2. survey   where the seal goes, and where there is room for the code, or a page of its own
3. approve  the approval it is, with the paper it brings: from here on everything is what it is for every certificate
            (``certs.issuance``): checks, number, identifier, permit, seal, record, event; killed at any instant it is finished or void

A document is a certificate of a type that says ``own_documents``; it has a number, an identifier, holders, a life and a history.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from certs.admission import issuer_of, kind_of, seal_of
from certs.approvals import Approval, HolderInput, Outcome, Succession, TypeTakesNoDocument
from certs.catalogue import CertificateType
from certs.idempotency import require_key
from certs.issuance import approve
from certs.own_paper_values import CodeWish, SealWish
from certs.own_papers import survey
from certs.privacy import holds_number
from certs.stages import Issuing
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import FujieError, InvalidInput
from keys.evidence import audit
from keys.evidence.audit import Event
from seal.legible import require_legible
from seal.material import load_material
from seal.rebuilding import Rebuilder, Rebuilt

TYPE = "11990100MB0000027FP01"
"""The shipped type of approval documents."""
TITLE = "标题"
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class OwnDocument:
    """What a department registers. ``number`` empty: the type's rule makes it; ``valid_from`` absent: today.

    ``holders``: whom it concerns; ``seal`` a code or a kind within the issuer, as for an approval.
    """

    title: str
    matter_code: str
    holders: tuple[HolderInput, ...]
    seal: str
    number: str = ""
    type_code: str = TYPE
    fields: Mapping[str, str] = field(default_factory=dict)
    valid_from: dt.date | None = None
    valid_to: dt.date | None = None
    issuer: str | None = None
    approved_by: str | None = None
    approved_at: str | None = None
    window: str | None = None
    seal_place: SealWish = field(default_factory=SealWish)
    code_place: CodeWish = field(default_factory=CodeWish)
    succeeds: Succession | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer. ``removed``: what was taken out of the upload, by kind; ``code_page``: from 1; None: a page of its own."""

    outcome: Outcome
    removed: Mapping[str, int]
    code_page: int | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What is looked up before the document is looked at."""

    kind: CertificateType
    issuer_name: str
    seal_mm: tuple[float, float]


async def register(
    issuing: Issuing, rebuilder: Rebuilder, actor: Actor, order: OwnDocument, source: bytes, key: str | None, *, address: str | None = None
) -> Registered:
    """See the module's steps; equal requests with one key get one answer.

    Raises what :func:`certs.issuance.approve` raises, ``TypeTakesNoDocument``, the rebuilder's refusals (``DOCUMENT_…``), and
    ``KEYWORD_NOT_FOUND``, ``PLACEMENT_OUTSIDE_PAGE`` …, ``CodePlaceTaken``, ``NotPrintable``.
    """
    try:
        rebuilt, approval = await _prepared(issuing, rebuilder, actor, order, source, require_key(key))
    except FujieError as error:
        outcome = audit.Outcome.REFUSED if error.status < 500 else audit.Outcome.FAILED
        await audit.record_alone(
            issuing.database, issuing.clock.now(), Event("certs.document.register", "document", outcome, actor, code=error.code)
        )
        raise
    done = await approve(issuing, actor, approval, key, address=address)
    paper = approval.paper
    return Registered(done, rebuilt.removed, paper.code_page + 1 if paper is not None and paper.code_page is not None else None)


async def _prepared(
    issuing: Issuing, rebuilder: Rebuilder, actor: Actor, order: OwnDocument, source: bytes, key: str
) -> tuple[Rebuilt, Approval]:
    require_legible(title=order.title, key=key)
    title = order.title.strip()
    if not 0 < len(title) <= LONGEST_TITLE or holds_number(title):
        raise InvalidInput("title", errors=[{"field": "title", "message": "1–200 characters, without ID numbers"}])
    approval = _approval(issuing, order, title)
    known = await _known(issuing, actor, approval)
    rebuilt = await rebuilder.rebuild(source)
    await issuing.blobs.put(rebuilt.pdf)
    texts = (title, order.number, known.issuer_name)
    paper = await issuing.workers.run(survey, rebuilt.pdf, order.seal_place, order.code_place, known.seal_mm, texts)
    titled = {TITLE: title} | dict(approval.fields) if any(one.name == TITLE for one in known.kind.fields) else approval.fields
    return rebuilt, replace(approval, paper=replace(paper, title=title), fields=titled)


def _approval(issuing: Issuing, order: OwnDocument, title: str) -> Approval:
    return Approval(
        approval_number=order.number.strip(), matter_code=order.matter_code, certificate_type=order.type_code, holders=order.holders,
        fields=order.fields, valid_from=order.valid_from or civil_date(issuing.clock.now()), valid_to=order.valid_to, seal=order.seal,
        issuer=order.issuer, approved_by=order.approved_by, approved_at=order.approved_at, window=order.window, succeeds=order.succeeds,
    )  # fmt: skip


async def _known(issuing: Issuing, actor: Actor, approval: Approval) -> _Known:
    """Type, issuer and seal, before a process is spent on the upload."""
    async with issuing.database.begin() as session:
        kind = await kind_of(session, approval)
        if not kind.own_documents:
            raise TypeTakesNoDocument
        issuer = await issuer_of(session, actor, approval)
        seal = await seal_of(session, issuer, approval)
        material = await load_material(session, issuing.keystore, issuing.gate.now(), seal.code)
    return _Known(kind, issuer.name, (material.width_mm, material.height_mm))


__all__ = ["CodeWish", "OwnDocument", "Registered", "SealWish", "register"]
