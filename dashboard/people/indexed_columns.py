"""What *Team* and *Insights* show, count and sort by, taken out of a person's settings when they change."""

from __future__ import annotations

from typing import Any

from dashboard.calendar import encoding
from dashboard.calendar.parser import CalendarSettings
from dashboard.models import Person

# Counted up when the settings are read differently than before; the worker then takes everyone's anew.
COLUMNS_VERSION = 2


def update_indexed_columns(person: Person, my: CalendarSettings) -> None:
    """Set the person's columns to what their settings say; a reading without settings knows nothing."""
    for column, value in _of(my).items():
        setattr(person, column, value)
    person.settings_at = my.taken_at if my.readable else None
    person.facts_version = COLUMNS_VERSION


def _of(my: CalendarSettings) -> dict[str, Any]:
    span = my.hours.span if my.readable else None
    reminders = [half for half in (my.reminders.timed, my.reminders.all_day) if half is not None]
    return {
        # A name nobody knows may hold anything; what no page prints, no database need sort by.
        "view": "".join(filter(str.isprintable, my.view))[:64],
        "work_start": span.start if span else None,
        "work_end": span.end if span else None,
        "calendar_zone": my.zone.name,
        "reminders": encoding.encode_reminders(my.reminders),
        "reminder_count": sum(map(len, reminders)) if reminders else None,
        "habits": encoding.encode_habits(my),
    }
