"""``GET /api/v1/verify/{code}`` as it is served: the hot one of all questions, by exact path and in one statement.

``api.routes.certificates`` describes it in the OpenAPI document.
"""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.problems import preferred_language
from api.wiring import House
from certs.status_publishing import list_address
from certs.verification_hot import Records

_NO_STORE = {"Cache-Control": "no-store"}
_UNKNOWN = ("No certificate has this verification code.", "没有证照使用这个核验码。")


async def get_verify(request: Request) -> Response:
    """The record, masked, with the certificate's place in a status list. It never claims that a signature was checked."""
    house: House = request.app.state.house
    report, place = await records(request).by_code(house.clock.now(), request.path_params["code"])
    content = report.to_json()
    if report.certificate is None:
        title = _UNKNOWN[preferred_language(request) == "zh"]
        content |= {"code": "UNKNOWN_CODE", "title": title}
        return Response(orjson.dumps(content), 404, _NO_STORE, "application/json")
    content["status_list"] = {"uri": list_address(house.base_url, place[0]), "idx": place[1]} if place else None
    return Response(orjson.dumps(content), 200, _NO_STORE, "application/json")


def records(request: Request) -> Records:
    """The reader of the application that answers."""
    state = request.app.state
    if getattr(state, "records", None) is None:
        state.records = Records(state.house.database)
    found: Records = state.records
    return found


routes: list[BaseRoute] = [Route("/api/v1/verify/{code}", get_verify, methods=["GET"])]
