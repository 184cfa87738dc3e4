"""Parse the URL of *Team*, and build the URLs of its links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from dashboard.core.json_values import Json
from dashboard.team.listing import NO_FILTER, SORTS, TeamFilter
from dashboard.web.http.query_values import page_number, text_value

MAX_TEXT_LENGTH = 200
MAX_RANGE_DAYS = 62  # a month view also shows days of the months around it
_FILTERS = tuple(field.name for field in fields(TeamFilter))


@dataclass(frozen=True)
class DateRange:
    """The days of a calendar view, both ends included, and the day of the chart."""

    first: date
    last: date
    day: date

    @property
    def days(self) -> list[date]:
        """Return each day of the range."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


@dataclass(frozen=True)
class TeamQuery:
    """The filter, order and page of the table, and the range of days when it was opened from a calendar."""

    filter: TeamFilter = NO_FILTER
    sort: str = "name"
    number: int = 1
    range: DateRange | None = None

    def url(self, path: str = "/team", **changes: Any) -> str:
        """Return the URL of the query with changes; another filter or order starts at page one."""
        filters = {key: value for key, value in changes.items() if key in _FILTERS}
        number = changes.get("number", self.number if not changes or changes.keys() == {"day"} else 1)
        sort = changes.get("sort", self.sort)
        parameters = asdict(replace(self.filter, **filters))
        parameters |= {"sort": "" if sort == "name" else sort, "page": number if number > 1 else ""}
        if self.range:
            day = changes.get("day", self.range.day)
            parameters |= {"from": self.range.first, "to": self.range.last, "day": day}
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"{path}?{query}" if query else path

    def sorted_by(self, name: str) -> str:
        """Return the URL with the table sorted by a column, in the other direction if it already is."""
        return self.url(sort=f"-{name}" if self.sort == name else name)

    def direction(self, name: str) -> str:
        """Return the value of `aria-sort` for a column."""
        if self.sort.removeprefix("-") != name:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    @property
    def without_filter(self) -> str:
        """Return the URL without any filter."""
        return replace(self, filter=NO_FILTER).url(number=1)

    @property
    def is_filtered(self) -> bool:
        """Tell whether the table may show fewer people than there are."""
        return self.filter != NO_FILTER


def parse_team_query(query: Mapping[str, str], *, today: date) -> TeamQuery:
    """Parse the query. Invalid parameters are ignored; an unknown filter value matches nobody."""
    sort = query.get("sort", "")
    return TeamQuery(
        filter=TeamFilter(**{name: text_value(query, name, max_length=MAX_TEXT_LENGTH) for name in _FILTERS}),
        sort=sort if sort.removeprefix("-") in SORTS else "name",
        number=page_number(query),
        range=_range(query.get("from"), query.get("to"), query.get("day"), today),
    )


def parse_calendar_options(options: Mapping[str, Json], *, today: date) -> TeamQuery:
    """Return the query for the days that the calendar shows, from the options that Bitrix24 posts to our tab."""
    return TeamQuery(range=_range(options.get("viewRangeFrom"), options.get("viewRangeTo"), None, today))


def _range(first: Json, last: Json, chosen_day: Json, today: date) -> DateRange | None:
    start, end = _date(first), _date(last)
    if start is None or end is None or not 0 <= (end - start).days < MAX_RANGE_DAYS:
        return None
    day = _date(chosen_day) or today
    return DateRange(start, end, day if start <= day <= end else start)


def _date(value: Json) -> date | None:
    """Return the day, None outside of 1970 to 2100: charts also compute with the days around it."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None
    return day if day is not None and 1970 <= day.year <= 2100 else None
