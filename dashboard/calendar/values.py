"""Parse the value of one setting; each parser returns None for an unreadable value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dashboard.calendar.reminders import Reminders
from dashboard.calendar.time_zones import Offset, ZoneName, parse_offset, parse_zone_name
from dashboard.calendar.working_hours import ClockTime, parse_clock
from dashboard.core.json_values import Json, is_unset, parse_int

_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


@dataclass(frozen=True)
class Absent:
    """The portal does not send the setting."""


@dataclass(frozen=True)
class Unset:
    """The portal sends an empty value: the user has not chosen one."""


@dataclass(frozen=True)
class Unrecognized:
    """An unknown key, or an unreadable value of a known one; pages show the raw value."""

    part: Literal["key", "value"]


@dataclass(frozen=True)
class View:
    """The view the calendar opens in."""

    name: Literal["day", "week", "month", "list"]


@dataclass(frozen=True)
class Toggle:
    """A setting that is on or off."""

    on: bool


@dataclass(frozen=True)
class Months:
    """How many months back or ahead calendars are synchronized."""

    count: int


@dataclass(frozen=True)
class Text:
    """Text without further meaning."""

    text: str


@dataclass(frozen=True)
class CalendarSection:
    """A calendar; the name is None where the person's list of calendars lacks it."""

    id: int
    name: str | None = None
    color: str | None = None


@dataclass(frozen=True)
class DefaultSection:
    """The calendar for new events in one place, such as "user7", "group6" or "company_calendar"."""

    place: str
    section: CalendarSection | None
    raw: Json


@dataclass(frozen=True)
class DefaultSections:
    """The calendars for new events in each place."""

    places: tuple[DefaultSection, ...]


SettingValue: TypeAlias = (
    Absent
    | Unset
    | Unrecognized
    | View
    | Toggle
    | Months
    | Text
    | CalendarSection
    | DefaultSections
    | Reminders
    | ZoneName
    | Offset
    | ClockTime
)
ParseValue: TypeAlias = Callable[[Json], SettingValue | None]

_TOGGLES: dict[Json, bool] = {"Y": True, "N": False, "true": True, "false": False, "1": True, "0": False}


def parse_section_list(value: Json) -> tuple[CalendarSection, ...] | None:
    """Return the calendars of a `calendar.section.get` response, or None when it is not a list."""
    if not isinstance(value, list):
        return None
    return tuple(section for entry in value if (section := _parse_section_row(entry)))


def _parse_section_row(row: Json) -> CalendarSection | None:
    if not isinstance(row, dict) or (number := parse_int(row.get("ID"))) is None:
        return None
    name, color = row.get("NAME"), row.get("COLOR")
    return CalendarSection(
        id=number,
        name=name if isinstance(name, str) and name else None,
        color=color if isinstance(color, str) and _COLOR.fullmatch(color) else None,
    )


def parse_view(value: Json) -> SettingValue | None:
    """Parse the name of a view; portals may have custom ones, which are unreadable here."""
    match value:
        case None | "":
            return Unset()
        case "day" | "week" | "month" | "list":
            return View(value)
    return None


def parse_toggle(value: Json) -> SettingValue | None:
    """Parse a boolean, "Y" or "N", or a boolean that a form has turned into text or a number."""
    if value in (None, ""):
        return Unset()
    if isinstance(value, bool | int | float):
        return Toggle(bool(value)) if value in (0, 1) else None
    on = _TOGGLES.get(value) if isinstance(value, str) else None
    return None if on is None else Toggle(on)


def parse_months(value: Json) -> SettingValue | None:
    """Parse a number of months."""
    count = parse_int(value)
    if count is None:
        return Unset() if is_unset(value) else None
    return Months(count) if count >= 0 else None


def parse_section_id(value: Json) -> SettingValue | None:
    """Parse the number of a calendar."""
    number = parse_int(value)
    if is_unset(value) or number == 0:
        return Unset()
    return CalendarSection(number) if number and number > 0 else None


def parse_default_sections(value: Json) -> SettingValue | None:
    """Parse an object of places. PHP encodes an empty array, and one with keys 0, 1, 2 …, as a list."""
    if value in (None, False, "", "false"):
        return Unset()
    if isinstance(value, list):
        value = {str(place): raw for place, raw in enumerate(value)}
    if not isinstance(value, dict):
        return None
    return DefaultSections(tuple(_default_section(place, raw) for place, raw in value.items() if not is_unset(raw)))


def _default_section(place: str, raw: Json) -> DefaultSection:
    section = parse_section_id(raw)
    return DefaultSection(place, section if isinstance(section, CalendarSection) else None, raw)


def parse_email(value: Json) -> SettingValue | None:
    """Parse an email address."""
    if is_unset(value):
        return Unset()
    return Text(value) if isinstance(value, str) and "@" in value else None


def parse_legacy(value: Json) -> SettingValue | None:
    """Parse a setting that Bitrix24 itself no longer reads; any scalar is accepted."""
    if is_unset(value):
        return Unset()
    return Text(str(value)) if isinstance(value, bool | int | float | str) else None


def parse_zone(value: Json) -> SettingValue | None:
    """Parse the name of a time zone."""
    return Unset() if is_unset(value) else parse_zone_name(value)


def parse_zone_offset(value: Json) -> SettingValue | None:
    """Parse an offset from UTC; here 0 is a value."""
    return Unset() if value in (None, "") else parse_offset(value)


def parse_work_time(value: Json) -> SettingValue | None:
    """Parse one end of the working hours; the portal sends ".00" when it has none."""
    return Unset() if value in (None, "", ".00") else parse_clock(value)
