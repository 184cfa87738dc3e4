"""Prepare the charts of *Insights*: horizontal bars of people, and columns over one day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from dashboard.calendar.time_zones import zone_info
from dashboard.calendar.working_hours import DAY
from dashboard.team.insights import SLOT, TeamDay
from dashboard.team.small_groups import SuppressedCounts
from dashboard.web.presenters.filters import minutes_in

MAX_LENGTH = 100  # of a bar or a column
_MIN_LENGTH = 2  # a single person among thousands is still visible
_CLOCK_WIDTH = 24  # minutes


@dataclass(frozen=True)
class Bar:
    """A group with its number of people, and a link to them."""

    key: str
    title: str
    people: int
    length: int
    href: str | None = None

    @property
    def is_quiet(self) -> bool:
        """Tell whether the bar stands for unknown values or for all other groups."""
        return self.key in ("", "unknown", "rest")


@dataclass(frozen=True)
class ColumnMark:
    """A column over a day; ``x`` and ``width`` are minutes."""

    x: int
    width: int
    height: int


def bars(
    counts: SuppressedCounts[str], *, title: Callable[[str], str], others: str, href: Callable[[str], str | None]
) -> list[Bar]:
    """Return a bar for each group, and a last one for all others; lengths are shares of all people."""
    rows = [(key, title(key), people, href(key)) for key, people in counts.groups]
    rows += [("rest", others, counts.suppressed, None)] if counts.suppressed else []
    total = sum(people for _key, _title, people, _href in rows)
    return [Bar(key, name, people, _length(people, total), link) for key, name, people, link in rows]


def clock_columns(zones: Sequence[tuple[str, int]], *, now: datetime) -> list[ColumnMark]:
    """Return a column at the local time of each zone; zones with the same time share one."""
    people_by_minute: Counter[int] = Counter()
    for zone, people in zones:
        people_by_minute[minutes_in(now, zone_info(zone))] += people
    most = max(people_by_minute.values(), default=0)
    return [
        ColumnMark(min(max(minute - _CLOCK_WIDTH // 2, 0), DAY - _CLOCK_WIDTH), _CLOCK_WIDTH, _length(people, most))
        for minute, people in sorted(people_by_minute.items())
    ]


def slot_columns(day: TeamDay) -> list[ColumnMark]:
    """Return a column for each half hour of the day when somebody is at work."""
    most = max(day.slots, default=0)
    return [
        ColumnMark(slot * SLOT + 2, SLOT - 4, _length(people, most)) for slot, people in enumerate(day.slots) if people
    ]


def team_url(**filters: str) -> str:
    """Return the URL of *Team* with filters."""
    return f"/team?{urlencode(filters)}"


def _length(people: int, whole: int) -> int:
    return max(_MIN_LENGTH, round(MAX_LENGTH * people / whole)) if whole else 0
