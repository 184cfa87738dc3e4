"""A portal's days off: those of the week, its holidays, and the days worked all the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from dashboard.core.json_values import Json, as_list, as_object

WEEKDAY_CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

# "1.01" and "25.12": a day and a month; some portals write a year behind them.
_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})(?:\.([0-9]{4}))?")

# A day and a month, and a year or none.
_Day = tuple[int, int, int | None]


@dataclass(frozen=True)
class Workdays:
    """Which days are off. Nothing is, where the portal tells nothing."""

    week: frozenset[int] = frozenset()  # Monday is 0
    holidays: frozenset[_Day] = frozenset()
    worked: frozenset[_Day] = frozenset()

    def is_off(self, day: date) -> bool:
        """Tell whether nobody works on that day; a day named as worked beats the rest."""
        if _names(self.worked, day):
            return False
        return day.weekday() in self.week or _names(self.holidays, day)


# For pictures of a usual day.
EVERY_DAY_WORKS = Workdays()


def parse_workdays(account: Json) -> Workdays:
    """Return the days off of a `calendar.settings.get` response, whatever JSON it is."""
    settings = as_object(account)
    codes = as_list(settings.get("week_holidays")) or []
    return Workdays(
        week=frozenset(WEEKDAY_CODES.index(code) for code in codes if code in WEEKDAY_CODES),
        holidays=frozenset(_days(settings.get("year_holidays"))),
        worked=frozenset(_days(settings.get("year_workdays"))),
    )


def _days(value: Json) -> Iterable[_Day]:
    if not isinstance(value, str):
        return
    for entry in value.split(","):
        if match := _DATE.fullmatch(entry.strip()):
            yield int(match[1]), int(match[2]), int(match[3]) if match[3] else None


def _names(days: frozenset[_Day], day: date) -> bool:
    return (day.day, day.month, None) in days or (day.day, day.month, day.year) in days
