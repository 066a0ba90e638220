"""What verifiers take along: the keys of offline codes and the status lists. Open to anyone, nothing personal in them.

``GET /.well-known/cose-keys`` (COSE_KeySet), ``GET /pki/code-keys`` (the same, signed under our root), ``GET /status-lists`` (the
addresses of the lists) and ``GET /status-lists/{id}``: a Token Status List, as JWT unless ``Accept`` asks for CWT.
"""

import gzip
import hashlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.code_services import code_services
from certs.code_key_set import COSE_TYPE, TYPE
from certs.status_publishing import StatusListNotFound, list_address
from certs.token_status import CWT_TYPE, JWT_TYPE, TTL

_MAX_DIGITS = 9
_AGE = f"public, max-age={int(TTL.total_seconds())}"
_OPEN = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}


async def cose_keys(request: Request) -> Response:
    """The keys that are believed now, for whoever speaks COSE."""
    return _cached(request, await code_services(request).cose_keys(), COSE_TYPE)


async def signed_keys(request: Request) -> Response:
    """Every key with its validity, signed as the trust list is: what ``fujie codes fetch`` and the offline page keep."""
    content, tag = await code_services(request).signed_keys()
    return _cached(request, content, f"application/{TYPE}", tag)


async def lists(request: Request) -> Response:
    """The addresses of the lists (status list aggregation)."""
    base_url = request.app.state.house.base_url
    addresses = [list_address(base_url, number) for number in await code_services(request).lists.numbers()]
    return JSONResponse({"status_lists": addresses}, headers={"Cache-Control": _AGE, **_OPEN})


async def status_list(request: Request) -> Response:
    """One list. JWT within JSON is base64 twice, so it is sent compressed to whoever takes gzip."""
    name: str = request.path_params["number"]
    if not (name.isascii() and name.isdecimal() and len(name) <= _MAX_DIGITS):
        raise StatusListNotFound(name[:20])
    published = await code_services(request).lists.current(int(name))
    if CWT_TYPE in request.headers.get("accept", ""):
        return _cached(request, published.cwt, CWT_TYPE)
    return _cached(request, published.jwt, f"application/{JWT_TYPE}", squeeze=True)


def _cached(request: Request, content: bytes, media_type: str, tag: str | None = None, *, squeeze: bool = False) -> Response:
    etag = f'"{tag or hashlib.sha256(content).hexdigest()}"'
    headers = {"Cache-Control": _AGE, "ETag": etag, "Vary": "Accept, Accept-Encoding", **_OPEN}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if squeeze and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers = gzip.compress(content, 6, mtime=0), headers | {"Content-Encoding": "gzip"}
    return Response(content, media_type=media_type, headers=headers)


routes: list[BaseRoute] = [
    Route("/.well-known/cose-keys", cose_keys),
    Route("/pki/code-keys", signed_keys),
    Route("/status-lists", lists),
    Route("/status-lists/{number}", status_list),
]
