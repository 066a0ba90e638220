"""``/api/v1/approvals``, ``/api/v1/certificates`` and ``/api/v1/verify/{code}`` (CONTRACT.md).

Bodies are read by hand: a refusal names the member that is wrong and never repeats its value, which may be an ID number.
"""

import datetime as dt
import uuid
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from api.addresses import address_of
from api.bearer import require_scope
from api.logs import redact
from api.problems import preferred_language
from certs.approvals import Absorption, Approval, HolderInput, Outcome, OutcomeStatus, Succession
from certs.catalogue import CertificateType
from certs.finding import MOST_ON_A_PAGE, Search, search
from certs.grounds import Grounds
from certs.idempotency import require_key
from certs.issuance import approve, stamp_awaiting
from certs.library import Library, decode_purpose, file_of, kinds_of, ordered_fields, read, read_history
from certs.lifecycle import SUCCESSIONS
from certs.metadata import describe
from certs.photographs import LONGEST_TEXT, decoded
from certs.reason_keeping import settle
from certs.records import Certificate, Stage
from certs.standing import change_standing
from certs.timestamps import timestamp_of
from certs.verification import record_by_code
from keys.base.actor import Actor
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound

ISSUE = "certificates:issue"
READ = "certificates:read"
router = APIRouter(prefix="/api/v1")
Line = Annotated[str, StringConstraints(max_length=500)]
B = TypeVar("B", bound=BaseModel)
NO_STORE = {"Cache-Control": "no-store"}
_UNKNOWN = ("No certificate has this verification code.", "没有证照使用这个核验码。")


class Body(BaseModel):
    """Members beyond the declared ones are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class HolderBody(Body):
    """``code_type`` of GB/T 36903: 001 unified social credit code, 111 resident ID, …"""

    name: Line
    code: Line
    code_type: Line


class AbsorptionBody(Body):
    """``type``: the type that the licence takes up; ``certificate``: the id of the holder's certificate of it, where there is one."""

    type: Line
    certificate: Annotated[uuid.UUID | None, Field(strict=False)] = None


class ApprovalBody(Body):
    """One approval event. ``issuer`` defaults to the client's organisation; ``seal`` is a code or a kind within the issuer.

    ``approval_number`` is the certificate's number; left out, the type's number rule makes it. ``absorbs``: what the licence takes up
    (多证合一). ``photo``: the holder's, a JPEG or PNG of at most 4 MB in base64, where the type's form has a place for it. ``copy``: which
    of the form's copies is printed (正本, 副本), by default the first.
    """

    approval_number: Line = ""
    matter_code: Line
    certificate_type: Line
    holders: Annotated[list[HolderBody], Field(min_length=1, max_length=50)]
    fields: dict[Line, Annotated[str, StringConstraints(max_length=2000)]]
    valid_from: Annotated[dt.date, Field(strict=False)]
    valid_to: Annotated[dt.date | None, Field(strict=False)] = None
    seal: Line
    issuer: Line | None = None
    approved_by: Line | None = None
    approved_at: Line | None = None
    window: Line | None = None
    absorbs: Annotated[list[AbsorptionBody], Field(max_length=30)] = []
    photo: Annotated[str | None, Field(json_schema_extra={"contentEncoding": "base64", "maxLength": LONGEST_TEXT}, repr=False)] = None
    copy_: Annotated[Line | None, Field(alias="copy")] = None

    def approval(self, succeeds: Succession | None = None) -> Approval:
        """The core's value."""
        members = self.model_dump(exclude={"holders", "absorbs", "photo", "copy_"})
        holders = tuple(HolderInput(one.name, one.code, one.code_type) for one in self.holders)
        absorbs = tuple(Absorption(one.type, one.certificate) for one in self.absorbs)
        photo = decoded(self.photo) if self.photo is not None else None
        return Approval(**members, holders=holders, succeeds=succeeds, absorbs=absorbs, photo=photo, copy=self.copy_ or "")


