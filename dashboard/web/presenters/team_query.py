"""What the address of the team's page asks for, and the addresses of what is one step from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from dashboard.core.json_values import Json
from dashboard.team.listing import NO_FILTER, SORTS, TeamFilter

MAX_QUERY_LENGTH = 200  # of what somebody searches for
MAX_RANGE_DAYS = 62  # days: a month's grid reaches into both neighbours
_FILTERS = tuple(field.name for field in fields(TeamFilter))


@dataclass(frozen=True)
class DateRange:
    """Days somebody looks at in a calendar, both ends included, and the one that is drawn."""

    first: date
    last: date
    day: date

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class TeamQuery:
    """One view of the team: who, in which order, which page, and the days when it came from a calendar."""

    filter: TeamFilter = NO_FILTER
    sort: str = "name"
    number: int = 1
    range: DateRange | None = None

    def address(self, path: str = "/team", **changes: Any) -> str:
        """Return the address of this view, changed so; another filter or order begins at page one."""
        filters = {key: value for key, value in changes.items() if key in _FILTERS}
        number = changes.get("number", self.number if not changes or changes.keys() == {"day"} else 1)
        asked = {name: getattr(replace(self.filter, **filters), name) for name in _FILTERS}
        asked["sort"] = changes.get("sort", self.sort)
        if asked["sort"] == "name":
            asked["sort"] = ""
        asked["page"] = str(number) if number > 1 else ""
        if self.range:
            asked["from"], asked["to"] = str(self.range.first), str(self.range.last)
            asked["day"] = str(changes.get("day", self.range.day))
        query = urlencode({name: value for name, value in asked.items() if value})
        return f"{path}?{query}" if query else path

    def sorted_by(self, name: str) -> str:
        """Return the address with the table sorted by that, the other way round where it already is."""
        return self.address(sort=f"-{name}" if self.sort == name else name)

    def direction(self, name: str) -> str:
        """Return how the table is sorted by that, in the words of `aria-sort`."""
        if self.sort.removeprefix("-") != name:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    @property
    def cleared(self) -> str:
        """Return the address without any filter."""
        return TeamQuery(sort=self.sort, range=self.range).address()

    @property
    def filtered(self) -> bool:
        return self.filter != NO_FILTER


def parse_team_query(query: Mapping[str, str], *, today: date) -> TeamQuery:
    """Return what a query asks for. What cannot be read is as if it were not there.

    A filter that nobody fits is no mistake: it finds nobody, and the page says so.
    """
    sort = query.get("sort", "")
    number = query.get("page", "")
    return TeamQuery(
        filter=TeamFilter(**{name: _text(query.get(name, "")) for name in _FILTERS}),
        sort=sort if sort.removeprefix("-") in SORTS else "name",
        number=int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 1,
        range=_range(query.get("from"), query.get("to"), query.get("day"), today),
    )


def opened_at(options: Mapping[str, Json], *, today: date) -> TeamQuery:
    """Return the team on the days a calendar shows, as it tells the view that stands in it."""
    return TeamQuery(range=_range(options.get("viewRangeFrom"), options.get("viewRangeTo"), None, today))


def _text(value: str) -> str:
    # No database takes a zero byte, and no name has one.
    return value.replace("\0", "").strip()[:MAX_QUERY_LENGTH]


def _range(first: Json, last: Json, chosen: Json, today: date) -> DateRange | None:
    begins, ends = _date(first), _date(last)
    if begins is None or ends is None or not 0 <= (ends - begins).days < MAX_RANGE_DAYS:
        return None
    day = _date(chosen) or today
    return DateRange(begins, ends, day if begins <= day <= ends else begins)


def _date(value: Json) -> date | None:
    """Return the day; the years at the ends of the calendar have no neighbours to draw."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None
    return day if day is not None and 1970 <= day.year <= 2100 else None
