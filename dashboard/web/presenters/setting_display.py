"""Decide what a page prints for a setting: its kind, its text, and a note."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, assert_never

from dashboard.calendar.edits import ALL_DAY, TIMED
from dashboard.calendar.parser import SettingEntry
from dashboard.calendar.reminders import OnDate, Reminder, ReminderList, Reminders, UnrecognizedReminder
from dashboard.calendar.time_zones import Offset, ZoneName
from dashboard.calendar.values import (
    Absent,
    CalendarSection,
    DefaultSection,
    DefaultSections,
    Months,
    Text,
    Toggle,
    Unrecognized,
    Unset,
    View,
)
from dashboard.calendar.working_hours import ClockTime, minutes_to_clock
from dashboard.core.json_values import Json, compact_json, escape_surrogates
from dashboard.web.i18n.translations import N_, _, ngettext
from dashboard.web.presenters import filters, labels

# What Bitrix24's form for new events uses where a list is empty (`BX.Calendar.EntryManager`).
NO_REMINDERS = {
    TIMED: N_("With none set, Bitrix24 reminds you 15 minutes before."),
    ALL_DAY: N_("With none set, Bitrix24 reminds you at 08:00 on the day."),
}


class SettingDisplay(NamedTuple):
    """A setting's value to print, or the reason why there is none."""

    kind: Literal["text", "quote", "empty", "yes", "no", "calendar", "places", "raw"]
    text: str = ""
    note: str = ""
    color: str | None = None  # of a calendar
    places: tuple[tuple[str, SettingDisplay], ...] = ()  # each with its title

    @property
    def line(self) -> str:
        """Return the whole display as one line of text, for a terminal."""
        if self.kind == "empty":
            return f"— ({self.text})"
        if self.kind == "places":
            return filters.join_words(f"{title}: {value.text}" for title, value in self.places)
        return f"{self.text} ({self.note})" if self.note and self.kind != "calendar" else self.text


def display(entry: SettingEntry, own_id: int = 0, has_calendar_list: bool = True) -> SettingDisplay:
    """Return what to print for a setting.

    :param own_id: the user's id, by which the places of the user's own calendar are recognized
    :param has_calendar_list: whether the list of the user's calendars could be read
    """
    match entry.parsed:
        case Absent():
            return SettingDisplay("empty", _("Not available in this portal"))
        case Unset() | DefaultSections(()):
            return SettingDisplay("empty", labels.unset(entry.key))
        case Toggle(on):
            return SettingDisplay("yes", _("Yes")) if on else SettingDisplay("no", _("No"))
        case Months(count):
            return SettingDisplay("text", ngettext("%(count)s month", "%(count)s months", count) % {"count": count})
        case Text(text):
            return SettingDisplay("quote", filters.raw_text(text))
        case View(name):
            return SettingDisplay("text", labels.view(name))
        case ZoneName(name):
            return SettingDisplay("quote", name)
        case Offset(seconds):
            return SettingDisplay("text", filters.offset(seconds))
        case ClockTime(minutes):
            return SettingDisplay("text", minutes_to_clock(minutes))
        case CalendarSection() as section:
            return calendar_display(section, has_calendar_list)
        case DefaultSections(places):
            values = (_place(place, own_id, has_calendar_list) for place in places)
            return SettingDisplay("places", places=tuple(values))
        case Unrecognized(part):
            return raw_display(entry.raw, is_known_key=part == "value")
        case Reminders():
            return raw_display(entry.raw)
        case value:
            assert_never(value)


def setting_attributes(entry: SettingEntry) -> dict[str, str]:
    """Return the attributes that name an element's setting, and its value as compact JSON."""
    if entry.is_absent:
        return {"data-absent": entry.key}
    return {"data-setting": escape_surrogates(entry.key), "data-value": compact_json(entry.raw)}


def calendar_display(section: CalendarSection, has_calendar_list: bool = True) -> SettingDisplay:
    """Return a calendar's name, or its number and the reason why the name is unknown."""
    if section.name:
        return SettingDisplay("calendar", escape_surrogates(section.name), color=section.color)
    note = _("not one of your calendars") if has_calendar_list else _("name unknown")
    return SettingDisplay("calendar", _("Calendar %(id)s") % {"id": section.id}, note, section.color)


def _place(place: DefaultSection, own_id: int, has_calendar_list: bool) -> tuple[str, SettingDisplay]:
    value = calendar_display(place.section, has_calendar_list) if place.section else raw_display(place.raw)
    return labels.place(place.place, own_id), value


def raw_display(value: Json, *, is_known_key: bool = True) -> SettingDisplay:
    """Return a raw value, with a note that it is unrecognized if its key is known."""
    return SettingDisplay("raw", filters.raw_text(value), _("Unrecognized value") if is_known_key else "")


def reminder_displays(reminders: ReminderList, field: str) -> Sequence[SettingDisplay]:
    """Return what to print for the reminders of one kind of event."""
    if not reminders:
        return (SettingDisplay("empty", _(labels.NOT_SET) if reminders is None else _(NO_REMINDERS[field])),)
    displays = [_reminder_display(reminder) for reminder in reminders[: filters.MAX_REMINDERS]]
    if len(reminders) > filters.MAX_REMINDERS:
        displays.append(SettingDisplay("text", filters.more_reminders(reminders)))
    return displays


def _reminder_display(reminder: Reminder) -> SettingDisplay:
    if isinstance(reminder, UnrecognizedReminder):
        return raw_display(reminder.raw)
    # A date is text in the portal's own format.
    return SettingDisplay("quote" if isinstance(reminder, OnDate) else "text", filters.reminder(reminder))
