"""Copy values from a person's settings to the columns that *Team* and *Insights* filter, sort and count by."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from dashboard.calendar import encoding
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.time_zones import canonical_name, parse_zone_name
from dashboard.models import Person

# Increase it when the parsing of settings changes; the worker then updates everyone's columns.
COLUMNS_VERSION = 4
MAX_VIEW_LENGTH = 64
_MEANING_COLUMNS = ("view", "work_start", "work_end", "zone", "reminders", "habits")


def update_indexed_columns(person: Person, settings: CalendarSettings) -> None:
    """Set the person's columns to what their settings contain; they are empty if the settings are not readable."""
    for name, value in _columns(settings).items():
        setattr(person, name, value)


def may_have_changed(person: Person, settings: CalendarSettings) -> bool:
    """Tell whether the settings, or the believed time zone, may mean something else than what the columns say.

    So the previous snapshot is read only if there is something to record.
    """
    if person.settings_at is None:
        return False
    if person.time_zone_changed_at is not None and person.time_zone_changed_at > person.settings_at:
        return True  # the column has the profile's new time zone already
    new = _columns(settings)
    return any(getattr(person, name) != new[name] for name in _MEANING_COLUMNS)


def _columns(settings: CalendarSettings) -> dict[str, Any]:
    span = settings.hours.span if settings.is_readable and settings.hours.source == "person" else None
    reminders = [group for group in (settings.reminders.timed, settings.reminders.all_day) if group is not None]
    return {
        # The name of an unknown view can contain any character.
        "view": "".join(filter(str.isprintable, settings.view))[:MAX_VIEW_LENGTH],
        "work_start": span.start if span else None,
        "work_end": span.end if span else None,
        "calendar_zone": settings.zone.name,
        "zone": settings.zone.believed.name,
        "zone_source": settings.zone.believed.source,
        "reminders": encoding.encode_reminders(settings.reminders),
        "reminder_count": sum(map(len, reminders)) if reminders else None,
        "habits": encoding.encode_habits(settings),
        "settings_at": settings.taken_at if settings.is_readable else None,
        "columns_version": COLUMNS_VERSION,
    }


class StoredZones(Protocol):
    """A person's columns about time zones."""

    time_zone: str
    previous_time_zone: str
    time_zone_changed_at: datetime | None
    calendar_zone: str
    zone: str
    zone_source: str
    columns_version: int


def profile_zone_columns(stored: StoredZones | None, time_zone: str, *, at: datetime) -> dict[str, Any]:
    """Return the columns about time zones of a person whose profile had this one at that time.

    A time zone that has changed is believed until the settings are read again.
    """
    new = _canonical(time_zone)
    columns: dict[str, Any] = {
        "time_zone": time_zone,
        "previous_time_zone": (stored and stored.previous_time_zone) or "",
        "time_zone_changed_at": stored and stored.time_zone_changed_at,
        "zone": new,
        "zone_source": "profile" if new else "",
        "columns_version": stored.columns_version if stored else COLUMNS_VERSION,
    }
    if stored is None:
        return columns
    old = _canonical(stored.time_zone)
    if old and new and old != new:
        return columns | {"previous_time_zone": stored.time_zone, "time_zone_changed_at": at}
    if stored.calendar_zone:
        # If only one of them is known, the worker decides again which zone to believe.
        columns |= {"zone": stored.zone, "zone_source": stored.zone_source}
        columns["columns_version"] = stored.columns_version if old == new else 0
    return columns


def _canonical(time_zone: str) -> str:
    name = parse_zone_name(time_zone)
    return canonical_name(name.name) if name else ""
