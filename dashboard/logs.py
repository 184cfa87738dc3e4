"""Logs on stderr: one JSON object a line in production, readable in development."""

from __future__ import annotations

import logging
import sys

import structlog


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
        render = structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # It logs every new connection with its host; ours say more, and say it masked.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    # Seven lines on its own parts before the first migration.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
