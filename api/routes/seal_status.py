"""The status of our seals for others, and the registries of others.

Open to anyone: ``GET /api/v1/seals/{code}/status`` and ``GET /pki/seal-status-list``. They tell nothing that is not printed on
a stamp or filed, and no person. The feed takes scope ``seals:read``; registering another registry ``seals:manage`` and a security
administrator with two factors.
"""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.routing import BaseRoute, Route

from api.limits import throttle
from api.routes.audit import aware
from api.routes.seals import Manager, Reader
from api.wiring import House
from certs.idempotency import require_key
from keys.base.actor import ActorKind, Role
from keys.base.errors import Forbidden, InvalidInput
from keys.custody.store import Algorithm, Purpose
from keys.suites import Crypto
from keys.trust.certificates import read_bundle
from keys.trust.publishing import ensure_list_signer
from keys.trust.signed import sign_document
from seal.foreign_http import MEDIA_TYPE
from seal.national_feed import export_all
from seal.public_status import TYPE, public_seal, status_document
from seal.reads import SealNotFound
from seal.registries import Registry, register, registries, withdraw
from seal.status_list import TYPE as LIST_TYPE
from seal.status_list import current_status_list

router = APIRouter(prefix="/api/v1", tags=["seals"])
Line = Annotated[str, StringConstraints(max_length=200)]
_ASKED_A_MINUTE = 600


class SealFeedForbidden(Forbidden):
    """The whole register goes to clients with the scope, and to administrators."""

    code = "SEAL_FEED_FORBIDDEN"
    public = (
        "印章数据流仅供获得授权的系统和管理员使用。",
        "The feed of seals is for connected systems with this right, and administrators.",
    )


class RegistryBody(BaseModel):
    """``url``: its base address, empty where only feeds of it are taken in; ``roots``: PEM; ``divisions``: GB/T 2260."""

    model_config = ConfigDict(extra="forbid")

    name: Line
    url: Line = ""
    divisions: Annotated[list[Line], Field(min_length=1, max_length=64)]
    roots: Annotated[str, StringConstraints(max_length=1 << 19)] = ""


def _algorithm(house: House) -> Algorithm:
    return Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256


@router.get("/seals/{code}/status")
async def get_status(request: Request, code: str, at: dt.datetime | None = None) -> Response:
    """Whether a seal is, or at any past instant was, in use. Open to anyone; signed where ``Accept`` asks for ``application/jose+json``."""
    await throttle(request, "seal-status", limit=_ASKED_A_MINUTE, seconds=60)
    house: House = request.app.state.house
    now = house.clock.now()
    instant = aware(at) or now
    if instant > now:
        raise InvalidInput("in the future", errors=[{"field": "at", "message": "not in the future"}])
    async with house.database.session() as session:
        seal = await public_seal(session, code)
    document = status_document(house.base_url, code[:20], seal, instant, now)
    if MEDIA_TYPE in request.headers.get("accept", ""):
        return await _signed(house, document)
    if seal is None:
        raise SealNotFound(code[:20])
    return JSONResponse(document, headers={"Cache-Control": "no-store"})


async def _signed(house: House, document: dict[str, object]) -> Response:
    """An unknown seal is an answer too, and signed like any other."""
    async with house.database.begin() as session:
        signer = await ensure_list_signer(session, house.keystore, house.clock.now(), _algorithm(house))
    jws = sign_document(TYPE, document, signer.alg, signer.chain, lambda octets: house.keystore.sign(signer.key, octets, Purpose.TRUST))
    return Response(jws, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def status_list(request: Request) -> Response:
    """The signed list of the status of all our seals, for verifiers without a connection."""
    house: House = request.app.state.house
    published = await current_status_list(house.database, house.keystore, house.clock, house.base_url, _algorithm(house))
    headers = {"Cache-Control": "public, max-age=300", "ETag": f'"{published.digest.hex()}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(published.jws, media_type=f"application/{LIST_TYPE}", headers=headers)


@router.get("/seal-feed", response_class=StreamingResponse)
async def get_feed(
    request: Request, actor: Reader, after: Annotated[int, Query(ge=0)] = 0, since: dt.datetime | None = None
) -> StreamingResponse:
    """The register as JSON lines, each a step in a seal's life, after a position or from an instant on (``docs/seals.md``)."""
    wide = actor.kind is ActorKind.CLIENT or bool(actor.roles & {Role.SECURITY_ADMIN, Role.AUDITOR})
    if not wide:
        raise SealFeedForbidden
    house: House = request.app.state.house

    async def lines() -> AsyncIterator[bytes]:
        async for line in export_all(house.database, after=after, since=aware(since)):
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    return StreamingResponse(lines(), media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def _registry_json(one: Registry) -> dict[str, object]:
    return {"name": one.name, "url": one.url, "divisions": list(one.divisions), "roots": len(one.roots)}


@router.get("/seal-registries")
async def get_registries(request: Request, actor: Manager) -> Response:
    """The registries of others whose word counts here."""
    async with request.app.state.house.database.session() as session:
        found = await registries(session)
    return JSONResponse({"items": [_registry_json(one) for one in found], "next_cursor": None}, headers={"Cache-Control": "no-store"})


@router.post("/seal-registries", status_code=201)
async def post_registry(request: Request, actor: Manager, body: RegistryBody) -> Response:
    """Register another registry; the same name again replaces what was registered. Header ``Idempotency-Key`` is required."""
    house: House = request.app.state.house
    require_key(request.headers.get("idempotency-key"))
    roots = read_bundle(body.roots.encode()) if body.roots.strip() else ()
    registry = Registry(body.name, body.url, tuple(body.divisions), tuple(roots))
    made = await register(house.database, house.clock, actor, registry, house.settings.reachable)
    return JSONResponse(_registry_json(made), 201, {"Cache-Control": "no-store"})


@router.post("/seal-registries/{name}/withdraw", status_code=204, response_class=Response)
async def post_withdraw(request: Request, actor: Manager, name: str) -> Response:
    """Its word counts no more. Header ``Idempotency-Key`` is required."""
    house: House = request.app.state.house
    require_key(request.headers.get("idempotency-key"))
    await withdraw(house.database, house.clock, actor, name)
    return Response(status_code=204)


routes: list[BaseRoute] = [Route("/pki/seal-status-list", status_list)]
