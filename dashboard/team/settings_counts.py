"""What people have set, counted: how many have which view, zone, reminders, and each setting on or off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dashboard.calendar.encoding import TOGGLE_KEYS, decode_habits, encode_reminders
from dashboard.calendar.reminders import Reminders
from dashboard.calendar.working_hours import Span

USUAL_VIEWS = ("month", "week", "day", "list")


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
    texts: Mapping[str, int]  # text of `people.habits` → people; those without one are left out
    disagreeing: Mapping[tuple[str, str], int]  # the profile's zone and the calendar's, where they differ


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


def usual_reminders(counts: SettingsCounts) -> list[tuple[Reminders, int]]:
    """Return each single reminder with how many people have it, the most frequent first."""
    people_by_reminder: Counter[Reminders] = Counter()
    for text, people in counts.texts.items():
        reminders = decode_habits(text).reminders
        entries = {Reminders(timed=(reminder,)) for reminder in reminders.timed or ()}
        entries |= {Reminders(all_day=(reminder,)) for reminder in reminders.all_day or ()}
        people_by_reminder.update(dict.fromkeys(entries, people))
    return sorted(people_by_reminder.items(), key=lambda row: (-row[1], encode_reminders(row[0])))


def toggle_counts(counts: SettingsCounts) -> dict[str, dict[bool | None, int]]:
    """Return for each toggle how many people have it on, off, or without an answer (None)."""
    answers: dict[str, Counter[bool | None]] = {key: Counter() for key in TOGGLE_KEYS}
    for text, people in counts.texts.items():
        for key, toggle in decode_habits(text).toggles.items():
            answers[key][toggle.on] += people
    for people_by_answer in answers.values():
        people_by_answer[None] = counts.people - people_by_answer.total()
    return {key: {answer: people for answer, people in row.items() if people} for key, row in answers.items()}
