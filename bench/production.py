"""Create the application without what only development has; `python -m bench.production` runs the worker."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

for _name in ("greenlet", "pygments", "rich"):  # None: cannot be imported, as in production
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]  # typed as modules only


def create_app() -> Flask:
    """Return the application; static files are not read again, because none changes here."""
    import app
    from dashboard.web.http.static_files import StaticFiles

    StaticFiles._mtimes = lambda self: []  # type: ignore[method-assign]  # as above
    return app.create_app()


if __name__ == "__main__":
    from dashboard.commands import worker_process

    worker_process.main()
