"""Prepare the application before gunicorn forks its processes, so that they share the memory."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.orm import configure_mappers

from dashboard.core import process_memory


def preload(app: Flask) -> None:
    """Compile the templates and configure the tables, once for all processes."""
    configure_mappers()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    process_memory.limit_arenas()
