"""``GET /pki/trust-list``: our signed list of trusted authorities (``docs/trust-list.md``), for anybody.

How authorities come onto it over HTTP: :mod:`api.routes.authorities`.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.code_services import code_services
from api.wiring import House
from keys.base.errors import NotFound
from keys.custody.store import Algorithm
from keys.suites import Crypto
from keys.trust.documents import TYPE
from keys.trust.publishing import current_list, list_of_version

MEDIA_TYPE = f"application/{TYPE}"
_MAX_VERSION_DIGITS = 18


class TrustListVersionUnknown(NotFound):
    code = "TRUST_LIST_VERSION_UNKNOWN"
    public = ("没有这个版本的信任列表。", "There is no trust list of this version.")


async def trust_list(request: Request) -> Response:
    """The list as of now; made anew when what it says has changed."""
    house: House = request.app.state.house
    algorithm = Algorithm.SM2 if house.settings.crypto is Crypto.SM else Algorithm.P256
    code_keys = [one.to_json() for one in await code_services(request).keys()]
    published = await current_list(house.database, house.keystore, house.clock, house.base_url, algorithm, code_keys)
    headers = {"Cache-Control": "public, max-age=300", "ETag": f'"{published.digest.hex()}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(published.jws, media_type=MEDIA_TYPE, headers=headers)


async def trust_list_version(request: Request) -> Response:
    """A list as it was once signed: what ``previous`` of its successor is the digest of."""
    house: House = request.app.state.house
    text: str = request.path_params["version"]
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_VERSION_DIGITS):
        raise TrustListVersionUnknown(text[:20])
    async with house.database.session() as session:
        found = await list_of_version(session, int(text))
    if found is None:
        raise TrustListVersionUnknown(text)
    return Response(found.jws, media_type=MEDIA_TYPE, headers={"Cache-Control": "public, max-age=31536000, immutable"})


routes: list[BaseRoute] = [
    Route("/pki/trust-list", trust_list),
    Route("/pki/trust-list/{version}", trust_list_version),
]
