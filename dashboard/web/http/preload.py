"""What the first request would do for all the others, done before it."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.orm import configure_mappers

from dashboard.core import process_memory


def preload(app: Flask) -> None:
    """Compile the templates and join the tables, once for every process that is forked from this one."""
    configure_mappers()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    process_memory.limit_arenas()
