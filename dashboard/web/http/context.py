"""Give views the services of the application that answers the request."""

from __future__ import annotations

from flask import current_app

from dashboard.services import Services


def services() -> Services:
    """Return the services of the current application."""
    current: Services = current_app.extensions["services"]
    return current
