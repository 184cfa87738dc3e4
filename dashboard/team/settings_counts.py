"""What people have set, counted: how many have which view, zone, reminders, and each setting on or off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from dashboard.calendar import parser, values
from dashboard.calendar.parser import CalendarSettings
from dashboard.calendar.values import Toggle
from dashboard.calendar.working_hours import Span

# In this order they stand in people's texts; another order makes old texts wrong (`facts.VERSION`).
TOGGLES = tuple(key for key, reader in parser.READERS.items() if reader is values.parse_toggle)
USUAL_VIEWS = ("month", "week", "day", "list")

_LETTERS = {True: "Y", False: "N", None: "-"}
_ANSWERS: dict[str, bool] = {"Y": True, "N": False}
# Longer ones are counted as many; nobody else has the same, and no index takes them.
_MAX_REMINDERS_LENGTH = 300


@dataclass(frozen=True)
class ZoneAndHours:
    """Where and when people work; an empty zone and no span are those nobody knows."""

    zone: str
    span: Span | None


@dataclass(frozen=True)
class SettingsCounts:
    """How many people have what. Each of the maps counts the same people, all whose settings are known."""

    total: int  # with those whose settings are not known
    people: int
    read_at: datetime | None  # the last time anybody's settings were read
    zones_and_hours: Mapping[ZoneAndHours, int]
    views: Mapping[str, int]
    reminder_counts: Mapping[int | None, int]
    texts: Mapping[str, int]  # of `habits_text`; what is missing to all people is not told
    disagreeing: Mapping[tuple[str, str], int]  # the profile's zone and the calendar's, where they differ


def encode_toggles(my: CalendarSettings) -> str:
    """Return "YNNYNN- timed:15min": each of SWITCHES on, off or not told, then the reminders.

    Nobody reads it: thousands of people have some hundreds of these texts, and a database counts
    those in no time. Empty where nothing is known.
    """
    if not my.readable:
        return ""
    reminders = parser.reminders_text(my)
    letters = "".join(_LETTERS[_toggle_answer(my, key)] for key in TOGGLES)
    return f"{letters} {reminders if len(reminders) <= _MAX_REMINDERS_LENGTH else ''}"


def _toggle_answer(my: CalendarSettings, key: str) -> bool | None:
    meaning = my.entries[key].meaning
    return meaning.on if isinstance(meaning, Toggle) else None


# There are some hundreds of these texts, and each is asked about once for every setting.
@lru_cache(maxsize=4096)
def toggle_answers(text: str) -> Mapping[str, bool]:
    """Return what a text tells about the settings that are on or off."""
    return {key: _ANSWERS[letter] for key, letter in zip(TOGGLES, text, strict=False) if letter in _ANSWERS}


def reminders(text: str) -> str:
    """Return the reminders a text tells, in the words of `settings.reminders_text`."""
    return text.partition(" ")[2]


def reminder_entries(told: str) -> list[tuple[str, str]]:
    """Return the reminders, each with the kind of event it is for: "timed" or "day"."""
    found = []
    for half in filter(None, told.split(";")):
        name, _colon, those = half.partition(":")
        found += [(name, entry) for entry in those.split(",") if entry != "none"]
    return found


def views(habits: SettingsCounts) -> dict[str, int]:
    """Return how many people open which view; "other" sums up those of applications, "" chose none."""
    counts: Counter[str] = Counter()
    for name, people in habits.views.items():
        counts[name if name in ("", *USUAL_VIEWS) else "other"] += people
    return dict(counts)


def zones(habits: SettingsCounts) -> dict[str, int]:
    """Return how many people's calendars are in which zone; "" is not known."""
    counts: Counter[str] = Counter()
    for place, people in habits.zones_and_hours.items():
        counts[place.zone] += people
    return dict(counts)


def reminder_counts(habits: SettingsCounts) -> dict[str, int]:
    """Return how many people have "none", "one" or "many" reminders, or "unknown" many."""
    counts: Counter[str] = Counter()
    for number, people in habits.reminder_counts.items():
        some = "unknown" if number is None else ("none", "one", "many")[min(number, 2)]
        counts[some] += people
    return dict(counts)


def usual_reminders(habits: SettingsCounts) -> list[tuple[str, str, int]]:
    """Return each reminder with the kind of event and how many people have it, the most usual first."""
    counts: Counter[tuple[str, str]] = Counter()
    for text, people in habits.texts.items():
        for entry in set(reminder_entries(reminders(text))):
            counts[entry] += people
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [(half, entry, people) for (half, entry), people in ranked]


def toggle_counts(habits: SettingsCounts) -> dict[str, dict[bool | None, int]]:
    """Return for each setting how many have it on, how many off, and how many do not tell (None)."""
    counts: dict[str, Counter[bool | None]] = {key: Counter() for key in TOGGLES}
    for text, people in habits.texts.items():
        for key, on in toggle_answers(text).items():
            counts[key][on] += people
    for told in counts.values():
        told[None] = habits.people - told.total()
    return {key: {answer: people for answer, people in told.items() if people} for key, told in counts.items()}
