"""What trusted time refuses."""

from keys.base.errors import FujieError


class ClockUntrusted(FujieError):
    """The machine's clock ran backwards, jumped, or disagrees with the time source: nothing is signed until it is right again.

    ``extra['reason']`` is one of ``keys.time.guard.Doubt``.
    """

    code = "CLOCK_UNTRUSTED"
    status = 503
    public = (
        "系统时钟未通过可信校验，签发已暂停，请稍后再试。",
        "The system clock is not trusted at present, so nothing is issued. Please try again later.",
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}


class TimestampsOverdue(FujieError):
    """What was issued waits too long for its time stamps: nothing new is issued until they are made."""

    code = "TIMESTAMPS_OVERDUE"
    status = 503
    public = (
        "时间戳服务长时间不可用，签发已暂停，请稍后再试。",
        "The time-stamping service has been away too long, so nothing is issued. Please try again later.",
    )

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "60"}


class TimestampUnavailable(FujieError):
    """The time-stamping authority does not answer, or answers that it will not stamp now."""

    code = "TIMESTAMP_UNAVAILABLE"
    status = 503
    public = ("时间戳服务暂时不可用，请稍后再试。", "The time-stamping service is not available at present. Please try again later.")


class TimestampInvalid(FujieError):
    """A time stamp is not what it should be: malformed, for other data, by a stranger, or at an impossible instant."""

    code = "TIMESTAMP_INVALID"
    status = 502
    public = ("时间戳未通过验证。", "The time stamp did not pass verification.")
