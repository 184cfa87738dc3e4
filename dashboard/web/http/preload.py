"""Prepare the application before gunicorn forks its processes, so that they share the memory."""

from __future__ import annotations

import gc

from babel.core import get_global
from flask import Flask
from sqlalchemy.orm import configure_mappers

from dashboard.core import process_memory
from dashboard.web.i18n.translations import ENGLISH


def preload(app: Flask) -> None:
    """Configure the tables, read Babel's data and compile the templates, once for all processes."""
    configure_mappers()
    get_global("zone_aliases")
    ENGLISH.locale.time_zones  # noqa: B018  # reading the property loads the locale
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    process_memory.limit_arenas()
    # The garbage collector writes to each object that it visits, and a process gets its own copy of what it writes to.
    gc.collect()
    gc.freeze()
