"""Verification for anyone beside files and codes: by number and holder's detail, and what may be said of all certificates together."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from api.number_check import look_up
from certs.number_lookup import MOST_TYPED
from keys.base.errors import InvalidInput

router = APIRouter(prefix="/api/v1", tags=["verification"])
Line = Annotated[str, StringConstraints(min_length=1, max_length=MOST_TYPED)]


class NumberBody(BaseModel):
    """``number``: as printed; ``detail``: the holder's name, or their number in full."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: Line
    detail: Line


@router.post(
    "/verify/number",
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": NumberBody.model_json_schema()}}}},
)
async def post_number(request: Request) -> Response:
    """The record of a certificate by its number and its holder's name or number. 404 says no more than that the two do not belong
    together here. At most 20 questions an hour from one address, 10 about one number."""
    try:
        body = NumberBody.model_validate_json(await request.body())
    except ValidationError as refusal:
        wrong = {str(one["loc"][0]): one["type"] for one in refusal.errors(include_input=False) if one["loc"]}
        known = [{"field": name, "message": wrong[name]} for name in NumberBody.model_fields if name in wrong]
        raise InvalidInput("the body does not fit", errors=known or [{"field": "body", "message": "malformed"}]) from None
    report = await look_up(request, body.number, body.detail)
    return JSONResponse(report.to_json(), headers={"Cache-Control": "no-store"})
