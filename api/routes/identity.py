"""Real-name checks for portals: ``POST /api/v1/identity/checks``."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from api.bearer import require_scope
from identity.numbers import FLAGS
from identity.realname import RealNameResult, check_real_name, parse_claim, with_registry
from identity.realname_sources import Outcome
from keys.base.actor import Actor
from keys.base.errors import InvalidInput

router = APIRouter(prefix="/api/v1/identity", tags=["identity"])


class NumberInvalid(InvalidInput):
    """The number fails its own rules (length, date, check digit …); ``errors`` says which, and no source was asked."""

    code = "ID_NUMBER_INVALID"
    public = ("证件号码不正确。", "The number is not a valid one.")


class CheckRequest(BaseModel):
    """Whom to check. ``code_type``: holder code types of GB/T 36903 (``111`` resident ID, ``001`` USCC …)."""

    # Unknown members are ignored: refusing them would repeat their names, and a number may stand there by mistake.
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: StrictStr = Field(max_length=200)
    code: StrictStr = Field(max_length=200)
    code_type: StrictStr = Field(max_length=8)
    mobile: StrictStr | None = Field(default=None, max_length=32)


class CheckAnswer(BaseModel):
    """``outcome``: match, name_differs, mobile_differs, no_record or source_unavailable; ``level``: identity assurance 0–4."""

    outcome: str
    level: int
    evidence: list[dict[str, Any]]


async def checker(request: Request) -> Actor:
    """Who may ask; a dependency, so that a stranger is refused before the body is judged."""
    return await require_scope(request, "identity:check")


@router.post("/checks")
async def check(request: Request, actor: Annotated[Actor, Depends(checker)], body: CheckRequest) -> CheckAnswer:
    """Puts name, number and perhaps mobile to the registries. Scope ``identity:check``."""
    house = request.app.state.house
    claim = parse_claim(body.name, body.code, body.code_type, body.mobile)
    realname = with_registry(house.database, house.redis, house.clock, house.personal)
    result = await check_real_name(realname, actor, claim)
    if result.outcome is Outcome.ID_INVALID:
        raise _number_invalid(result)
    return CheckAnswer(outcome=result.outcome, level=result.level, evidence=result.evidence)


def _number_invalid(result: RealNameResult) -> NumberInvalid:
    errors = [{"field": "code", "code": flag, "message": FLAGS[flag][1], "message_zh": FLAGS[flag][0]} for flag in result.flags]
    return NumberInvalid("number", errors=errors, outcome=result.outcome.value, level=result.level, evidence=result.evidence)
