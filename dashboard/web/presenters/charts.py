"""Numbers made ready to be drawn: bars of people, clocks on a day, half hours of a day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from dashboard.calendar.working_hours import DAY
from dashboard.team.insights import SLOT, TeamDay
from dashboard.team.small_groups import SuppressedCounts

HEIGHT = 100  # of every picture here, in its own units
# What is there at all is seen.
_MIN_LENGTH = 2
_CLOCK = 24  # minutes a clock's bar is wide


@dataclass(frozen=True)
class Bar:
    """A name with its number of people; ``length`` is out of HEIGHT, ``href`` leads to those people."""

    key: str
    title: str
    people: int
    length: int
    href: str | None = None

    @property
    def is_quiet(self) -> bool:
        """Tell whether it stands for those who are in no group of their own."""
        return self.key in ("", "unknown", "rest")


@dataclass(frozen=True)
class ColumnMark:
    """A bar that stands on a day: from which minute, how wide, how high."""

    x: int
    width: int
    height: int


def bars(
    told: SuppressedCounts[str], *, title: Callable[[str], str], rest: str, href: Callable[[str], str | None]
) -> list[Bar]:
    """Return the groups as bars, each as long as its part of all, the rest last under its own name."""
    found = [(key, title(key), people, href(key)) for key, people in told.shown]
    found += [("rest", rest, told.suppressed, None)] if told.suppressed else []
    everyone = sum(people for _key, _title, people, _href in found)
    return [Bar(key, name, people, _share(people, everyone), link) for key, name, people, link in found]


def clocks(told: Sequence[tuple[str, int]], *, now: datetime) -> list[ColumnMark]:
    """Return where on the day each zone's clock stands now; zones with one clock share a bar."""
    counts: dict[int, int] = {}
    for zone, people in told:
        there = now.astimezone(ZoneInfo(zone))
        minute = there.hour * 60 + there.minute
        counts[minute] = counts.get(minute, 0) + people
    most = max(counts.values(), default=0)
    return [
        ColumnMark(_inside(minute - _CLOCK // 2), _CLOCK, _share(people, most))
        for minute, people in sorted(counts.items())
    ]


def slots(day: TeamDay) -> list[ColumnMark]:
    """Return a bar for each half hour of the day at which somebody is at work."""
    most = max(day.slots, default=0)
    return [
        ColumnMark(place * SLOT + 2, SLOT - 4, _share(people, most)) for place, people in enumerate(day.slots) if people
    ]


def team(**query: str) -> str:
    """Return the address of the team's page, narrowed down to those."""
    return f"/team?{urlencode(query)}"


def _share(people: int, whole: int) -> int:
    return max(_MIN_LENGTH, round(HEIGHT * people / whole)) if whole else 0


def _inside(minute: int) -> int:
    return min(max(minute, 0), DAY - _CLOCK)
