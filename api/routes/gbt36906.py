"""Endpoints in the shape of GB/T 36906 (电子证照 共享服务接口规范) beside the REST ones: ``/api/v1/gbt36906/…`` (``docs/copies.md``).

Find by holder and type, fetch metadata, fetch an annotated copy (加注件) through a temporary address, fetch the original (原件), verify a
file. Members carry the short names of GB/T 36903 and, where that has none, the initials of their Chinese names; every answer is an envelope
``{"head": {"status", "message"}, "data"}``. The standard's text is not public, so the names follow deployed interfaces: the members stand
in one table here, for whoever must match a given counterpart. The rules, journeys and records are those of the REST endpoints: a reason
for use (``SYSY``) is mandatory in every fetch.

=======  ============================  =======  ==========================================
CZZTDM   holder's code                 SYSY     reason for use, at most 200 characters
CZZTDMLXDM  its type                   SXBM     code of the matter
ZZLXDM   type of certificate           SQBS     id of the holder's consent
ZZBS     identifier of a certificate   LZM      code the holder shows (亮证码)
YXTS     days the copy holds           QQBH     number of the request: the same number, the same copy
=======  ============================  =======  ==========================================
"""

import base64
import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from api.addresses import address_of
from api.bearer import require_scope
from api.problems import preferred_language
from api.requester_pace import metered, pace
from api.routes.certificates import NO_STORE, READ, Body, Line, _documented, _parse, library_of
from api.routes.verify_file import judge_upload
from certs.access_rates import Use
from certs.copies import DAYS, MOST_DAYS, CopyWanted, make_copy
from certs.copy_reading import temporary_address
from certs.known_files import known_file
from certs.metadata import describe
from certs.reads import find_certificate
from certs.shared_reading import Query, Shared, find_for_matter, share
from certs.sharing import Want
from keys.base.actor import Actor
from keys.base.errors import FujieError, NotFound

VERIFY_PATH = "/api/v1/gbt36906/verify"
router = APIRouter(prefix="/api/v1/gbt36906", tags=["GB/T 36906"])


class FetchBody(Body):
    """Who, what and why; the names of the module's table."""

    SYSY: Line
    SXBM: Line = ""
    CZZTDM: Annotated[str, Field(max_length=500, repr=False)] = ""
    CZZTDMLXDM: Line = ""
    ZZLXDM: Line = ""
    ZZBS: Line = ""
    SQBS: Annotated[uuid.UUID | None, Field(strict=False)] = None
    LZM: Annotated[str, Field(max_length=500, repr=False)] = ""

    def query(self, want: Want, certificate_id: uuid.UUID | None = None) -> Query:
        """The core's value."""
        return Query(self.SXBM, self.SYSY, want, self.ZZLXDM, self.CZZTDM, self.CZZTDMLXDM, self.SQBS, self.LZM, certificate_id)


class CopyFetchBody(FetchBody):
    """The same, with the number of the request and how long the copy holds."""

    QQBH: Line
    YXTS: Annotated[int, Field(ge=1, le=MOST_DAYS)] = DAYS


Answering = Callable[[], Awaitable[Any]]


async def _enveloped(request: Request, answering: Answering) -> Response:
    """Refusals keep their HTTP status and their code: it stands in ``head``."""
    try:
        data = await answering()
    except FujieError as error:
        words = error.public[preferred_language(request) != "zh"]
        head = {"status": error.code, "message": words}
        wrong = error.extra.get("errors")
        return JSONResponse({"head": head, "data": {"errors": wrong} if wrong else None}, error.status, NO_STORE | _retry(error))
    return JSONResponse({"head": {"status": "0", "message": "成功"}, "data": data}, headers=NO_STORE)


def _retry(error: FujieError) -> dict[str, str]:
    after = error.extra.get("retry_after")
    return {"Retry-After": str(after)} if after is not None else {}


@router.post("/find", openapi_extra=_documented(FetchBody))
async def post_find(request: Request) -> Response:
    """证照查询: does the holder have one (``CYQK``), and the records that may be had. Asked for a matter (``SXBM``)."""

    async def answering() -> list[dict[str, object]]:
        actor = await require_scope(request, READ)
        await pace(request, actor, Use.FIND)
        body = await _parse(request, FetchBody)
        found = await find_for_matter(library_of(request), actor, body.query(Want.DATA))
        wanted = [one for one in found if body.ZZLXDM in ("", one.type_code)]
        return [
            {
                "ZZLXDM": one.type_code, "CYQK": one.holds,
                "ZZLB": [{"ZZBS": held.identifier, "ZZMC": held.type_name, "ZZZT": held.status.value} for held in one.certificates],
                "KHQ": {want.value: decision.permitted for want, decision in one.decisions.items()},
            }
            for one in wanted
        ]  # fmt: skip

    return await _enveloped(request, answering)


