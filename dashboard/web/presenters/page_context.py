"""Prepare what every page needs: navigation, the user, and on the first page the session token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboard.models import Person, Portal
from dashboard.people import access
from dashboard.web.i18n.translations import _


@dataclass(frozen=True)
class FullPage:
    """The values sent only in the full page that answers Bitrix24's POST."""

    session_token: str
    bx24_js_url: str


def page_context(portal: Portal, person: Person, *, current: str, full_page: FullPage | None = None) -> dict[str, Any]:
    """Return the variables of the layout; without ``full_page`` the response is only a part of a page."""
    pages = [(_("My settings"), "/me"), (_("Team"), "/team"), (_("Insights"), "/insights")]
    pages += [(_("Admin"), "/admin")] if person.is_admin else []
    return {
        "layout": "layout.html" if full_page else "part.html",
        "person": person,
        "portal": {
            "domain": urlsplit(portal.origin).netloc,
            "origin": portal.origin,
            "team_access": str(access.team_access(portal)),
        },
        "session_token": full_page.session_token if full_page else None,
        "bx24_js_url": full_page.bx24_js_url if full_page else None,
        "nav": [{"title": title, "href": href, "current": href == current} for title, href in pages],
    }
