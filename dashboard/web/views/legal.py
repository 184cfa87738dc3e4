"""Show the privacy policy and the terms of use, which the Market listing links to."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.web.http.context import services
from dashboard.web.i18n import translations

blueprint = Blueprint("legal", __name__)


@blueprint.get("/privacy")
def show_privacy() -> ResponseReturnValue:
    """Say what is stored about whom, why, for how long, who sees it and how it is deleted."""
    return _page("privacy.html")


@blueprint.get("/terms")
def show_terms() -> ResponseReturnValue:
    """Show the terms of use."""
    return _page("terms.html")


def _page(template: str) -> str:
    # A listing in another language may link to its own: /privacy?lang=de.
    translations.use(request.args.get("lang"))
    config = services().config
    vendor = {"name": config.vendor_name, "email": config.vendor_email}
    return render_template(template, app_name=config.app_name, vendor=vendor, service=config.public_url)
