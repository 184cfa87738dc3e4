"""Working hours: a person's own where the portal sends them, else the account's."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from dashboard.core.json_values import Json

Source = Literal["person", "account", "unknown"]

DAY = 24 * 60

# "9", "9.00", "9.3" and "09:30". A missing half of the stored option comes as ".00": no hour, no match.
_CLOCK = re.compile(r"([0-9]{1,2})(?:[.:]([0-9]{1,2}))?")


def minutes_to_clock(minutes: int) -> str:
    """Return minutes of the day as "08:05"."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


@dataclass(frozen=True)
class ClockTime:
    """A time of day in minutes; 1440 is the midnight that ends the day."""

    kind: ClassVar = "clock"
    minutes: int


@dataclass(frozen=True)
class Span:
    """From one time of day to another, past midnight when the end comes first."""

    start: int
    end: int

    @property
    def overnight(self) -> bool:
        return self.end < self.start

    @property
    def minutes(self) -> int:
        """Return the length; equal ends are the whole day round."""
        return (self.end - self.start) % DAY or DAY

    @property
    def bands(self) -> tuple[tuple[int, int], ...]:
        """Return the parts of one day it covers, each as (from, to)."""
        if self.start < self.end:
            return ((self.start, self.end),)
        return tuple(band for band in ((0, self.end), (self.start, DAY)) if band[0] < band[1])


@dataclass(frozen=True)
class Hours:
    """The hours that count for a person, and where they come from."""

    span: Span | None
    source: Source
    is_doubtful: bool = False  # the person's own came, but could not be read whole


def parse_clock(value: Json) -> ClockTime | None:
    """Return the time of day, or None when the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    # The account's hours are numbers after clamping, and 23.3 is 23:30.
    text = f"{value:.2f}" if isinstance(value, float) else format_clock(value)
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    hour, minute = int(match[1]), int((match[2] or "0").ljust(2, "0"))
    minutes = hour * 60 + minute
    return ClockTime(minutes) if minute < 60 and minutes <= DAY else None


def format_clock(value: int | str) -> str:
    """Return the value as text; a number too long to be a time is no text at all."""
    if isinstance(value, int):
        return str(value) if 0 <= value <= 24 else ""
    return value


def parse_hours(person: dict[str, Json], account: dict[str, Json]) -> Hours:
    """Choose between the two places hours live in; half a span is no span."""
    own = _parse_span(person)
    if own is not None:
        return Hours(own, "person")
    shared = _parse_span(account)
    return Hours(shared, "account" if shared else "unknown", is_doubtful=_has_hours(person))


def _parse_span(settings: dict[str, Json]) -> Span | None:
    start = parse_clock(settings.get("work_time_start"))
    end = parse_clock(settings.get("work_time_end"))
    return Span(start.minutes, end.minutes) if start and end else None


def _has_hours(settings: dict[str, Json]) -> bool:
    values = (settings.get("work_time_start"), settings.get("work_time_end"))
    return any(value not in (None, "") for value in values)
