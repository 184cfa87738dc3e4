"""The application as gunicorn serves it in production, without what trusting loopback brings along.

Where loopback is trusted, which the bench cannot do without, the static files are looked at anew at each
request, for whoever edits them. That would be measured too.
"""

from __future__ import annotations

from flask import Flask

import app
from dashboard.config import Config
from dashboard.web.assets import Assets


def create_app(settings: Config | None = None) -> Flask:
    """Return the application, its files read once."""
    Assets._look_again = lambda self: None  # type: ignore[method-assign]
    return app.create_app(settings)