class ReasonBody(Body):
    """Why a status changes: in words, by a code of ``/move-reasons`` (its words then suffice), by which law where it is not the code's.

    ``approval`` is the successor's, for ``renew``, ``change`` and ``transfer-in`` only.
    """

    reason: Line = ""
    reason_code: Line | None = None
    legal_basis: Line | None = None
    approval: ApprovalBody | None = None

    def grounds(self) -> Grounds:
        """The core's value."""
        return Grounds(self.reason, self.reason_code, self.legal_basis)


class StampBody(Body):
    """``document_hash``: SHA-256 in hexadecimal of the unsealed PDF the approver has seen."""

    document_hash: Annotated[str, StringConstraints(pattern="^[0-9a-fA-F]{64}$")]


class SearchBody(Body):
    """Numbers of people never stand in an address: hence a body. ``purpose`` is logged.

    All that is given must hold, and something must be. ``status``: a word of ``data-status``; days: both included;
    ``text``: words that stand anywhere in the record, at least two Chinese characters or three letters or digits each.
    """

    purpose: Line
    holder_code: Line = ""
    code_type: Line = ""
    type: Line | None = None
    identifier: Line | None = None
    number: Line | None = None
    issuer: Line | None = None
    status: Line | None = None
    issued_from: Annotated[dt.date | None, Field(strict=False)] = None
    issued_to: Annotated[dt.date | None, Field(strict=False)] = None
    text: Line | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE)] = 50
    cursor: Line | None = None

    def search(self) -> Search:
        """The core's value."""
        members = self.model_dump(exclude={"type"})
        return Search(**members, type_code=self.type)


