"""Parse the default reminders of new events, for timed and for all-day events."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from dashboard.calendar.working_hours import DAY
from dashboard.core.json_values import Json, as_list, parse_int

Unit = Literal["min", "hour", "day"]

_MINUTES: dict[Unit, int] = {"min": 1, "hour": 60, "day": DAY}
_NOT_SET: tuple[Json, ...] = (None, False, "false", "")


@dataclass(frozen=True)
class Before:
    """A number of minutes, hours or days before the start; 0 is at the start."""

    unit: Unit
    count: int

    @property
    def minutes(self) -> int:
        """Return the time before the start in minutes."""
        return self.count * _MINUTES[self.unit]


@dataclass(frozen=True)
class AtTimeOfDay:
    """At a time of day, a number of days before the day of the event; 0 is on that day."""

    days_before: int
    minute_of_day: int


@dataclass(frozen=True)
class OnDate:
    """At a fixed moment, as text in the portal's own format without a zone; None when the text is not stored."""

    text: str | None


@dataclass(frozen=True)
class UnrecognizedReminder:
    """The raw value of an unreadable entry; None when the value is not stored."""

    raw: Json


Reminder: TypeAlias = Before | AtTimeOfDay | OnDate | UnrecognizedReminder
ReminderList: TypeAlias = tuple[Reminder, ...] | None


@dataclass(frozen=True)
class Reminders:
    """The reminders of both kinds of event. None: unknown; empty: no reminders."""

    timed: ReminderList = None
    all_day: ReminderList = None
    unknown_keys: tuple[tuple[str, Json], ...] = ()

    @property
    def has_texts(self) -> bool:
        """Tell whether there is anything other than times before events."""
        reminders = (*(self.timed or ()), *(self.all_day or ()))
        return bool(self.unknown_keys) or not all(isinstance(entry, Before | AtTimeOfDay) for entry in reminders)


def parse_reminders(value: Json) -> Reminders | None:
    """Return the reminders, or None when the value is unreadable."""
    if value in _NOT_SET or value in ([], [""]):
        return Reminders()
    if not isinstance(value, dict):
        return None
    return Reminders(
        timed=_parse_list(value.get("withTime")),
        all_day=_parse_list(value.get("fullDay")),
        unknown_keys=tuple((key, raw) for key, raw in value.items() if key not in ("withTime", "fullDay")),
    )


def _parse_list(value: Json) -> ReminderList:
    if value in _NOT_SET:
        return None
    return tuple(map(parse_reminder, raw_entries(value)))


def raw_entries(value: Json) -> list[Json]:
    """Return the raw entries of one kind of event; a single reminder comes without a list around it."""
    if value in _NOT_SET:
        return []
    if isinstance(value, dict) and not all(isinstance(entry, dict) for entry in value.values()):
        return [value]
    entries = as_list(value)
    return [entry for entry in ([value] if entries is None else entries) if entry not in (None, "", [])]


def parse_reminder(raw: Json) -> Reminder:
    """Return one reminder."""
    return (_parse_known(raw) if isinstance(raw, dict) else None) or UnrecognizedReminder(raw)


def _parse_known(raw: dict[str, Json]) -> Reminder | None:
    match raw.get("type"):
        case "min" | "hour" | "day" as unit:
            count = parse_int(raw.get("count"))
            return Before(unit, count) if count is not None and count >= 0 else None
        case "daybefore":
            days, minutes = parse_int(raw.get("before")), parse_int(raw.get("time"))
            if days is not None and days >= 0 and minutes is not None and 0 <= minutes < DAY:
                return AtTimeOfDay(days, minutes)
        case "date":
            text = raw.get("value")
            return OnDate(text) if isinstance(text, str) and text.strip() else None
    return None
