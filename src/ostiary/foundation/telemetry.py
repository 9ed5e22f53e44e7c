"""Structured logs on standard error: one event a line, never a secret.

A value that is a `SecretStr` prints as asterisks; keys that name a secret are masked as a second
line of defence, not as permission to log one.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, cast

import orjson
import structlog

LogFormat = Literal["text", "json"]
_SECRET_KEYS = ("password", "secret", "token", "assertion", "authorization", "credential")
_MASK = "…"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose events carry `component=name`."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(component=name))


def configure_logging(log_format: LogFormat = "text", level: int = logging.INFO) -> None:
    """Send our events and the libraries' warnings to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            mask_secrets,
            structlog.processors.format_exc_info,
            _renderer(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Line,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


class _Line:
    """Writes lines to standard error. Where that leads may be full or gone: no reason to stop working."""

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every key that names a secret; references such as `token_id` stay."""
    for key in event:
        if key.endswith(_SECRET_KEYS):
            event[key] = _MASK
    return event


def _renderer(log_format: LogFormat) -> structlog.types.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(
            serializer=lambda event, **_: orjson.dumps(event, default=str).decode()
        )
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        pad_event_to=28,
        exception_formatter=structlog.dev.plain_traceback,  # the rich one prints locals, and secrets in them
    )
