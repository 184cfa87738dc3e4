"""Encode toggles and reminders as the short texts of `people.habits` and `people.reminders`, and decode them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.reminders import (
    AtTimeOfDay,
    Before,
    OnDate,
    Reminder,
    ReminderList,
    Reminders,
    Unit,
    UnrecognizedReminder,
)
from dashboard.calendar.values import Toggle
from dashboard.calendar.working_hours import minutes_to_clock

# The order of the letters in stored texts. After a change here, raise `indexed_columns.COLUMNS_VERSION`.
TOGGLE_KEYS = (
    "showTasks",
    "showCompletedTasks",
    "showDeclined",
    "showWeekNumbers",
    "collapseOffHours",
    "denyBusyInvitation",
    "syncTasks",
)
# Postgres cannot index much longer values.
MAX_REMINDERS_LENGTH = 300

_TOGGLES = {"Y": Toggle(on=True), "N": Toggle(on=False)}
_LETTERS = {toggle: letter for letter, toggle in _TOGGLES.items()}
_NO_LETTER = "-"
NO_REMINDERS = "none"

_BEFORE = re.compile(r"([0-9]{1,15})(min|hour|day)")
_DAY_BEFORE = re.compile(r"([0-9]{1,15})d@([0-9]{2}):([0-9]{2})")
MAX_WORD_LENGTH = len("123456789012345d@08:00")


def encode_reminders(reminders: Reminders) -> str:
    """Return the reminders as "timed:50min;day:15min,0d@08:00", empty when unknown.

    text     = list *(";" list)            an unknown list is left out
    list     = ("timed" | "day") ":" ("none" | reminder *("," reminder))
    reminder = count ("min" | "hour" | "day")  before the start
             | days "d@" HH ":" MM             so many days before, at a time of day
             | "date" | "odd"                  on a fixed date; unrecognized
    """
    parts = (("timed", reminders.timed), ("day", reminders.all_day))
    return ";".join(f"{name}:{encode_reminder_list(part) or NO_REMINDERS}" for name, part in parts if part is not None)


def encode_reminder_list(reminders: Iterable[Reminder]) -> str:
    """Return the reminders of one kind of event as "15min,1hour"."""
    return ",".join(map(encode_reminder, reminders))


def decode_reminders(text: str) -> Reminders:
    """Decode reminders; ``OnDate`` and ``UnrecognizedReminder`` lose their text, which is not encoded."""
    parts = dict(part.split(":", 1) for part in text.split(";") if ":" in part)
    return Reminders(timed=_decode_list(parts.get("timed")), all_day=_decode_list(parts.get("day")))


def encode_habits(settings: CalendarSettings) -> str:
    """Return "YNNYNN- timed:15min": a letter for each toggle, then the reminders; empty without settings.

    Thousands of people share a few hundred of these texts, so the database counts people by them.
    """
    if not settings.is_readable:
        return ""
    values = (settings.entries[key].parsed for key in TOGGLE_KEYS)
    letters = "".join(_LETTERS[value] if isinstance(value, Toggle) else _NO_LETTER for value in values)
    reminders = encode_reminders(settings.reminders)
    return f"{letters} {reminders if len(reminders) <= MAX_REMINDERS_LENGTH else ''}"


def split_habits(text: str) -> tuple[str, str]:
    """Return the letters of the toggles and the text of the reminders."""
    letters, _space, reminders = text.partition(" ")
    return letters, reminders


def decode_toggles(letters: str) -> dict[str, bool]:
    """Return the state of each toggle; unset ones are left out."""
    letter_by_key = zip(TOGGLE_KEYS, letters, strict=False)
    return {key: _TOGGLES[letter].on for key, letter in letter_by_key if letter in _TOGGLES}


def toggle_letter(*, on: bool) -> str:
    """Return the letter of a toggle's state."""
    return _LETTERS[Toggle(on)]


def has_toggle(text: str, key: str, *, on: bool) -> bool:
    """Tell whether a stored text has the toggle in this state."""
    index = TOGGLE_KEYS.index(key)
    return split_habits(text)[0][index : index + 1] == _LETTERS[Toggle(on)]


def split_reminders(text: str) -> frozenset[str]:
    """Return the text of each different reminder on its own, such as "timed:15min"."""
    parts = (part.partition(":") for part in text.split(";"))
    return frozenset(
        f"{name}:{entry}"
        for name, _colon, entries in parts
        for entry in entries.split(",")
        if entry not in ("", NO_REMINDERS)
    )


def encode_reminder(reminder: Reminder) -> str:
    """Return the word of one reminder."""
    match reminder:
        case Before():
            return f"{reminder.count}{reminder.unit}"
        case AtTimeOfDay():
            return f"{reminder.days_before}d@{minutes_to_clock(reminder.minute_of_day)}"
        case OnDate():
            return "date"
    return "odd"


def _decode_list(text: str | None) -> ReminderList:
    if text is None:
        return None
    return tuple(decode_reminder(entry) for entry in text.split(",") if entry != NO_REMINDERS)


def decode_reminder(text: str) -> Reminder:
    """Return the reminder of a word; an unknown word is an ``UnrecognizedReminder``."""
    # A form may contain words of any length, and the cache must not keep those.
    return _decode_word(text) if len(text) <= MAX_WORD_LENGTH else UnrecognizedReminder(None)


# Most people have the same few reminders.
@lru_cache(maxsize=4096)
def _decode_word(text: str) -> Reminder:
    if match := _BEFORE.fullmatch(text):
        return Before(cast("Unit", match[2]), int(match[1]))
    if match := _DAY_BEFORE.fullmatch(text):
        return AtTimeOfDay(int(match[1]), int(match[2]) * 60 + int(match[3]))
    return OnDate(None) if text == "date" else UnrecognizedReminder(None)
