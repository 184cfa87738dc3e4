"""Parse the URL of *Team*, and build the URLs of its links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import Any
from urllib.parse import urlencode

from dashboard.calendar.holidays import DaysOff
from dashboard.core.json_values import Json
from dashboard.core.sort_keys import LANGUAGES_WITH_ACCENTED_LETTERS
from dashboard.team.team_filter import FLAGS, NO_FILTER, TeamFilter, TeamReader
from dashboard.team.team_order import SORTS, Arrangement, Grouping
from dashboard.web.http.query_values import page_number, text_value
from dashboard.web.i18n.translations import current
from dashboard.web.presenters import filters, labels
from dashboard.web.presenters.calendar_days import DateRange, date_range, is_supported, parse_date, parse_range

MAX_TEXT_LENGTH = 200
_FILTERS = tuple(field.name for field in fields(TeamFilter))


@dataclass(frozen=True)
class DaysAround:
    """The day of the chart and its neighbors, None beyond the years that charts have."""

    day: date
    previous: date | None
    following: date | None
    is_today: bool


@dataclass(frozen=True)
class TeamQuery:
    """The filter, order, groups and page of the list, and its day or, when opened from a calendar, its days.

    An empty order or group, and a day that is None, are those that nobody has chosen.
    """

    filter: TeamFilter = NO_FILTER
    sort: str = ""
    group: str = ""
    number: int = 1
    day: date | None = None
    range: DateRange | None = None

    @property
    def arrangement(self) -> Arrangement:
        """Return the chosen order and groups."""
        return Arrangement(self.sort, self.group)

    def url(self, path: str = "/team", **changes: Any) -> str:
        """Return the URL of the query with changes; another filter or order starts at page one."""
        chosen = {key: value for key, value in changes.items() if key in _FILTERS}
        number = changes.get("number", self.number if not changes or changes.keys() == {"day"} else 1)
        parameters = asdict(replace(self.filter, **chosen))
        parameters |= {name: changes.get(name, getattr(self, name)) for name in ("sort", "group", "day")}
        parameters["page"] = number if number > 1 else ""
        if self.range:
            del parameters["day"]
            parameters |= {"from": self.range.first, "to": self.range.last, "day": changes.get("day", self.range.day)}
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"{path}?{query}" if query else path

    def sorted_by(self, name: str) -> str:
        """Return the URL with the table sorted by a column, in the other direction if it already is."""
        return self.url(sort=f"-{name}" if self.sort == name else name)

    def toggled(self, name: str, value: str) -> str:
        """Return the URL with a filter's value, or without it if it already is the filter's."""
        return self.url(**{name: "" if getattr(self.filter, name) == value else value})

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


def team_reader(now: datetime, zone: tzinfo, days_off: DaysOff) -> TeamReader:
    """Return what the list depends on besides the query: the moment, and the user's zone, days off and language."""
    return TeamReader(
        now=now,
        zone=zone,
        days_off=days_off,
        city=filters.zone_city,
        unnamed=labels.unnamed(),
        sorts_accents=current().locale.language in LANGUAGES_WITH_ACCENTED_LETTERS,
    )


def parse_team_query(query: Mapping[str, str], *, today: date) -> TeamQuery:
    """Parse the query. Invalid parameters are ignored; an unknown filter value matches nobody."""
    sort, day = query.get("sort", ""), parse_date(query.get("day"))
    return TeamQuery(
        filter=TeamFilter(**{name: _filter_value(query, name) for name in _FILTERS}),
        sort=sort if sort.removeprefix("-") in SORTS else "",
        group=group if (group := query.get("group", "")) in list(Grouping) else "",
        number=page_number(query),
        day=None if day == today else day,
        range=parse_range(query, today=today),
    )


def _filter_value(query: Mapping[str, str], name: str) -> str:
    value = text_value(query, name, max_length=MAX_TEXT_LENGTH)
    return value if name not in FLAGS or value == "1" else ""


def parse_calendar_options(options: Mapping[str, Json], *, today: date) -> TeamQuery:
    """Return the query for the days that the calendar shows, from the options that Bitrix24 posts to our tab."""
    return TeamQuery(range=date_range(options.get("viewRangeFrom"), options.get("viewRangeTo"), None, today=today))


def days_around(day: date, today: date) -> DaysAround:
    """Return a day and the days to step to from there."""
    previous, following = (_supported(day + timedelta(days=step)) for step in (-1, 1))
    return DaysAround(day, previous, following, is_today=day == today)


def _supported(day: date) -> date | None:
    return day if is_supported(day) else None
