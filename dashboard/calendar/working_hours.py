"""Parse working hours: a person's own where the portal sends them, else the portal's."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from dashboard.core.json_values import Json

Source = Literal["person", "account", "unknown"]

DAY = 24 * 60  # minutes

# "9", "9.00", "9.3" and "09:30". A missing time comes as ".00", which does not match.
_CLOCK = re.compile(r"([0-9]{1,2})(?:[.:]([0-9]{1,2}))?")


def minutes_to_clock(minutes: int) -> str:
    """Return minutes of the day as "08:05"."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True)
class ClockTime:
    """A time of day in minutes; 1440 is the midnight that ends the day."""

    minutes: int


@dataclass(frozen=True)
class Span:
    """From one time of day to another, past midnight when the end comes first."""

    start: int
    end: int

    @property
    def is_overnight(self) -> bool:
        """Tell whether the span ends on the next day."""
        return self.end < self.start

    @property
    def minutes(self) -> int:
        """Return the length; equal ends mean 24 hours."""
        return (self.end - self.start) % DAY or DAY

    @property
    def bands(self) -> tuple[tuple[int, int], ...]:
        """Return the parts of one day that the span covers, each as (from, to)."""
        if self.start < self.end:
            return ((self.start, self.end),)
        return tuple(band for band in ((0, self.end), (self.start, DAY)) if band[0] < band[1])

    def __str__(self) -> str:
        return f"{minutes_to_clock(self.start)}-{minutes_to_clock(self.end)}"


@dataclass(frozen=True)
class Hours:
    """A person's working hours, and whose setting they are."""

    span: Span | None
    source: Source
    has_unreadable_own_hours: bool = False  # the person has hours of their own, but they could not be read in full


def parse_clock(value: Json) -> ClockTime | None:
    """Return the time of day, or None when the value is not one."""
    match value:
        case bool():
            return None
        case float():
            text = f"{value:.2f}"  # the portal's hours are numbers, and 23.3 is 23:30
        case int() if 0 <= value <= 24:
            text = str(value)
        case str():
            text = value.strip()
        case _:
            return None
    clock = _CLOCK.fullmatch(text)
    if clock is None:
        return None
    hour, minute = int(clock[1]), int((clock[2] or "0").ljust(2, "0"))
    minutes = hour * 60 + minute
    return ClockTime(minutes) if minute < 60 and minutes <= DAY else None


def parse_hours(person: dict[str, Json], portal: dict[str, Json]) -> Hours:
    """Return the person's own hours if both ends are readable, else the portal's."""
    own = parse_span(person)
    has_own = any(person.get(key) not in (None, "") for key in ("work_time_start", "work_time_end"))
    hours = own_or_company_hours(own, parse_span(portal))
    return replace(hours, has_unreadable_own_hours=has_own and own is None)


def own_or_company_hours(own: Span | None, company: Span | None) -> Hours:
    """Return a person's own hours, or the company's for a person who has none."""
    if own is not None:
        return Hours(own, "person")
    return Hours(company, "account" if company else "unknown")


def parse_span(settings: dict[str, Json]) -> Span | None:
    """Return the hours of a person or a portal, or None if an end is missing or unreadable."""
    start = parse_clock(settings.get("work_time_start"))
    end = parse_clock(settings.get("work_time_end"))
    return Span(start.minutes, end.minutes) if start and end else None