@router.post("/metadata", openapi_extra=_documented(FetchBody))
async def post_metadata(request: Request) -> Response:
    """元数据获取: the metadata of one certificate under the short names of GB/T 36903."""

    async def answering() -> dict[str, Any]:
        shared = await _shared(request, Want.RECORD, Use.RECORD)
        if shared.certificate is None:
            raise NotFound("certificate")
        return {**describe(shared.certificate, shared.kind), "ZZZT": shared.certificate.status.value}

    return await _enveloped(request, answering)


@router.post("/original", openapi_extra=_documented(FetchBody))
async def post_original(request: Request) -> Response:
    """原件获取: the sealed original, base64 (``WJ``), where the rules allow more than a copy."""

    async def answering() -> dict[str, Any]:
        shared = await _shared(request, Want.FILE, Use.FILE)
        if shared.certificate is None or shared.file is None:
            raise NotFound("certificate")
        return {"ZZBS": shared.certificate.identifier, "WJ": base64.b64encode(shared.file).decode(), "WJLX": "application/pdf"}

    return await _enveloped(request, answering)


async def _shared(request: Request, want: Want, use: Use) -> Shared:
    actor = await require_scope(request, READ)
    await pace(request, actor, use)
    body = await _parse(request, FetchBody)
    return await share(library_of(request), actor, body.query(want, await _named(request, body.ZZBS)))


async def _named(request: Request, identifier: str) -> uuid.UUID | None:
    """The certificate with an identifier; None where none was named."""
    if not identifier:
        return None
    async with request.app.state.house.database.session() as session:
        found = await find_certificate(session, identifier)
    if found is None or found.identifier != identifier:
        raise NotFound("certificate")
    return found.id


@router.post("/copy", openapi_extra=_documented(CopyFetchBody))
async def post_copy(request: Request) -> Response:
    """加注件获取: an annotated copy is made, and may be downloaded once from ``XZDZ`` until ``XZDZYXQ``."""

    async def answering() -> dict[str, Any]:
        actor = await require_scope(request, READ)
        await pace(request, actor, Use.COPY)
        return await _copied(request, actor, await _parse(request, CopyFetchBody))

    return await _enveloped(request, answering)


async def _copied(request: Request, actor: Actor, body: CopyFetchBody) -> dict[str, Any]:
    house = request.app.state.house
    wanted = CopyWanted(
        body.SYSY, body.SXBM, await _named(request, body.ZZBS), body.ZZLXDM, body.CZZTDM, body.CZZTDMLXDM, body.SQBS, body.LZM, body.YXTS
    )
    copy = await make_copy(house.issuing, actor, wanted, body.QQBH, address_of(request))
    secret, until = await temporary_address(library_of(request), actor, copy.id)
    return {
        "JZJBS": str(copy.id), "JZJHYM": copy.verification_code, "JZJZZSJ": copy.made_at.isoformat(), "JZJZZSY": copy.purpose,
        "JZJYXQJZSJ": copy.expires_at.isoformat(), "JZJZY": copy.sha256.hex(), "YJZY": copy.original_hash.hex(), "ZYSF": "SHA-256",
        "XZDZ": f"{house.base_url}/api/v1/downloads/{secret}", "XZDZYXQ": until.isoformat(),
    }  # fmt: skip


@router.post(
    "/verify",
    openapi_extra={"requestBody": {"required": True, "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def post_verify(request: Request) -> Response:
    """文件核验: the file as the body; the verdict on it and, where it was made here, what it is worth today. Scope ``verify``."""

    async def answering() -> dict[str, Any]:
        actor = await require_scope(request, "verify")
        await metered(request, actor, Use.VERIFY)
        judged, house = await judge_upload(request), request.app.state.house
        known = await known_file(house.database, house.clock.now(), bytes.fromhex(judged.sha256))
        verdict = judged.verdict
        return {
            "HYJG": verdict.indication.value, "HYJGYY": verdict.sub_indication, "WJZY": judged.sha256,
            "WJJL": known.to_json() if known else None,
        }  # fmt: skip

    return await _enveloped(request, answering)
