"""What a page prints for a setting: its value in words and the kind of thing it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

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
from dashboard.core.json_values import Json, compact, printable
from dashboard.web.i18n.translations import _, ngettext
from dashboard.web.presenters import filters, labels


@dataclass(frozen=True)
class CalendarDisplay:
    """A calendar's name and color; the note says why a name is missing."""

    name: str
    color: str | None
    note: str = ""


@dataclass(frozen=True)
class PlaceDisplay:
    """The calendar for new events in one place; without one, the value as it came."""

    title: str
    calendar: CalendarDisplay | None
    raw: SettingDisplay


@dataclass(frozen=True)
class SettingDisplay:
    """A setting's value: our words or a quote, why there is none, or the value as it came with a note."""

    kind: Literal["text", "quote", "empty", "yes", "no", "calendar", "places", "raw"]
    text: str = ""
    note: str = ""
    calendar: CalendarDisplay | None = None
    places: tuple[PlaceDisplay, ...] = ()

    @property
    def line(self) -> str:
        """Return all of it as one line of text, for a terminal."""
        if self.kind == "empty":
            return f"— ({self.text})"
        if self.places:
            return filters.join_words(
                f"{place.title}: {place.calendar.name if place.calendar else place.raw.text}" for place in self.places
            )
        return f"{self.text} ({self.note})" if self.note else self.text


def display(entry: SettingEntry, own_id: int = 0, listed: bool = True) -> SettingDisplay:
    """Return what to print for a setting.

    :param own_id: the person's id, which says whose calendar a place is
    :param listed: whether the list of the person's calendars is known
    """
    match entry.meaning:
        case Absent():
            return _empty(_("Not available in this portal"))
        case Unset():
            return _empty(labels.unset(entry.key))
        case Toggle(on):
            return SettingDisplay("yes", _("Yes")) if on else SettingDisplay("no", _("No"))
        case Months(count):
            return _text(ngettext("%(count)s month", "%(count)s months", count) % {"count": count})
        case Text(text):
            return SettingDisplay("quote", filters.raw_text(text))
        case View(name):
            return _text(labels.view(name))
        case ZoneName(name):
            return SettingDisplay("quote", name)
        case Offset(seconds):
            return _text(filters.offset(seconds))
        case ClockTime(minutes):
            return _text(minutes_to_clock(minutes))
        case CalendarSection() as section:
            calendar = calendar_display(section, listed)
            return SettingDisplay("calendar", calendar.name, calendar=calendar)
        case DefaultSections(places):
            return _places(entry, places, own_id, listed)
        case Unrecognized(part):
            return raw(entry.raw, known=part == "value")
        case Reminders():
            return raw(entry.raw)
        case meaning:
            assert_never(meaning)


def attributes(entry: SettingEntry) -> dict[str, str]:
    """Return what tells machines which setting an element shows, and its value as compact JSON."""
    if entry.is_absent:
        return {"data-absent": entry.key}
    return {"data-setting": printable(entry.key), "data-value": compact(entry.raw)}


def calendar_display(section: CalendarSection, listed: bool = True) -> CalendarDisplay:
    """Return a calendar's name, or its number and why no name is known."""
    if section.name:
        return CalendarDisplay(printable(section.name), section.color)
    note = _("not one of your calendars") if listed else _("name unknown")
    return CalendarDisplay(_("Calendar %(id)s") % {"id": section.id}, section.color, note)


def raw(value: Json, *, known: bool = True) -> SettingDisplay:
    """Return a value as it came; with ``known`` its key is one of ours, and the value is what is odd."""
    return SettingDisplay("raw", filters.raw_text(value), _("Unrecognized value") if known else "")


def reminder_displays(reminders: ReminderList) -> Sequence[SettingDisplay]:
    """Return what to print for the reminders of one kind of event."""
    if reminders is None:
        return (_empty(_("Not set")),)
    if not reminders:
        return (_empty(_("No reminders")),)
    return [_reminder_display(reminder) for reminder in reminders]


def _reminder_display(reminder: Reminder) -> SettingDisplay:
    match reminder:
        case UnrecognizedReminder(value):
            return raw(value)
        case OnDate():
            # The date is text in the portal's own format.
            return SettingDisplay("quote", filters.reminder(reminder))
    return _text(filters.reminder(reminder))


def _places(entry: SettingEntry, places: Sequence[DefaultSection], own_id: int, listed: bool) -> SettingDisplay:
    if not places:
        return _empty(labels.unset(entry.key))
    shown = (
        PlaceDisplay(
            labels.place(place.place, own_id),
            calendar_display(place.section, listed) if place.section else None,
            raw(place.raw),
        )
        for place in places
    )
    return SettingDisplay("places", places=tuple(shown))


def _text(text: str) -> SettingDisplay:
    return SettingDisplay("text", text)


def _empty(reason: str) -> SettingDisplay:
    return SettingDisplay("empty", reason)
