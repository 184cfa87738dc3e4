"""The application as gunicorn serves it in production, without what trusting loopback brings along.

Where loopback is trusted, which the bench cannot do without, the static files are looked at anew at each
request, for whoever edits them. That would be measured too. And so would what only development installs.
"""

from __future__ import annotations

import sys

# Libraries import these wherever they find them; requirements.txt does not list them. A name that stands
# for None cannot be imported.
for _name in ("greenlet", "pygments", "rich"):
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]

from flask import Flask  # noqa: E402  # after the names above

import app  # noqa: E402
from dashboard.core.config import Config  # noqa: E402
from dashboard.web.http.static_files import StaticFiles  # noqa: E402


def create_app(settings: Config | None = None) -> Flask:
    """Return the application, its files read once."""
    StaticFiles._stamp = lambda self: []  # type: ignore[method-assign]
    return app.create_app(settings)
