"""What stands around every page: where one can go, who is here, and how the page is kept alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboard.models import Person, Portal
from dashboard.web.i18n.translations import _


@dataclass(frozen=True)
class FullPage:
    """What only the first page carries, the one the portal's form is answered with."""

    session_token: str
    bx24_js_url: str


def page_context(portal: Portal, person: Person, *, current: str, whole: FullPage | None = None) -> dict[str, Any]:
    """Return what a page's layout needs: a part's, or the whole page's when ``whole`` is given."""
    return {
        "layout": "layout.html" if whole else "part.html",
        "person": person,
        "portal": {
            "domain": urlsplit(portal.origin).netloc,
            "origin": portal.origin,
            "team_open": portal.team_open,
        },
        "session_token": whole.session_token if whole else None,
        "bx24_js_url": whole.bx24_js_url if whole else None,
        "nav": [{"title": title, "href": href, "current": href == current} for title, href in _pages(person)],
    }


def _pages(person: Person) -> list[tuple[str, str]]:
    pages = [(_("My settings"), "/me"), (_("Team"), "/team"), (_("Insights"), "/insights")]
    return [*pages, (_("Admin"), "/admin")] if person.is_admin else pages
