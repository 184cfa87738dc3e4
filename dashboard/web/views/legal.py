"""The two pages a Market card links to: what happens with people's data, and on which terms it is used."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from dashboard.core.config import Config
from dashboard.web.i18n import translations


def blueprint(settings: Config) -> Blueprint:
    """Return the public pages; who answers for them comes from the configuration."""
    legal = Blueprint("legal", __name__)
    vendor = {"name": settings.vendor_name, "email": settings.vendor_email}

    @legal.get("/privacy")
    def privacy() -> ResponseReturnValue:
        """Tell what is stored about whom, why, how long, who sees it and how it is deleted."""
        return _page("privacy.html")

    @legal.get("/terms")
    def terms() -> ResponseReturnValue:
        """Tell on which terms the application is used."""
        return _page("terms.html")

    def _page(template: str) -> str:
        # A card in another language may link to its own: /privacy?lang=de.
        translations.use(request.args.get("lang"))
        return render_template(template, vendor=vendor, service=settings.public_url)

    return legal
