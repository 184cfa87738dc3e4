"""Copy values from a person's settings to the columns that *Team* and *Insights* filter, sort and count by."""

from __future__ import annotations

from dashboard.calendar import encoding
from dashboard.calendar.parser import CalendarSettings
from dashboard.models import Person

# Increase it when the parsing of settings changes; the worker then updates everyone's columns.
COLUMNS_VERSION = 2
MAX_VIEW_LENGTH = 64


def update_indexed_columns(person: Person, settings: CalendarSettings) -> None:
    """Set the person's columns to what their settings contain; they are empty if the settings are not readable."""
    span = settings.hours.span if settings.is_readable else None
    reminders = [group for group in (settings.reminders.timed, settings.reminders.all_day) if group is not None]
    # The name of an unknown view can contain any character.
    person.view = "".join(filter(str.isprintable, settings.view))[:MAX_VIEW_LENGTH]
    person.work_start = span.start if span else None
    person.work_end = span.end if span else None
    person.calendar_zone = settings.zone.name
    person.reminders = encoding.encode_reminders(settings.reminders)
    person.reminder_count = sum(map(len, reminders)) if reminders else None
    person.habits = encoding.encode_habits(settings)
    person.settings_at = settings.taken_at if settings.is_readable else None
    person.columns_version = COLUMNS_VERSION
