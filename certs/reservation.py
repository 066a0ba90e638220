"""Step 2 of issuing, transaction 1: a number, a record, the caller's key and the intent in the audit, all or nothing.

A killed process leaves either nothing or a reserved certificate that the sweeper finishes or voids.
"""

import datetime as dt
import uuid
from dataclasses import asdict
from typing import Any

from certs.admission import Admitted
from certs.catalogue import CertificateType
from certs.holders import holder_values
from certs.idempotency import claim_key
from certs.issuing_models import NumberGivenRow
from certs.leases import LEASE, new_lease
from certs.lifecycle import Status
from certs.merging import item_rows
from certs.models import CertificateRow, HolderRow, IssuingRow
from certs.numbering import Identifier, format_serial, inspect_identifier, make_identifier, next_version
from certs.numbers import check_in_force, check_number, give_number
from certs.offline_signing import give_place, offline_text
from certs.own_paper_values import OwnPaper
from certs.photograph_keeping import keep_photograph
from certs.reads import get_certificate, identifier_taken, next_serial, to_certificate, to_holder, type_of
from certs.records import Certificate, Source, Stage
from certs.stages import Issuing, Reserved
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.db import AsyncSession
from keys.base.ids import new_code, new_id
from keys.evidence.audit import JSON, Event, Outcome, record


async def reserve(
    issuing: Issuing, actor: Actor, admitted: Admitted, key: str, request: bytes, address: str | None = None
) -> Reserved | None:
    """Reserve; ``None`` when another request with the same key was faster."""
    async with issuing.database.begin() as session:
        return await reserve_in(session, issuing, actor, admitted, key, request, address)


async def reserve_in(
    session: AsyncSession, issuing: Issuing, actor: Actor, admitted: Admitted, key: str, request: bytes, address: str | None = None
) -> Reserved | None:
    """The same in the caller's transaction: what several certificates of one application are reserved in.

    Raises ``NumberTaken``, ``NumberNotByRule``, ``CertificateInForce``; rolled back, nothing was taken.
    """
    now, certificate_id, lease = issuing.clock.now(), new_id(), new_lease()
    if not await claim_key(session, now, actor, key, request, certificate_id):
        return None
    identifier = await _take_identifier(session, now, admitted)
    number, given = await take_number(session, now, admitted)
    row = _certificate_row(certificate_id, now, actor, admitted, identifier, number)
    session.add(row)
    await session.flush()
    holders = _holder_rows(issuing, certificate_id, admitted)
    work = _issuing_row(row, actor, admitted, lease, f"{issuing.base_url}/v/{row.verification_code}", address)
    session.add_all([*holders, *item_rows(certificate_id, admitted.merged), work])
    if admitted.photo is not None:
        keep_photograph(session, issuing.personal, certificate_id, admitted.photo)
    if given is not None:
        given.certificate_id = certificate_id
        session.add(given)
    details: dict[str, JSON] = {"identifier": str(identifier), "type": admitted.kind.code, "issuer": admitted.issuer.uscc}
    await record(session, now, Event("certs.issue.reserve", f"certificate:{certificate_id}", Outcome.INTENT, actor, details))
    await session.flush()
    certificate = to_certificate(row, {certificate_id: [to_holder(one) for one in holders]})
    offline = await give_place(session, issuing.keystore, certificate, admitted.kind)
    return _stage(certificate, admitted.kind, work, lease, offline)


async def take_number(session: AsyncSession, now: dt.datetime, admitted: Admitted) -> tuple[str, NumberGivenRow | None]:
    """The certificate's number and its place in its series, once nothing speaks against a further certificate.

    After the identifier: its counter is held, so that requests of one type and issuer come one after the other.
    Raises ``NumberTaken``, ``NumberNotByRule``, ``CertificateInForce``.
    """
    rule, issuer, given = admitted.rule, admitted.issuer, admitted.approval.approval_number.strip()
    await check_in_force(session, civil_date(now), rule, issuer.uscc, admitted.indexes, but=admitted.replaced)
    if admitted.predecessor is not None and given in ("", admitted.predecessor.number):
        return admitted.predecessor.number, None
    if given:
        await check_number(session, rule, issuer.uscc, given, admitted.indexes, but=admitted.replaced)
    return await give_number(session, now, rule, issuer, given)


async def load_reserved(session: AsyncSession, certificate_id: uuid.UUID, lease: uuid.UUID) -> Reserved:
    """The stage as it stands in the database: what the sweeper and an approver's stamp start from."""
    certificate = await get_certificate(session, certificate_id)
    row = await session.get(IssuingRow, certificate_id, populate_existing=True)
    kind = await type_of(session, certificate)
    if certificate is None or row is None or kind is None:
        raise LookupError(f"certificate {certificate_id} has no issuing to go on with")
    return _stage(certificate, kind, row, lease, await offline_text(session, certificate))