def _documented(body: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of a body that is read by hand."""
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema)}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without ``$defs``: each reference is replaced by what it names."""
    definitions = schema.pop("$defs", {})

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            return resolve(definitions[name]) if name in definitions else {key: resolve(value) for key, value in node.items()}
        return [resolve(value) for value in node] if isinstance(node, list) else node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


async def _parse(request: Request, body: type[B]) -> B:
    """The body, or ``InvalidInput`` that names the members and repeats no value."""
    try:
        return body.model_validate_json(await request.body())
    except ValidationError as refusal:
        raise refused_body(refusal) from None


def refused_body(refusal: ValidationError) -> InvalidInput:
    """What a body is refused for: the members that are wrong, and no value."""
    errors = [
        {"field": _place(one["loc"], one["type"]), "message": one["type"]}
        for one in refusal.errors(include_url=False, include_context=False, include_input=False)
    ]
    return InvalidInput("the body does not fit", errors=errors)


def _place(parts: tuple[int | str, ...], kind: str) -> str:
    """Where a body is wrong. An unknown member is not named, for its name may be a number; nor is a number in a field's name."""
    known = parts[:-1] if kind == "extra_forbidden" else parts
    return str(redact(".".join(str(part) for part in known))) or "body"


def library_of(request: Request) -> Library:
    """What reading the library needs."""
    house = request.app.state.house
    return Library(house.database, house.clock, house.blobs, house.personal)


def _links(base_url: str, certificate_id: uuid.UUID, code: str | None) -> dict[str, str]:
    own = f"{base_url}/api/v1/certificates/{certificate_id}"
    links = {"self": own, "file": f"{own}/file", "events": f"{own}/events", "timestamp": f"{own}/timestamp"}
    return links | ({"verify": f"{base_url}/v/{code}"} if code else {})


def _outcome(request: Request, outcome: Outcome) -> Response:
    base_url = request.app.state.house.base_url
    links = _links(base_url, outcome.id, outcome.verification_code)
    content = {
        "id": str(outcome.id), "identifier": outcome.identifier, "verification_code": outcome.verification_code,
        "status": outcome.status.value, "links": links,
    }  # fmt: skip
    return JSONResponse(content, 201 if outcome.status is OutcomeStatus.ISSUED else 202, NO_STORE | {"Location": links["self"]})


def _describe(request: Request, certificate: Certificate, kind: CertificateType | None) -> dict[str, object]:
    house = request.app.state.house
    issued = certificate.stage is Stage.ISSUED
    return {
        "id": str(certificate.id),
        "identifier": certificate.identifier,
        "verification_code": certificate.verification_code,
        "status": certificate.standing(civil_date(house.clock.now())).value if issued else certificate.stage.value,
        "status_code": certificate.status.value if issued else None,
        "type": certificate.type_code,
        "type_version": certificate.type_version,
        "division": certificate.division,
        "source": certificate.source.value,
        "trust_grade": certificate.trust_grade,
        "flags": list(certificate.flags),
        "predecessor": certificate.predecessor,
        "successor": certificate.successor,
        "matter_code": certificate.matter_code,
        "document_sha256": certificate.document_hash.hex() if certificate.document_hash else None,
        "fields": dict(ordered_fields(certificate, kind)),
        "metadata": describe(certificate, kind),
        "links": _links(house.base_url, certificate.id, certificate.verification_code if issued else None),
    }


def identifier_of(text: str) -> uuid.UUID:
    """The id in a path; what is none is not found."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound("certificate") from None


@router.post("/approvals", status_code=201, openapi_extra=_documented(ApprovalBody))
async def post_approval(request: Request) -> Response:
    """Issue a certificate (201), or leave it for an approver to stamp (202). Header ``Idempotency-Key`` is required."""
    actor = await require_scope(request, ISSUE)
    key = require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, ApprovalBody)
    return _outcome(request, await approve(request.app.state.house.issuing, actor, body.approval(), key, address=address_of(request)))


@router.post("/certificates/search", openapi_extra=_documented(SearchBody))
async def post_search(request: Request) -> Response:
    """Certificates by holder, number, identifier, type, issuer, status, days and words, newest first, in pages."""
    actor = await require_scope(request, READ)
    body = await _parse(request, SearchBody)
    page = await search(library_of(request), actor, body.search())
    kinds = await kinds_of(library_of(request), page.items)
    items = [_describe(request, one, kind) for one, kind in zip(page.items, kinds, strict=True)]
    return JSONResponse({"items": items, "next_cursor": page.next_cursor}, headers=NO_STORE)


@router.get("/certificates/{certificate_id}")
async def get_certificate(request: Request, certificate_id: str) -> Response:
    """One certificate: its record and its metadata under the short names of GB/T 36903."""
    actor = await require_scope(request, READ)
    certificate, kind = await read(library_of(request), actor, identifier_of(certificate_id))
    return JSONResponse(_describe(request, certificate, kind), headers=NO_STORE)


@router.get("/certificates/{certificate_id}/file", response_class=Response)
async def get_file(request: Request, certificate_id: str) -> Response:
    """The sealed PDF. Header ``Purpose`` is required: percent-encoded UTF-8, at most 200 characters; it is logged."""
    actor = await require_scope(request, READ)
    pdf = await file_of(library_of(request), actor, identifier_of(certificate_id), decode_purpose(request.headers.get("purpose")))
    disposition = {
        "Content-Disposition": f'attachment; filename="{identifier_of(certificate_id)}.pdf"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(pdf, media_type="application/pdf", headers=NO_STORE | disposition)


@router.get("/certificates/{certificate_id}/events")
async def get_events(request: Request, certificate_id: str) -> Response:
    """The certificate's history, oldest first; operation and status codes of GB/T 36903."""
    actor = await require_scope(request, READ)
    entries = await read_history(library_of(request), actor, identifier_of(certificate_id))
    items = [
        {
            "at": one.at.isoformat(), "operation": one.operation, "from_status": one.from_status, "to_status": one.to_status,
            "reason": one.reason, "reason_code": one.reason_code, "legal_basis": one.legal_basis,
            "actor": {"kind": one.actor_kind, "name": one.actor_name},
        }
        for one in entries
    ]  # fmt: skip
    return JSONResponse({"items": items, "next_cursor": None}, headers=NO_STORE)


@router.get("/certificates/{certificate_id}/timestamp", response_class=Response)
async def get_timestamp(request: Request, certificate_id: str) -> Response:
    """The RFC 3161 token over the SHA-256 of the sealed file."""
    actor = await require_scope(request, READ)
    token = await timestamp_of(library_of(request), actor, identifier_of(certificate_id))
    return Response(token, media_type="application/vnd.etsi.timestamp-token", headers=NO_STORE)


@router.post("/certificates/{certificate_id}/stamp", openapi_extra=_documented(StampBody))
async def post_stamp(request: Request, certificate_id: str) -> Response:
    """An approver stamps what waits; the seal's policy decides, and asks for two factors."""
    actor = await require_scope(request, ISSUE)
    body = await _parse(request, StampBody)
    issuing, address = request.app.state.house.issuing, address_of(request)
    outcome = await stamp_awaiting(issuing, actor, identifier_of(certificate_id), body.document_hash, address=address)
    return _outcome(request, outcome)


async def _change(request: Request, certificate_id: str, move: str) -> Response:
    actor = await require_scope(request, ISSUE)
    key = require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, ReasonBody)
    if move in SUCCESSIONS:
        return await _succeed(request, actor, identifier_of(certificate_id), move, body, key)
    house = request.app.state.house
    certificate = await change_standing(house.database, house.clock, actor, identifier_of(certificate_id), move, body.grounds(), key)
    return JSONResponse(_describe(request, certificate, None), headers=NO_STORE)


