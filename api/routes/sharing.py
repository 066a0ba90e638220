"""``/api/v1/sharing``: other departments find, ask and fetch; holders agree on their phones or show a code (``docs/sharing.md``).

Scope ``certificates:read`` throughout. Numbers of people and codes that are shown stand in bodies, never in addresses.
"""

import base64
import uuid
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.bearer import require_scope
from api.requester_pace import pace
from api.routes.certificates import NO_STORE, READ, Body, Line, _documented, _parse, identifier_of, library_of
from certs.access_rates import Use
from certs.catalogue import CertificateType
from certs.consents import (
    ShareRequest,
    Wish,
    answer_request,
    ask_holder,
    request_of,
    request_to_me,
    requests_to_me,
    take_back,
)
from certs.idempotency import require_key
from certs.library import ordered_fields
from certs.metadata import describe
from certs.portraits import photograph_shown
from certs.records import Certificate
from certs.shared_reading import USES, Findable, Query, Shared, find_for_matter, share
from certs.sharing import Want
from certs.show_purposes import PURPOSES
from certs.showing import Face, Showing, check, current, start, stop
from keys.base.actor import Actor, ActorKind
from keys.base.clock import civil_date
from keys.base.errors import InvalidInput, NotFound

router = APIRouter(prefix="/api/v1/sharing", tags=["sharing"])


class HolderBody(Body):
    """Whom it is about, and for what. ``purpose``: 1–200 characters, logged, and the holder reads it."""

    matter: Line
    purpose: Line
    holder_code: Line
    code_type: Line


class FetchBody(Body):
    """Whom it is about: a number; or ``consent``, a request the holder allowed; or ``show_code``, the code the holder shows.

    ``matter`` may be left out only where an opened right needs none; ``certificate`` chooses among several.
    """

    purpose: Line
    matter: Line = ""
    type: Line = ""
    holder_code: Line = ""
    code_type: Line = ""
    consent: Line | None = None
    show_code: Line = ""
    certificate: Line | None = None

    def query(self, want: Want) -> Query:
        """The core's value."""
        return Query(
            self.matter, self.purpose, want, self.type, self.holder_code, self.code_type,
            identifier_of(self.consent) if self.consent else None, self.show_code,
            identifier_of(self.certificate) if self.certificate else None,
        )  # fmt: skip


class WishBody(HolderBody):
    """``want``: how much the holder is asked for: data, record, copy or file."""

    type: Line
    want: Annotated[Want, Field(strict=False)] = Want.RECORD


class AllowBody(Body):
    """Which of the holder's certificates may be used."""

    certificate: Line


class ShowBody(Body):
    """``purpose``: a code of ``GET /sharing/purposes``, or ``matter`` with the matter's code in ``matter``."""

    certificate: Line
    purpose: Line
    matter: Line = ""


class CheckBody(Body):
    """``purpose``: what the checker checks it for; it must be what the holder shows it for."""

    code: Line
    purpose: Line


@router.post("/find", openapi_extra=_documented(HolderBody))
async def post_find(request: Request) -> Response:
    """What a matter asks for and what of it may be had of this holder: ``holds`` where yes or no may be told, and for each further want
    the code of the rule that decides. Logged; the holder sees it."""
    actor = await require_scope(request, READ)
    body = await _parse(request, HolderBody)
    query = Query(body.matter, body.purpose, holder_code=body.holder_code, code_type=body.code_type)
    await pace(request, actor, Use.FIND)
    found = await find_for_matter(library_of(request), actor, query)
    return JSONResponse({"matter": body.matter, "items": [_findable(request, one) for one in found]}, headers=NO_STORE)


@router.post("/answer", openapi_extra=_documented(FetchBody))
async def post_answer(request: Request) -> Response:
    """Does the holder hold a valid one: yes or no, and nothing else. What most matters need, and what should be asked first."""
    shared = await _shared(request, Want.DATA)
    return JSONResponse({"type": shared.type_code, "holds": shared.holds, "reason": shared.decision.code}, headers=NO_STORE)


@router.post("/record", openapi_extra=_documented(FetchBody))
async def post_record(request: Request) -> Response:
    """The record of the holder's certificate, with its metadata under the short names of GB/T 36903."""
    shared = await _shared(request, Want.RECORD)
    content = {"reason": shared.decision.code, "certificate": _record(request, _held(shared), shared.kind)}
    return JSONResponse(content, headers=NO_STORE)


