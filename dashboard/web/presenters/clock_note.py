"""Announce that clocks change soon: other people's on *Team*, because their hours move, one's own on *My settings*."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from dashboard.calendar.clock_changes import clock_changes, minute_of
from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY
from dashboard.web.i18n.translations import _, ngettext, number
from dashboard.web.presenters import filters

NOTICE_DAYS = 28
MAX_CITIES = 3


def clock_note(zones: Sequence[str], *, now: datetime) -> str:
    """Return where clocks change next, "" if they do for nobody or on the same day for everybody.

    :param zones: the people's time zones, the most frequent first.
    """
    changing = _zones_by_day(zones, now)
    all_zones = len(set(zones))
    day = min((day for day, some in changing.items() if len(some) < all_zones), default=None)
    if day is None:
        return ""
    return _announcement(day, changing[day])


def own_clock_note(zone: str, *, now: datetime) -> str:
    """Return when the clocks of one time zone change, "" if they do not soon or the zone is unknown."""
    changing = _zones_by_day([zone] if zone else [], now)
    return _announcement(min(changing), [zone]) if changing else ""


def _zones_by_day(zones: Sequence[str], now: datetime) -> dict[date, list[str]]:
    """Return the zones whose clocks change soon, by the day on which they do."""
    changing: dict[date, list[str]] = {}
    start = minute_of(now)
    for zone in dict.fromkeys(zones):
        for change in clock_changes(zone_info(zone), start, start + NOTICE_DAYS * DAY):
            changing.setdefault(change.day, []).append(zone)
    return changing


def _announcement(day: date, zones: Sequence[str]) -> str:
    cities = [filters.zone_city(zone) for zone in zones[:MAX_CITIES]]
    if more := len(zones) - len(cities):
        cities.append(ngettext("%(count)s more", "%(count)s more", more) % {"count": number(more)})
    text = _("Clocks change in %(cities)s on %(day)s")
    return text % {"cities": filters.join_words(cities), "day": filters.weekday_and_month_day(day)}
