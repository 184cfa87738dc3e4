"""Count people by their settings: view, time zone and hours, reminders, and each toggle."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dashboard.calendar.encoding import TOGGLE_KEYS, decode_toggles, split_habits, split_reminders
from dashboard.calendar.working_hours import Span

USUAL_VIEWS = ("month", "week", "day", "list")
OTHER_VIEW = "other"
MANY_REMINDERS = 2


@dataclass(frozen=True)
class ZoneAndHours:
    """A time zone and working hours; the zone is empty if unknown, the span None if unknown or rare."""

    zone: str
    span: Span | None


@dataclass(frozen=True)
class SettingsCounts:
    """Numbers of people by their settings. ``zones_and_hours`` counts everyone, all others those with known settings.

    In a portal with more than ``frequency.MAX_VALUES`` different settings, ``habits`` and ``zone_pairs`` have only the
    most frequent ones, and ``zones_and_hours`` counts people with rare hours as people with unknown hours.
    """

    total: int  # including those whose settings are unknown
    people: int
    read_at: datetime | None  # when any settings were last read
    zones_and_hours: Mapping[ZoneAndHours, int]
    views: Mapping[str, int]  # OTHER_VIEW: a view that another application adds; "": not set
    reminder_counts: Mapping[int | None, int]  # MANY_REMINDERS includes higher numbers
    habits: Mapping[str, int]  # by `people.habits`; people without it are left out
    zone_pairs: Mapping[tuple[str, str], int]  # (profile's zone, calendar's zone), if these differ
    people_in_other_groups: int = 0  # whose zone and hours are known but rare
    is_complete: bool = True
    hours: Mapping[Span, int] = field(default_factory=dict)


def zones(counts: SettingsCounts) -> dict[str, int]:
    """Count people by their time zone; "" is unknown."""
    people_by_zone: Counter[str] = Counter()
    for place, people in counts.zones_and_hours.items():
        people_by_zone[place.zone] += people
    return dict(people_by_zone)


def reminder_counts(counts: SettingsCounts) -> dict[str, int]:
    """Count people by their number of reminders: "none", "one", "many" or "unknown"."""
    people_by_count: Counter[str] = Counter()
    for number, people in counts.reminder_counts.items():
        people_by_count["unknown" if number is None else ("none", "one", "many")[min(number, MANY_REMINDERS)]] += people
    return dict(people_by_count)


def usual_reminders(counts: SettingsCounts, *, limit: int) -> list[tuple[str, int]]:
    """Return the most frequent reminders, encoded, each with its number of people."""
    people_by_text: Counter[str] = Counter()
    for text, people in counts.habits.items():
        people_by_text[split_habits(text)[1]] += people
    people_by_reminder: dict[str, int] = {}
    for text, people in people_by_text.items():
        for reminder in split_reminders(text):
            people_by_reminder[reminder] = people_by_reminder.get(reminder, 0) + people
    return heapq.nsmallest(limit, people_by_reminder.items(), key=lambda row: (-row[1], row[0]))


def toggle_counts(counts: SettingsCounts) -> dict[str, dict[bool | None, int]]:
    """Count people by the state of each toggle: on, off, or unknown (None)."""
    people_by_letters: Counter[str] = Counter()
    for text, people in counts.habits.items():
        people_by_letters[split_habits(text)[0]] += people
    answers: dict[str, Counter[bool | None]] = {key: Counter() for key in TOGGLE_KEYS}
    for letters, people in people_by_letters.items():
        for key, is_on in decode_toggles(letters).items():
            answers[key][is_on] += people
    for people_by_answer in answers.values():
        people_by_answer[None] = counts.people - people_by_answer.total()
    return {key: {answer: people for answer, people in row.items() if people} for key, row in answers.items()}