@router.post("/file", openapi_extra=_documented(FetchBody), response_class=Response)
async def post_file(request: Request) -> Response:
    """The sealed PDF, the original. Departments that file it away take an annotated copy instead."""
    shared = await _shared(request, Want.FILE)
    headers = {"Content-Disposition": f'attachment; filename="{_held(shared).id}.pdf"', "X-Content-Type-Options": "nosniff"}
    return Response(shared.file, media_type="application/pdf", headers=NO_STORE | headers)


async def _shared(request: Request, want: Want) -> Shared:
    actor = await require_scope(request, READ)
    body = await _parse(request, FetchBody)
    await pace(request, actor, USES[want])
    return await share(library_of(request), actor, body.query(want))


def _held(shared: Shared) -> Certificate:
    if shared.certificate is None:
        raise NotFound("certificate")
    return shared.certificate


def _findable(request: Request, one: Findable) -> dict[str, object]:
    return {
        "type": one.type_code,
        "papers": list(one.papers),
        "holds": one.holds,
        "wants": {want.value: {"permitted": decision.permitted, "reason": decision.code} for want, decision in one.decisions.items()},
        "certificates": [_brief(request, certificate) for certificate in one.certificates],
    }


def _brief(request: Request, certificate: Certificate) -> dict[str, object]:
    today = civil_date(request.app.state.house.clock.now())
    return {
        "id": str(certificate.id), "type_name": certificate.type_name, "issuer": certificate.issuer,
        "issuer_name": certificate.issuer_name, "status": certificate.standing(today).value, "trust_grade": certificate.trust_grade,
        "valid_to": certificate.valid_to.isoformat() if certificate.valid_to else None,
    }  # fmt: skip


def _record(request: Request, certificate: Certificate, kind: CertificateType | None) -> dict[str, object]:
    base_url, code = request.app.state.house.base_url, certificate.verification_code
    return _brief(request, certificate) | {
        "identifier": certificate.identifier,
        "type": certificate.type_code,
        "status_code": certificate.status.value,
        "flags": list(certificate.flags),
        "document_sha256": certificate.document_hash.hex() if certificate.document_hash else None,
        "fields": dict(ordered_fields(certificate, kind)),
        "metadata": describe(certificate, kind),
        "links": {"verify": f"{base_url}/v/{code}"} if code else {},
    }


@router.post("/requests", status_code=201, openapi_extra=_documented(WishBody))
async def post_request(request: Request) -> Response:
    """Ask the holder on their phone. The answer is the same whether or not there is such a holder or certificate.

    Header ``Idempotency-Key``; the same question while one is open is the one that is open.
    """
    actor = await require_scope(request, READ)
    require_key(request.headers.get("idempotency-key"))
    body = await _parse(request, WishBody)
    await pace(request, actor, Use.FIND)
    wish = Wish(body.matter, body.type, body.want, body.purpose, body.holder_code, body.code_type)
    return _request(request, await ask_holder(library_of(request), actor, wish), 201)


@router.get("/requests")
async def get_requests(request: Request) -> Response:
    """What the person, and the organisation they speak for, were asked; newest first."""
    actor = await require_scope(request, READ)
    items = [_told(one) | {"organisation": one.organisation} for one in await requests_to_me(library_of(request), actor)]
    return JSONResponse({"items": items, "next_cursor": None}, headers=NO_STORE)


@router.get("/requests/{request_id}")
async def get_request(request: Request, request_id: str) -> Response:
    """Whether the holder answered: pending, allowed, refused, withdrawn, used or expired. For who asked, and for the holder."""
    actor = await require_scope(request, READ)
    wanted = identifier_of(request_id)
    if actor.kind is ActorKind.CLIENT:
        return _request(request, await request_of(library_of(request), actor, wanted))
    return await _as_holder(request, actor, wanted)


async def _as_holder(request: Request, actor: Actor, wanted: uuid.UUID) -> Response:
    try:
        found, held = await request_to_me(library_of(request), actor, wanted)
    except NotFound:
        return _request(request, await request_of(library_of(request), actor, wanted))
    content = _told(found) | {"organisation": found.organisation, "certificates": [_brief(request, one) for one in held]}
    return JSONResponse(content, headers=NO_STORE)


@router.post("/requests/{request_id}/allow", openapi_extra=_documented(AllowBody))
async def post_allow(request: Request, request_id: str) -> Response:
    """The holder agrees to one use of one certificate, within ten minutes."""
    actor = await require_scope(request, READ)
    body = await _parse(request, AllowBody)
    chosen = identifier_of(body.certificate)
    return _request(request, await answer_request(library_of(request), actor, identifier_of(request_id), chosen))


