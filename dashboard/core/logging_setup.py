"""Set up logging on stderr: one JSON object per line in production, readable text in development."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

from dashboard.core.json_values import escape_invisible


def configure(*, level: str, style: str) -> None:
    """Send our log and the libraries' logs to stderr. Tracebacks never contain the values of variables."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderers: list[structlog.typing.Processor] = [structlog.processors.JSONRenderer()]
    if style == "console":
        renderers = [_escape_values, structlog.dev.ConsoleRenderer(colors=False)]
    handler = logging.StreamHandler(sys.stderr)
    processors = [ProcessorFormatter.remove_processors_meta, *renderers]
    handler.setFormatter(ProcessorFormatter(processors=processors, foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    replace_gunicorn_handlers()
    # urllib3 logs the host of each connection, which our own log masks. Alembic logs its plugins.
    for name in ("urllib3", "alembic.runtime.plugins"):
        logging.getLogger(name).setLevel(logging.WARNING)


def replace_gunicorn_handlers() -> None:
    """Send gunicorn's log through ours. Each reload adds handlers that would write the same lines as text."""
    server = logging.getLogger("gunicorn.error")
    server.handlers, server.propagate = [], True
    server.addFilter(_strip_request_data)


def _escape_values(logger: Any, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, as JSON does. Only tracebacks keep their line ends."""
    for key, value in event.items():
        if key in ("exception", "stack"):
            event[key] = "\n".join(map(escape_invisible, str(value).split("\n")))
        elif isinstance(value, str):
            event[key] = escape_invisible(value)
    return event


def _strip_request_data(record: logging.LogRecord) -> bool:
    """Remove the sender and the content of a request from gunicorn's messages."""
    for message in ("Invalid request", "Error handling request"):
        if str(record.msg).startswith(message):
            record.msg, record.args = message, ()
    return True
