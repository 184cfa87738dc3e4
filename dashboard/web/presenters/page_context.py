"""Prepare what every page needs: navigation, the user, and on the first page the session token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dashboard.models import Person, Portal
from dashboard.people import access
from dashboard.team import insight_queries
from dashboard.team.small_groups import min_people
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import _

# Bitrix24's own pages of a person.
PROFILE_PATH = "/company/personal/user/%d/"
CALENDAR_PATH = f"{PROFILE_PATH}calendar/"


@dataclass(frozen=True)
class FullPage:
    """The values sent only in the full page that answers Bitrix24's POST."""

    session_token: str
    bx24_js_url: str
    # The person and the place in the portal. A reload returns to the last page if both are the same.
    frame_key: str = ""
    is_card: bool = False  # opened beside something else in the portal, without tabs while it is a card


class PortalLinks(NamedTuple):
    """The portal, the person's pages in it, and who may see the team."""

    domain: str
    origin: str
    team_access: str
    profile_path: str
    calendar_path: str


def page_context(portal: Portal, person: Person, *, current: str, full_page: FullPage | None = None) -> dict[str, Any]:
    """Return the variables of the layout; without ``full_page`` the response is only a part of a page."""
    # Only the full page has tabs; the parts that follow it do not change them.
    pages = _pages(portal, person) if full_page else []
    return {
        "layout": "layout.html" if full_page else "part.html",
        "person": person,
        "portal": PortalLinks(
            domain=urlsplit(portal.origin).netloc,
            origin=portal.origin,
            team_access=str(access.team_access(portal)),
            profile_path=PROFILE_PATH % person.user_id,
            calendar_path=CALENDAR_PATH % person.user_id,
        ),
        "session_token": full_page.session_token if full_page else None,
        "bx24_js_url": full_page.bx24_js_url if full_page else None,
        "frame_key": full_page.frame_key if full_page else None,
        "is_card": full_page is not None and full_page.is_card,
        "nav": [{"title": title, "href": href, "current": href == current} for title, href in pages],
    }


def _pages(portal: Portal, person: Person) -> list[tuple[str, str]]:
    """Return the titles and paths of the pages that the person can use."""
    sees_everyone = access.can_see_whole_team(portal, person)
    if not sees_everyone and not access.may_be_head(portal, person):
        return [(_("My settings"), "/me")]  # most people; nothing needs to be read
    with services().database.read_session() as session:
        sees_team = sees_everyone or access.can_see_team(session, portal, person)
        people = min_people(is_admin=person.is_admin)
        has_insights = sees_everyone and insight_queries.have_settings(session, portal, people)
    pages = [
        (_("My settings"), "/me", True),
        (_("Team"), "/team", sees_team),
        (_("Find a time"), "/plan", sees_team),
        (_("Insights"), "/insights", has_insights),
        (_("Admin"), "/admin", person.is_admin),
    ]
    return [(title, path) for title, path, is_usable in pages if is_usable]
