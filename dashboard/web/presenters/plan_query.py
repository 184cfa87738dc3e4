"""Parse the URL of *Find a time*, and build the URLs of its links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Protocol

from dashboard.core.json_values import Json
from dashboard.team.plan_people import MAX_PEOPLE
from dashboard.team.planning import DEFAULT_MINUTES, MAX_MINUTES, MIN_MINUTES
from dashboard.web.http.query_values import InvalidValue
from dashboard.web.presenters.calendar_days import is_supported, parse_date

_ID = re.compile(r"[0-9]{1,18}")
_MINUTES = re.compile(r"[0-9]{1,4}")


class QueryValues(Protocol):
    """A query string or a form, as the web framework represents it."""

    def getlist(self, key: str) -> list[str]:
        """Return every value of a field."""
        ...


@dataclass(frozen=True)
class PlanQuery:
    """Whom to plan with, on which day of the reader, and for how long."""

    people: tuple[int, ...]
    department: int | None
    day: date
    minutes: int = DEFAULT_MINUTES

    def url(self, path: str = "/plan", **changes: Any) -> str:
        """Return the URL of the query with changes."""
        return f"{path}?{_joined(replace(self, **changes)._parameters)}"

    @property
    def link_query(self) -> str:
        """Return the query string for the app's page in the portal, which passes on only what stands in ``params``."""
        shared = {"plan": "1", **self._parameters}
        # The brackets are quoted: chats take them for markup.
        return f"?{_joined({f'params%5B{name}%5D': value for name, value in shared.items()})}"

    @property
    def _parameters(self) -> dict[str, str]:
        parameters = {
            "people": ",".join(map(str, self.people)),
            "department": "" if self.department is None else str(self.department),
            "date": self.day.isoformat(),
            "minutes": "" if self.minutes == DEFAULT_MINUTES else str(self.minutes),
        }
        # Without anybody the page would begin with its reader again.
        is_named = self.department is not None
        return {name: value for name, value in parameters.items() if value or (name == "people" and not is_named)}

    def with_people(self, user_ids: Iterable[int]) -> str:
        """Return the URL with more people."""
        return self.url(people=tuple(dict.fromkeys((*self.people, *user_ids)))[:MAX_PEOPLE])

    def without_person(self, user_id: int) -> str:
        """Return the URL without one of the people who are named."""
        return self.url(people=tuple(number for number in self.people if number != user_id))

    @property
    def day_before(self) -> str | None:
        """Return the URL of the day before, None for the first day that can be planned."""
        return self._on(self.day - timedelta(days=1))

    @property
    def day_after(self) -> str | None:
        """Return the URL of the day after, None for the last day that can be planned."""
        return self._on(self.day + timedelta(days=1))

    def _on(self, day: date) -> str | None:
        return self.url(day=day) if is_supported(day) else None


def parse_plan_query(query: QueryValues, *, today: date, reader: int) -> PlanQuery:
    """Parse the query; without people and department the reader is the only one.

    :raise InvalidValue: a parameter is malformed.
    """
    people = _people(query.getlist("people"))
    department = _one(query, "department")
    day = _one(query, "date")
    minutes = _one(query, "minutes")
    if not query.getlist("people") and not department:
        people = (reader,)
    return PlanQuery(
        people=people,
        department=_number(_ID, department, "department") if department else None,
        day=_day(day) if day else today,
        minutes=_length(minutes) if minutes else DEFAULT_MINUTES,
    )


def parse_shared_plan(options: Mapping[str, Json], *, today: date, reader: int) -> PlanQuery | None:
    """Return the plan of a copied link, whose query string Bitrix24 passes on when the app opens; None without one."""
    if not options.get("plan"):
        return None
    values = {name: str(options[name]) for name in ("people", "department", "date", "minutes") if options.get(name)}
    try:
        return parse_plan_query(_Options(values), today=today, reader=reader)
    except InvalidValue:
        return None


class _Options(dict[str, str]):
    """Options with one value each, as a query string."""

    def getlist(self, key: str) -> list[str]:
        return [self[key]] if key in self else []


def _joined(parameters: Mapping[str, str]) -> str:
    """Return a query string; numbers, commas and dashes need no quoting."""
    return "&".join(f"{name}={value}" for name, value in parameters.items())


def _people(values: Iterable[str]) -> tuple[int, ...]:
    ids = [text.strip() for value in values for text in value.split(",") if text.strip()]
    people = tuple(dict.fromkeys(_number(_ID, text, "people") for text in ids))
    if len(people) > MAX_PEOPLE:
        raise InvalidValue("people")
    return people


def _one(query: QueryValues, name: str) -> str:
    values = query.getlist(name)
    if len(values) > 1:
        raise InvalidValue(name)
    return values[0].strip() if values else ""


def _number(pattern: re.Pattern[str], text: str, name: str) -> int:
    if not pattern.fullmatch(text):
        raise InvalidValue(name)
    return int(text)


def _length(text: str) -> int:
    minutes = _number(_MINUTES, text, "minutes")
    if not MIN_MINUTES <= minutes <= MAX_MINUTES:
        raise InvalidValue("minutes")
    return minutes


def _day(text: str) -> date:
    if (day := parse_date(text)) is None:
        raise InvalidValue("date")
    return day
