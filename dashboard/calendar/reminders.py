"""Default reminders of new events: one entry or many, of five kinds, for timed and all-day events."""

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from dashboard.calendar.working_hours import DAY
from dashboard.core.json_values import Json, as_list, parse_int

Unit = Literal["min", "hour", "day"]

_NOTHING: tuple[Json, ...] = (None, False, "false", "")


@dataclass(frozen=True)
class Before:
    """So many minutes, hours or days before; none before is at the start."""

    kind: ClassVar = "before"
    unit: Unit
    count: int


@dataclass(frozen=True)
class DayBefore:
    """At a time of day, so many days before the day of the event; none before is that day."""

    kind: ClassVar = "daybefore"
    days: int
    minutes: int


@dataclass(frozen=True)
class OnDate:
    """At a fixed moment, as text in the portal's own format without a zone; None when the text is not stored."""

    kind: ClassVar = "date"
    text: str | None


@dataclass(frozen=True)
class UnrecognizedReminder:
    """An entry that cannot be read, as it came; None when the value is not stored."""

    kind: ClassVar = "odd"
    raw: Json


Reminder: TypeAlias = Before | DayBefore | OnDate | UnrecognizedReminder
ReminderList: TypeAlias = tuple[Reminder, ...] | None


@dataclass(frozen=True)
class Reminders:
    """Both kinds of event. None: the portal does not say; empty: reminded of nothing."""

    kind: ClassVar = "reminders"
    timed: ReminderList = None
    all_day: ReminderList = None
    rest: tuple[tuple[str, Json], ...] = ()


def parse_reminders(value: Json) -> Reminders | None:
    """Return the reminders, empty ones where the portal says nothing, or None when unreadable."""
    if value in _NOTHING or value in ([], [""]):
        return Reminders()
    if not isinstance(value, dict):
        return None
    return Reminders(
        timed=_parse_list(value.get("withTime")),
        all_day=_parse_list(value.get("fullDay")),
        rest=tuple((key, raw) for key, raw in value.items() if key not in ("withTime", "fullDay")),
    )


def _parse_list(value: Json) -> ReminderList:
    if value in _NOTHING:
        return None
    return tuple(_parse_reminder(entry) for entry in _entries(value) if entry not in (None, "", []))


def _entries(value: Json) -> list[Json]:
    """Return the entries of one kind of event; a single reminder comes without a list around it."""
    if isinstance(value, dict) and not all(isinstance(entry, dict) for entry in value.values()):
        return [value]
    entries = as_list(value)
    return [value] if entries is None else entries


def _parse_reminder(raw: Json) -> Reminder:
    if not isinstance(raw, dict):
        return UnrecognizedReminder(raw)
    match raw.get("type"):
        case "min" | "hour" | "day" as unit:
            reminder = _parse_before(unit, raw.get("count"))
        case "daybefore":
            reminder = _parse_day_before(raw.get("before"), raw.get("time"))
        case "date":
            reminder = _parse_date(raw.get("value"))
        case _:
            reminder = None
    return reminder or UnrecognizedReminder(raw)


def _parse_before(unit: Unit, count: Json) -> Reminder | None:
    number = parse_int(count)
    return Before(unit, number) if number is not None and number >= 0 else None


def _parse_day_before(before: Json, time: Json) -> Reminder | None:
    days, minutes = parse_int(before), parse_int(time)
    if days is None or days < 0 or minutes is None or not 0 <= minutes < DAY:
        return None
    return DayBefore(days, minutes)


def _parse_date(value: Json) -> Reminder | None:
    return OnDate(value) if isinstance(value, str) and value.strip() else None