def _stage(certificate: Certificate, kind: CertificateType, row: IssuingRow, lease: uuid.UUID, offline: str | None) -> Reserved:
    approval = row.approval
    return Reserved(
        certificate, kind, _actor(row.actor), row.verify_url, approval["unattended"], lease, approval["move"], approval["reason"],
        approval["window"], approval.get("address"), offline, approval.get("reason_code"), approval.get("legal_basis"),
        bool(approval.get("merges")), OwnPaper(**approval["paper"]) if approval.get("paper") else None,
        bool(approval.get("photo")), approval.get("copy") or "",
    )  # fmt: skip


async def _take_identifier(session: AsyncSession, now: dt.datetime, admitted: Admitted) -> Identifier:
    """The next free identifier. An import may have brought one of our form along: such a number is passed over."""
    before = admitted.predecessor
    own = before is not None and before.issuer == admitted.issuer.uscc  # a predecessor's from elsewhere names its issuer
    if before is not None and own and (found := inspect_identifier(before.identifier)).identifier and not found.flags:
        return await _take_version(session, found.identifier)
    year = civil_date(now).year
    while True:
        serial = await next_serial(session, admitted.kind.code, admitted.issuer.uscc, year)
        identifier = make_identifier(admitted.kind.code, admitted.issuer.uscc, format_serial(year, serial))
        if not await identifier_taken(session, str(identifier)):
            return identifier


async def _take_version(session: AsyncSession, identifier: Identifier) -> Identifier:
    """A successor keeps the serial and takes the next free version; a voided attempt used its version up."""
    while True:
        identifier = next_version(identifier)
        if not await identifier_taken(session, str(identifier)):
            return identifier


def _certificate_row(
    certificate_id: uuid.UUID, now: dt.datetime, actor: Actor, admitted: Admitted, identifier: Identifier, number: str
) -> CertificateRow:
    approval = admitted.approval
    return CertificateRow(
        id=certificate_id,
        stage=Stage.RESERVED.value,
        status=Status.VALID.value,
        source=Source.ISSUED.value,
        type_code=admitted.kind.code,
        type_version=admitted.kind.version,
        type_name=admitted.kind.name_zh,
        number=number,
        identifier=str(identifier),
        duplicate=False,
        verification_code=new_code(),
        issuer=admitted.issuer.uscc,
        issuer_name=admitted.issuer.name,
        division=admitted.issuer.division,
        issued_on=civil_date(now),
        valid_from=approval.valid_from,
        valid_to=approval.valid_to,
        fields=dict(admitted.fields),
        matter_code=approval.matter_code,
        seal_code=admitted.seal.code,
        seal_name=admitted.seal.name,
        client_id=actor.id if actor.kind is ActorKind.CLIENT else None,
        client_organisation=actor.organisation,
        predecessor=admitted.predecessor.identifier if admitted.predecessor else None,
        trust_grade="A",
        flags=[],
        created_at=now,
    )


def _holder_rows(issuing: Issuing, certificate_id: uuid.UUID, admitted: Admitted) -> list[HolderRow]:
    return [
        HolderRow(**holder_values(issuing.personal, certificate_id, position, name=one.name, code_type=one.code_type, code=one.code))
        for position, one in enumerate(admitted.holders)
    ]


def _issuing_row(
    row: CertificateRow, actor: Actor, admitted: Admitted, lease: uuid.UUID, verify_url: str, address: str | None
) -> IssuingRow:
    approval = admitted.approval
    return IssuingRow(
        certificate_id=row.id,
        stage=Stage.RESERVED.value,
        actor=_actor_values(actor),
        approval={
            "approval_number": approval.approval_number, "approved_by": approval.approved_by, "approved_at": approval.approved_at,
            "window": approval.window, "address": address, "unattended": admitted.unattended,
            "move": approval.succeeds.move if approval.succeeds else None, "reason": approval.succeeds.reason if approval.succeeds else "",
            "reason_code": approval.succeeds.reason_code if approval.succeeds else None,
            "legal_basis": approval.succeeds.legal_basis if approval.succeeds else None, "merges": bool(admitted.merged),
            "paper": asdict(approval.paper) if approval.paper else None, "photo": admitted.photo is not None, "copy": approval.copy,
        },
        verify_url=verify_url,
        lease_owner=lease,
        lease_until=row.created_at + LEASE,
        attempts=1,
        created_at=row.created_at,
    )  # fmt: skip


def _actor_values(actor: Actor) -> dict[str, Any]:
    return {
        "kind": actor.kind.value, "id": actor.id, "name": actor.name, "organisation": actor.organisation, "division": actor.division,
    }  # fmt: skip


def _actor(values: dict[str, Any]) -> Actor:
    """Who asked, with nothing they could use but their name: a grant to them is looked up again, never remembered."""
    return Actor(ActorKind(values["kind"]), values["id"], values["name"], values["organisation"], values["division"])
