"""Logs on stderr: one JSON object a line in production, readable in development."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from dashboard.core.json_values import escape_invisible


def configure(*, level: str, style: str) -> None:
    """Send our log and the libraries' to stderr. Exceptions come with their stack, not with values."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if style == "console":
        console = structlog.dev.ConsoleRenderer(colors=False)

        def render(logger: Any, name: str, event: structlog.typing.EventDict) -> str:
            return console(logger, name, {key: _on_one_line(key, value) for key, value in event.items()})

    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # The server's own lines go the same way. Its handlers would write them as text.
    server = logging.getLogger("gunicorn.error")
    server.handlers, server.propagate = [], True
    server.addFilter(_strip_request_data)
    # It logs every new connection with its host; ours say more, and say it masked.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    # Seven lines on its own parts before the first migration.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def _on_one_line(key: str, value: Any) -> Any:
    """Escape what a terminal would obey; JSON does so by itself. A stack keeps its lines."""
    if not isinstance(value, str):
        return value
    return (
        "\n".join(map(escape_invisible, value.split("\n")))
        if key in ("exception", "stack")
        else escape_invisible(value)
    )


def _strip_request_data(record: logging.LogRecord) -> bool:
    """Take out of the server's line who sent a request and what stood in it; let the line through."""
    words = str(record.msg)
    for what in ("Invalid request", "Error handling request"):
        if words.startswith(what):
            record.msg, record.args = what, ()
    return True
