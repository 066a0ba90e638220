"""Enrolment over HTTP after RFC 7030 (EST), for a person's bearer token instead of a TLS client certificate.

``GET  /.well-known/est/cacerts``         the authority of people's certificates and its root
``POST /.well-known/est/simpleenroll``    a PKCS #10 request → the person's sign-in certificate and its chain
``POST /.well-known/est/simplereenroll``  the same key → renewed; a new key → the newest certificate's successor

Scope ``pki:enrol``. Whom the certificate names is taken from the account that the token speaks for, never from the request.
"""

import base64
import uuid
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.applicants import applicant_of
from api.bearer import InsufficientScope, require_scope
from api.limits import TooLarge, throttle
from identity.people import require_account
from keys.base.actor import Actor, ActorKind
from keys.base.errors import InvalidInput
from keys.pki.enrolment import Applicant, Enrolment, authority_chain, enrol_with_request, renew_with_request
from keys.pki.handing_out import certs_only
from keys.pki.issuing import IssuedCertificate
from keys.pki.requests import REQUEST_OCTETS

SCOPE = "pki:enrol"
MEDIA_TYPE = "application/pkcs7-mime; smime-type=certs-only"
_ENROLMENTS_A_MINUTE = 30
_COLUMNS = 64

Journey = Callable[[Enrolment, Applicant, bytes], Awaitable[IssuedCertificate]]


class RequestTypeUnsuitable(InvalidInput):
    """The body is not called ``application/pkcs10`` (RFC 7030 §4.2)."""

    code = "CERTIFICATE_REQUEST_TYPE_UNSUITABLE"
    status = 415
    public = ("请以 application/pkcs10 提交证书请求。", "Send the request as application/pkcs10.")


async def authorities(request: Request) -> Response:
    """``GET /.well-known/est/cacerts`` (RFC 7030 §4.1)."""
    async with request.app.state.house.database.session() as session:
        return _certificates(await authority_chain(session))


async def enrol(request: Request) -> Response:
    """``POST /.well-known/est/simpleenroll`` (RFC 7030 §4.2)."""
    return await _answer(request, enrol_with_request)


async def enrol_again(request: Request) -> Response:
    """``POST /.well-known/est/simplereenroll`` (RFC 7030 §4.2.2)."""
    return await _answer(request, renew_with_request)


async def _answer(request: Request, journey: Journey) -> Response:
    await throttle(request, "est", limit=_ENROLMENTS_A_MINUTE, seconds=60)
    actor = await _person(request)
    body = await _body(request)
    house = request.app.state.house
    house.guard.now()  # nothing is certified while the clock is in doubt
    async with house.database.session() as session:
        applicant = await applicant_of(session, await require_account(session, uuid.UUID(actor.id)))
    issued = await journey(Enrolment(house.database, house.keystore, house.clock, actor), applicant, body)
    return _certificates((issued.certificate, *issued.chain))


async def _person(request: Request) -> Actor:
    """Who enrols: a token that speaks for a person. A client by itself has no name to certify."""
    actor = await require_scope(request, SCOPE)
    if actor.kind is not ActorKind.PERSON:
        raise InsufficientScope(SCOPE)
    return actor


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/pkcs10":
        raise RequestTypeUnsuitable("content type")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > REQUEST_OCTETS:
            raise TooLarge("certification request", limit=REQUEST_OCTETS)
    return bytes(body)


def _certificates(chain: Sequence[bytes]) -> Response:
    text = base64.b64encode(certs_only(chain))
    lines = b"\r\n".join(text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)) + b"\r\n"
    return Response(lines, headers={"Content-Type": MEDIA_TYPE, "Content-Transfer-Encoding": "base64", "Cache-Control": "no-store"})


routes: list[BaseRoute] = [
    Route("/.well-known/est/cacerts", authorities, methods=["GET"]),
    Route("/.well-known/est/simpleenroll", enrol, methods=["POST"]),
    Route("/.well-known/est/simplereenroll", enrol_again, methods=["POST"]),
]
