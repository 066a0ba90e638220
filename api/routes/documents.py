"""``POST /api/v1/documents``: approval documents (批文), a department's own PDF numbered, sealed and registered (docs/life.md).

The body is multipart: ``file``, the PDF, and ``document``, a JSON object. What comes of it is a certificate: ``/certificates/{id}`` and
everything under it answers for it.
"""

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.addresses import address_of
from api.bearer import require_scope
from api.routes.certificates import ISSUE, NO_STORE, Body, HolderBody, Line, _links, identifier_of, refused_body
from api.routes.verify_file import UploadBroken, UploadMissing, _limited
from api.sealing import sealing_of
from certs.approvals import HolderInput, OutcomeStatus, Succession
from certs.idempotency import require_key
from certs.own_documents import TYPE, OwnDocument, Registered, register
from certs.own_paper_values import CodeWish, SealWish
from seal.rebuilding import DocumentTooLarge

router = APIRouter(prefix="/api/v1", tags=["approval documents"])
_FORM_ROOM = 256 * 1024
Millimetres = Annotated[float, Field(ge=-2000, le=2000, strict=False)]
PageNumber = Annotated[int, Field(ge=-1000, le=1000)]


class SealPlaceBody(Body):
    """The seal's centre on a page (from 1; −1 the last) in mm from the top left corner, or on the words of ``keyword``."""

    page: PageNumber = -1
    x_mm: Millimetres | None = None
    y_mm: Millimetres | None = None
    keyword: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    occurrence: Literal["first", "last"] = "last"
    dx_mm: Millimetres = 0.0
    dy_mm: Millimetres = 0.0


class CodePlaceBody(Body):
    """``auto``: a blank corner of the first page, else a page of its own; ``page``: that page; ``place``: the strip's top left corner."""

    where: Literal["auto", "page", "place"] = "auto"
    page: PageNumber = 1
    x_mm: Millimetres = 0.0
    y_mm: Millimetres = 0.0


class SucceedsBody(Body):
    """The document it takes the place of (an id), and why."""

    certificate: Line
    move: Literal["renew", "change"]
    reason: Line = ""
    reason_code: Line | None = None
    legal_basis: Line | None = None

    def succession(self) -> Succession:
        """The core's value."""
        return Succession(identifier_of(self.certificate), self.move, self.reason, self.reason_code, self.legal_basis)


class DocumentBody(Body):
    """``number``: the document's own (文号); without it the type's rule makes one. ``holders``: whom it concerns."""

    title: Line
    matter_code: Line
    holders: Annotated[list[HolderBody], Field(min_length=1, max_length=50)]
    seal: Line
    number: Line = ""
    certificate_type: Line = TYPE
    fields: dict[Line, Annotated[str, Field(max_length=2000)]] = Field(default_factory=dict)
    valid_from: Annotated[dt.date | None, Field(strict=False)] = None
    valid_to: Annotated[dt.date | None, Field(strict=False)] = None
    issuer: Line | None = None
    approved_by: Line | None = None
    approved_at: Line | None = None
    window: Line | None = None
    seal_place: SealPlaceBody
    code_place: CodePlaceBody = Field(default_factory=CodePlaceBody)
    succeeds: SucceedsBody | None = None

    def order(self) -> OwnDocument:
        """The core's value."""
        return OwnDocument(
            title=self.title, matter_code=self.matter_code, seal=self.seal, number=self.number, type_code=self.certificate_type,
            holders=tuple(HolderInput(one.name, one.code, one.code_type) for one in self.holders), fields=self.fields,
            valid_from=self.valid_from, valid_to=self.valid_to, issuer=self.issuer, approved_by=self.approved_by,
            approved_at=self.approved_at, window=self.window, seal_place=SealWish(**self.seal_place.model_dump()),
            code_place=CodeWish(**self.code_place.model_dump()), succeeds=self.succeeds.succession() if self.succeeds else None,
        )  # fmt: skip


_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "document"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "the PDF"},
                        "document": {"type": "string", "description": "a JSON object: title, matter_code, holders, seal, seal_place, …"},
                    },
                }
            }
        },
    }
}


@router.post("/documents", status_code=201, openapi_extra=_FORM)
async def post_document(request: Request) -> Response:
    """Number, seal and register a PDF of the department's own (201), or leave it for an approver to stamp (202)."""
    actor, house = await require_scope(request, ISSUE), request.app.state.house
    key, rebuilder = require_key(request.headers.get("idempotency-key")), sealing_of(house).rebuilder
    body, pdf = await _received(request, rebuilder.limits.octets)
    done = await register(house.issuing, rebuilder, actor, body.order(), pdf, key, address=address_of(request))
    return JSONResponse(registered_json(house.base_url, done), 201 if done.outcome.status is OutcomeStatus.ISSUED else 202, NO_STORE)


def registered_json(base_url: str, done: Registered) -> dict[str, Any]:
    """As ``/approvals`` answers, with what became of the file."""
    outcome = done.outcome
    return {
        "id": str(outcome.id), "identifier": outcome.identifier, "verification_code": outcome.verification_code,
        "status": outcome.status.value, "removed": dict(done.removed), "code_page": done.code_page,
        "links": _links(base_url, outcome.id, outcome.verification_code),
    }  # fmt: skip


async def _received(request: Request, limit: int) -> tuple[DocumentBody, bytes]:
    """Both parts of the form. Raises ``UploadBroken``, ``UploadMissing``, ``DocumentTooLarge``, ``InvalidInput``."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit + _FORM_ROOM:
        raise DocumentTooLarge(announced, limit=limit)
    parser = MultiPartParser(request.headers, _limited(request, limit + _FORM_ROOM), max_files=1, max_fields=2, max_part_size=_FORM_ROOM)
    try:
        form = await parser.parse()
    except (MultiPartException, LookupError, ValueError) as error:
        raise UploadBroken(type(error).__name__) from error
    try:
        upload, document = form.get("file"), form.get("document")
        if not isinstance(upload, UploadFile) or not isinstance(document, str):
            raise UploadMissing
        return _body(document), await upload.read()
    finally:
        await form.close()


def _body(text: str) -> DocumentBody:
    try:
        return DocumentBody.model_validate_json(text)
    except ValidationError as refusal:
        raise refused_body(refusal) from None