@router.post("/requests/{request_id}/refuse")
async def post_refuse(request: Request, request_id: str) -> Response:
    """The holder says no; no reason is asked for."""
    actor = await require_scope(request, READ)
    return _request(request, await answer_request(library_of(request), actor, identifier_of(request_id), None))


@router.post("/requests/{request_id}/withdraw")
async def post_withdraw(request: Request, request_id: str) -> Response:
    """The holder takes back what was not used yet."""
    actor = await require_scope(request, READ)
    return _request(request, await take_back(library_of(request), actor, identifier_of(request_id)))


def _request(request: Request, one: ShareRequest, status: int = 200) -> Response:
    links = {"self": f"{request.app.state.house.base_url}/api/v1/sharing/requests/{one.id}"}
    return JSONResponse(_told(one) | {"links": links}, status, NO_STORE | ({"Location": links["self"]} if status == 201 else {}))


def _told(one: ShareRequest) -> dict[str, object]:
    return {
        "id": str(one.id), "state": one.state.value, "matter": one.matter_code, "type": one.type_code, "want": one.want.value,
        "purpose": one.purpose, "asked_at": one.asked_at.isoformat(), "expires_at": one.expires_at.isoformat(),
    }  # fmt: skip


@router.get("/purposes")
async def get_purposes(request: Request) -> Response:
    """What a certificate can be shown for where no matter is."""
    await require_scope(request, READ)
    return JSONResponse({"items": [{"code": code, "zh": zh, "en": en} for code, (zh, en) in PURPOSES.items()]}, headers=NO_STORE)


@router.post("/showings", status_code=201, openapi_extra=_documented(ShowBody))
async def post_showing(request: Request) -> Response:
    """The holder begins to show a certificate: `url` is what the QR code holds; it changes every minute. One showing at a time."""
    actor = await require_scope(request, READ)
    body = await _parse(request, ShowBody)
    return _showing(request, await start(library_of(request), actor, identifier_of(body.certificate), body.purpose, body.matter), 201)


@router.get("/showings/{showing_id}")
async def get_showing(request: Request, showing_id: str) -> Response:
    """The code of this minute, or when and by whom it was checked."""
    actor = await require_scope(request, READ)
    return _showing(request, await current(library_of(request), actor, identifier_of(showing_id)))


@router.post("/showings/{showing_id}/stop", status_code=204, response_class=Response)
async def post_stop(request: Request, showing_id: str) -> Response:
    """The holder shows it no longer."""
    actor = await require_scope(request, READ)
    await stop(library_of(request), actor, identifier_of(showing_id))
    return Response(status_code=204, headers=NO_STORE)


def _showing(request: Request, one: Showing, status: int = 200) -> Response:
    base_url = request.app.state.house.base_url
    content = {
        "id": str(one.id), "certificate": str(one.certificate_id), "purpose": one.purpose, "matter": one.matter_code,
        "code": one.code or None, "url": f"{base_url}/s/{one.code}" if one.code else None, "changes_at": one.changes_at.isoformat(),
        "ends_at": one.ends_at.isoformat(), "checked_at": one.used_at.isoformat() if one.used_at else None, "checked_by": one.used_by,
    }  # fmt: skip
    return JSONResponse(content, status, NO_STORE)


@router.post("/check", openapi_extra=_documented(CheckBody))
async def post_check(request: Request) -> Response:
    """Check a code that is shown: the face, once, with the photograph (JPEG, base64) where the certificate has one.

    Whoever acts in the matter it is shown for fetches the record with the code instead.
    """
    actor = await require_scope(request, READ)
    body = await _parse(request, CheckBody)
    if not body.purpose.strip():
        raise InvalidInput("purpose", errors=[{"field": "purpose", "message": "missing"}])
    await pace(request, actor, Use.FIND)
    library = library_of(request)
    photo = await photograph_shown(library, request.app.state.house.workers, body.code)
    content = _face(await check(library, actor, body.code, body.purpose)) | {"photo": base64.b64encode(photo).decode() if photo else None}
    return JSONResponse(content, headers=NO_STORE)


def _face(face: Face) -> dict[str, object]:
    return {
        "name": face.name, "type_name": face.type_name, "type_name_en": face.type_name_en, "issuer_name": face.issuer_name,
        "status": face.standing.value, "valid_to": face.valid_to.isoformat() if face.valid_to else None,
        "purpose": {"zh": face.purpose[0], "en": face.purpose[1]}, "checked_at": face.checked_at.isoformat(),
    }  # fmt: skip