async def _succeed(request: Request, actor: Actor, certificate_id: uuid.UUID, move: str, body: ReasonBody, key: str) -> Response:
    if body.approval is None:
        raise InvalidInput("no approval", errors=[{"field": "approval", "message": "a successor needs its own approval"}])
    issuing, address = request.app.state.house.issuing, address_of(request)
    async with issuing.database.session() as session:
        why = await settle(session, move, body.grounds())
    succession = Succession(certificate_id, move, why.reason, why.code, why.legal_basis)
    return _outcome(request, await approve(issuing, actor, body.approval.approval(succession), key, address=address))


def _add_move(move: str) -> None:
    async def endpoint(request: Request, certificate_id: str) -> Response:
        return await _change(request, certificate_id, move)

    path = f"/certificates/{{certificate_id}}/{move.replace('_', '-')}"
    router.add_api_route(
        path, endpoint, methods=["POST"], name=f"post_{move}", operation_id=f"post_{move}", openapi_extra=_documented(ReasonBody),
        description=_MOVES[move],
    )  # fmt: skip


_MOVES = {
    "suspend": "Suspend a certificate in force. `reason` is required.",
    "resume": "Put a suspended certificate into force again.",
    "revoke": "Revoke a certificate (撤销).",
    "withdraw": "Withdraw a certificate as a penalty (吊销).",
    "cancel": "Cancel a certificate (注销); one whose period is over, too.",
    "renew": "Issue a successor that takes its place; `approval` is the successor's. Answers as `/approvals` does.",
    "change": "Issue a changed successor that takes its place; `approval` is the successor's. Answers as `/approvals` does.",
    "transfer_in": "Issue the successor of a certificate that another issuer lets pass here (迁入). Answers as `/approvals` does.",
}
for _move in _MOVES:
    _add_move(_move)


@router.get("/verify/{code}")
async def get_verify(request: Request, code: str) -> Response:
    """What stands behind a verification code: the record, masked. It never claims that a signature was checked."""
    house = request.app.state.house
    report = await record_by_code(house.database, house.clock.now(), code)
    if report.certificate is None:
        title = _UNKNOWN[preferred_language(request) == "zh"]
        return JSONResponse(report.to_json() | {"code": "UNKNOWN_CODE", "title": title}, 404, NO_STORE)
    return JSONResponse(report.to_json(), headers=NO_STORE)
