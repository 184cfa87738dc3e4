"""What one setting can mean, and how each kind of value is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from dashboard.calendar.reminders import Reminders, parse_reminders
from dashboard.calendar.time_zones import Offset, ZoneName, parse_offset, parse_zone_name
from dashboard.calendar.working_hours import ClockTime, parse_clock
from dashboard.core.json_values import Json, is_unset, parse_int

_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


@dataclass(frozen=True)
class Absent:
    """The portal knows no such setting, or does not send it."""

    kind: ClassVar = "absent"


@dataclass(frozen=True)
class Unset:
    """The setting is there and nothing was chosen."""

    kind: ClassVar = "unset"


@dataclass(frozen=True)
class Unrecognized:
    """A key nobody knows, or a value nobody can read: shown as it came."""

    kind: ClassVar = "odd"
    what: Literal["key", "value"]


@dataclass(frozen=True)
class View:
    """The view the calendar opens in."""

    kind: ClassVar = "view"
    name: Literal["day", "week", "month", "list"]


@dataclass(frozen=True)
class Toggle:
    """Yes or no."""

    kind: ClassVar = "switch"
    on: bool


@dataclass(frozen=True)
class Months:
    """How far calendars are synchronised."""

    kind: ClassVar = "months"
    count: int


@dataclass(frozen=True)
class Text:
    """Text that means what it says."""

    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True)
class CalendarSection:
    """A calendar; the name is None where the person's list does not have it."""

    kind: ClassVar = "section"
    id: int
    name: str | None = None
    color: str | None = None


@dataclass(frozen=True)
class DefaultSection:
    """Which calendar new events go to in one place: "user7", "group6", "company_calendar"…"""

    place: str
    section: CalendarSection | None
    raw: Json


@dataclass(frozen=True)
class DefaultSections:
    """The calendars chosen for new events, place by place."""

    kind: ClassVar = "sections"
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
Sections: TypeAlias = Mapping[int, CalendarSection]
ParseValue: TypeAlias = Callable[[Json, Sections], SettingValue | None]

_TOGGLES: dict[Json, bool] = {"Y": True, "N": False, "true": True, "false": False, "1": True, "0": False}


def parse_sections(value: Json) -> tuple[CalendarSection, ...] | None:
    """Return the calendars of a `calendar.section.get` answer, or None when it is not a list of them."""
    if not isinstance(value, list):
        return None
    return tuple(section for entry in value if (section := _parse_listed_section(entry)))


def _parse_listed_section(entry: Json) -> CalendarSection | None:
    if not isinstance(entry, dict) or (number := parse_int(entry.get("ID"))) is None:
        return None
    name, color = entry.get("NAME"), entry.get("COLOR")
    return CalendarSection(
        id=number,
        name=name if isinstance(name, str) and name else None,
        color=color if isinstance(color, str) and _COLOR.fullmatch(color) else None,
    )


def parse_view(value: Json, _: Sections) -> SettingValue | None:
    if value in (None, ""):
        return Unset()
    match value:
        case "day" | "week" | "month" | "list":
            return View(value)
    return None


def parse_toggle(value: Json, _: Sections) -> SettingValue | None:
    """Read a boolean, a Y or N, or what a form made of either."""
    if value in (None, ""):
        return Unset()
    if isinstance(value, bool | int | float):
        return Toggle(bool(value)) if value in (0, 1) else None
    on = _TOGGLES.get(value) if isinstance(value, str) else None
    return None if on is None else Toggle(on)


def parse_months(value: Json, _: Sections) -> SettingValue | None:
    count = parse_int(value)
    if count is not None:
        return Months(count) if count >= 0 else None
    return Unset() if is_unset(value) else None


def parse_section(value: Json, sections: Sections) -> SettingValue | None:
    if is_unset(value):
        return Unset()
    number = parse_int(value)
    if number is None or number <= 0:
        return Unset() if number == 0 else None
    return sections.get(number, CalendarSection(number))


def parse_default_sections(value: Json, sections: Sections) -> SettingValue | None:
    """Read the map of places; PHP writes an empty one, and one with keys from 0 up, as a list."""
    if value in (None, False, "", "false"):
        return Unset()
    if isinstance(value, list):
        value = {str(place): raw for place, raw in enumerate(value)}
    if not isinstance(value, dict):
        return None
    return DefaultSections(
        tuple(_default_section(place, raw, sections) for place, raw in value.items() if not is_unset(raw))
    )


def _default_section(place: str, raw: Json, sections: Sections) -> DefaultSection:
    section = parse_section(raw, sections)
    return DefaultSection(place, section if isinstance(section, CalendarSection) else None, raw)


def parse_email(value: Json, _: Sections) -> SettingValue | None:
    if is_unset(value):
        return Unset()
    return Text(value) if isinstance(value, str) and "@" in value else None


def parse_legacy(value: Json, _: Sections) -> SettingValue | None:
    """Read what Bitrix24 itself no longer reads: any scalar will do."""
    if is_unset(value):
        return Unset()
    return Text(str(value)) if isinstance(value, bool | int | float | str) else None


def parse_zone(value: Json, _: Sections) -> SettingValue | None:
    return Unset() if is_unset(value) else parse_zone_name(value)


def parse_zone_offset(value: Json, _: Sections) -> SettingValue | None:
    return Unset() if value in (None, "") else parse_offset(value)


def parse_default_reminders(value: Json, _: Sections) -> SettingValue | None:
    return parse_reminders(value)


def parse_work_time(value: Json, _: Sections) -> SettingValue | None:
    """Read one end of the working hours; ".00" is how the portal writes that it has none."""
    return Unset() if value in (None, "", ".00") else parse_clock(value)
