"""Count people by their settings: view, time zone and hours, reminders, and each toggle."""

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
    """A time zone and hours that people share; the zone is empty and the span None where unknown."""

    zone: str
    span: Span | None


@dataclass(frozen=True)
class SettingsCounts:
    """Numbers of people by their settings. Each mapping counts everyone whose settings are known."""

    total: int  # including those whose settings are unknown
    people: int
    read_at: datetime | None  # when any settings were last read
    zones_and_hours: Mapping[ZoneAndHours, int]
    views: Mapping[str, int]
    reminder_counts: Mapping[int | None, int]
    habits: Mapping[str, int]  # by the text of `people.habits`; those without one are left out
    zone_pairs: Mapping[tuple[str, str], int]  # by the profile's zone and the calendar's, where these differ


def views(counts: SettingsCounts) -> dict[str, int]:
    """Return how many people have each default view; "other" is an application's, "" is not set."""
    people_by_view: Counter[str] = Counter()
    for name, people in counts.views.items():
        people_by_view[name if name in ("", *USUAL_VIEWS) else "other"] += people
    return dict(people_by_view)


def zones(counts: SettingsCounts) -> dict[str, int]:
    """Return how many people have their calendar in each time zone; "" is unknown."""
    people_by_zone: Counter[str] = Counter()
    for place, people in counts.zones_and_hours.items():
        people_by_zone[place.zone] += people
    return dict(people_by_zone)


def reminder_counts(counts: SettingsCounts) -> dict[str, int]:
    """Return how many people have "none", "one" or "many" reminders, or an "unknown" number."""
    people_by_count: Counter[str] = Counter()
    for number, people in counts.reminder_counts.items():
        people_by_count["unknown" if number is None else ("none", "one", "many")[min(number, 2)]] += people
    return dict(people_by_count)


def usual_reminders(counts: SettingsCounts) -> list[tuple[Reminders, int]]:
    """Return each single reminder with how many people have it, the most frequent first."""
    people_by_reminder: Counter[Reminders] = Counter()
    for text, people in counts.habits.items():
        reminders = decode_habits(text).reminders
        entries = {Reminders(timed=(reminder,)) for reminder in reminders.timed or ()}
        entries |= {Reminders(all_day=(reminder,)) for reminder in reminders.all_day or ()}
        people_by_reminder.update(dict.fromkeys(entries, people))
    return sorted(people_by_reminder.items(), key=lambda row: (-row[1], encode_reminders(row[0])))


def toggle_counts(counts: SettingsCounts) -> dict[str, dict[bool | None, int]]:
    """Return for each toggle how many people have it on, off, or without an answer (None)."""
    answers: dict[str, Counter[bool | None]] = {key: Counter() for key in TOGGLE_KEYS}
    for text, people in counts.habits.items():
        for key, toggle in decode_habits(text).toggles.items():
            answers[key][toggle.on] += people
    for people_by_answer in answers.values():
        people_by_answer[None] = counts.people - people_by_answer.total()
    return {key: {answer: people for answer, people in row.items() if people} for key, row in answers.items()}
