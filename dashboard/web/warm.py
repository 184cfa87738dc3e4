"""What the first request would do for all the others, done before it."""

from __future__ import annotations

import gc

from flask import Flask
from sqlalchemy.orm import configure_mappers


def warm(app: Flask) -> None:
    """Compile the templates and join the tables, once for every process that is forked from this one.

    What is there by then stays shared: the garbage collector of each process is told to leave it alone,
    because looking at an object writes to the memory it lies in.
    """
    configure_mappers()
    for name in app.jinja_env.list_templates():
        app.jinja_env.get_template(name)
    gc.collect()
    gc.freeze()
    # A page makes some thousand objects and drops them again; to look through them seven times a page
    # finds nothing.
    gc.set_threshold(10_000, 20, 20)
