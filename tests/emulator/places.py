"""The places in the portal's pages, besides its menu, where applications are shown."""

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any
from urllib.parse import parse_qsl

from .people import Person

CALENDAR, CARD, CHAT, LINK = "CALENDAR_GRIDVIEW", "USER_PROFILE_TOOLBAR", "IM_SIDEBAR", "REST_APP_URI"
_GRID_DAYS = 42
_PLACE = '<div class="place" id="place"></div>'


def options_of(placement: str, colleague: Person | None) -> dict[str, Any] | None:
    """Return what the portal says about the place that the application opens in."""
    if placement == CALENDAR:
        return _grid_range()
    if placement == CARD and colleague:
        return {"USER_ID": str(colleague.user_id), "URI": f"/company/personal/user/{colleague.user_id}/"}
    if placement == CHAT and colleague:
        return {"dialogId": str(colleague.user_id), "URI": "/online/"}
    return None


def passed_on(query: str) -> dict[str, str]:
    """Return what the portal passes on of a link's query string: what stands in `params`, and nothing else."""
    return {name[len("params[") : -1]: value for name, value in parse_qsl(query) if name.startswith("params[")}


def surroundings(placement: str, colleague: Person | None) -> str:
    """Return the place for the frame, and what stands around it."""
    if placement == CARD and colleague:
        name, position = escape(colleague.full_name), escape(colleague.position)
        return f'<section class="message employee"><h2>{name}</h2><p>{position}</p></section>{_PLACE}'
    if placement == CHAT and colleague:
        name = escape(colleague.full_name)
        return (
            f'<div class="chat"><section class="talk"><h2>{name}</h2><p>Hello! Do you have a minute?</p></section>'
            f'<aside class="sidebar" aria-label="Chat sidebar"><h2>Applications</h2>{_PLACE}</aside></div>'
        )
    return _PLACE


def _grid_range() -> dict[str, Any]:
    today = datetime.now(UTC).date()
    first = today.replace(day=1)
    first -= timedelta(days=first.weekday())
    last = first + timedelta(days=_GRID_DAYS - 1)
    return {"viewRangeFrom": str(first), "viewRangeTo": str(last), "URI": "/calendar/"}
