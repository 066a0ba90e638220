"""What certificates point to: authorities' certificates and revocation lists, DER, at stable addresses."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from keys.pki.authority import authority_certificate
from keys.pki.crl import current_crl, current_partition
from keys.pki.errors import AuthorityUnknown

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_PARTITION = re.compile(r"[1-9][0-9]{0,5}")  # Python reads no number of more than 4300 digits


def _authority(request: Request) -> str:
    """The name in the address, if an authority could be called so; ``AuthorityUnknown``."""
    name: str = request.path_params["authority"]
    if _NAME.fullmatch(name) is None:
        raise AuthorityUnknown("not the form of an authority's name")
    return name


async def certificate(request: Request) -> Response:
    """``GET /pki/{authority}.crt``: the authority's certificate (RFC 5280 §4.2.2.1 asks for DER)."""
    house = request.app.state.house
    async with house.database.session() as session:
        found = await authority_certificate(session, _authority(request))
    return Response(found, media_type="application/pkix-cert", headers={"Cache-Control": "public, max-age=3600"})


async def revocation_list(request: Request) -> Response:
    """``GET /pki/{authority}.crl``: the authority's current revocation list."""
    house = request.app.state.house
    async with house.database.begin() as session:
        found = await current_crl(session, house.keystore, house.clock.now(), _authority(request))
    return Response(found, media_type="application/pkix-crl", headers={"Cache-Control": "public, max-age=300"})


async def partition(request: Request) -> Response:
    """``GET /pki/{authority}/{partition}.crl``: the list that the authority's certificates name, where it has partitions."""
    house = request.app.state.house
    number: str = request.path_params["partition"]
    if _PARTITION.fullmatch(number) is None:
        raise AuthorityUnknown("not the number of a partition")
    async with house.database.begin() as session:
        found = await current_partition(session, house.keystore, house.clock.now(), _authority(request), int(number))
    return Response(found, media_type="application/pkix-crl", headers={"Cache-Control": "public, max-age=300"})


routes: list[BaseRoute] = [
    Route("/pki/{authority}.crt", certificate),
    Route("/pki/{authority}.crl", revocation_list),
    Route("/pki/{authority}/{partition}.crl", partition),
]
