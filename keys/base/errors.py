"""Errors with a stable code, a sentence for the public and a detail for the operator.

Packages derive their errors from :class:`FujieError`; ``api/problems`` turns them into RFC 9457 problem documents.
The public sentence never holds personal data or secrets; neither does ``detail``, because it is logged.
"""

from typing import ClassVar


class FujieError(Exception):
    """A refusal or failure that the caller is told about.

    ``code``      stable, SCREAMING_SNAKE_CASE, documented in ``docs/errors.md``
    ``status``    the HTTP status it maps to
    ``public``    (zh, en): what a person is told, a full sentence each
    ``detail``    for the operator's log; optional
    ``extra``     public, machine-readable members of the problem document
    """

    code: ClassVar[str] = "INTERNAL"
    status: ClassVar[int] = 500
    public: ClassVar[tuple[str, str]] = ("系统出现故障，请稍后再试。", "Something went wrong on our side. Please try again later.")

    def __init__(self, detail: str = "", **extra: object) -> None:
        super().__init__(f"{self.code}: {detail}" if detail else self.code)
        self.detail = detail
        self.extra = extra

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the answer."""
        return {}


class InvalidInput(FujieError):
    """A value is malformed; ``extra['errors']`` may list ``{"field", "message"}``."""

    code = "INVALID_INPUT"
    status = 422
    public = ("提交的内容格式不正确。", "What was sent is not well-formed.")


class NotFound(FujieError):
    """The object does not exist, or the caller may not know that it does."""

    code = "NOT_FOUND"
    status = 404
    public = ("没有找到。", "Not found.")


class Forbidden(FujieError):
    """The caller is known and may not do this."""

    code = "FORBIDDEN"
    status = 403
    public = ("您没有权限执行此操作。", "You may not do this.")


class Conflict(FujieError):
    """The object is not in a state that allows this move."""

    code = "CONFLICT"
    status = 409
    public = ("当前状态不允许此操作。", "The present state does not allow this.")


class Throttled(FujieError):
    """Too many attempts; ``extra['retry_after']`` is in seconds."""

    code = "TOO_MANY_ATTEMPTS"
    status = 429
    public = ("尝试次数过多，请稍后再试。", "Too many attempts. Please try again later.")
