"""``POST /api/v1/verify/number`` and the form of the page: by number and holder's detail, throttled by address and by number."""

from starlette.requests import Request

from api.even_answers import evenly
from api.limits import throttle, throttle_on
from api.wiring import House
from certs.number_lookup import record_by_number
from certs.verification import RecordReport
from keys.base.errors import NotFound

MOST_BY_ADDRESS, MOST_BY_NUMBER, WINDOW = 20, 10, 3600


class NoSuchHolding(NotFound):
    """No certificate has this number and this holder, or one has that may not be told of: nobody learns which."""

    code = "NO_SUCH_HOLDING"
    public = (
        "没有找到与该编号和持证人信息相符的证照，请核对后再试。",
        "No certificate has this number and this holder. Please compare both with the paper.",
    )


async def look_up(request: Request, number: str, detail: str) -> RecordReport:
    """The record. Raises :class:`NoSuchHolding` and ``Throttled``, all after the same time."""
    house: House = request.app.state.house
    async with evenly():
        await throttle(request, "verify-number", limit=MOST_BY_ADDRESS, seconds=WINDOW)
        # Under a keyed digest: what is typed as a number may be an ID number.
        subject = house.personal.subject("verify.number", number.strip()).hex()
        await throttle_on(request, "verified-number", subject, limit=MOST_BY_NUMBER, seconds=WINDOW)
        report = await record_by_number(house.database, house.personal, house.clock.now(), number, detail)
    if report.certificate is None:
        raise NoSuchHolding
    return report
