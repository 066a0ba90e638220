"""Structured logs: one JSON object a line to stderr, with everything that could be a secret or a number redacted."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

SECRET_NAMES = frozenset(
    {"password", "otp", "secret", "client_secret", "token", "access_token", "refresh_token", "code", "cookie", "authorization"}
)
NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{6}(?:18|19|20)[0-9]{2}[01][0-9][0-3][0-9][0-9]{3}[0-9Xx](?![0-9A-Za-z])")
REDACTED = "[redacted]"
STABLE_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}\Z")


def redact(value: object) -> object:
    """``value`` without anything shaped like a resident ID number."""
    if isinstance(value, str):
        return NUMBER.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return {key: _redact_named(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _redact_named(name: str, value: object) -> object:
    """A secret by its name goes whole; ``code`` stays where it is one of our stable error codes."""
    if name.lower() in SECRET_NAMES and not (name == "code" and isinstance(value, str) and STABLE_CODE.match(value)):
        return REDACTED
    return redact(value)


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _redact_named(key, value) for key, value in event.items()}


def configure(level: int = logging.INFO) -> None:
    """Send structlog and the standard library's logging the same redacted way."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(ensure_ascii=False)],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
