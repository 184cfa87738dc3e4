"""Parse a portal's days off: weekends, holidays, and the working days that are exceptions to both."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from dashboard.core.json_values import Json, as_list, as_object

WEEKDAY_CODES = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

# "1.01" and "25.12": a day and a month; some portals add a year.
_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})(?:\.([0-9]{4}))?")

DateOfYear = tuple[int, int, int | None]  # day, month, and a year or every year


@dataclass(frozen=True)
class DaysOff:
    """A portal's days off."""

    weekend: frozenset[int] = frozenset()  # Monday is 0
    holidays: frozenset[DateOfYear] = frozenset()
    exceptions: frozenset[DateOfYear] = frozenset()  # working days whatever the other fields say

    def is_off(self, day: date) -> bool:
        """Tell whether the portal does not work on that day."""
        if _includes(self.exceptions, day):
            return False
        return day.weekday() in self.weekend or _includes(self.holidays, day)


# For charts that ignore weekends and holidays.
NO_DAYS_OFF = DaysOff()


def parse_days_off(account: Json) -> DaysOff:
    """Parse a `calendar.settings.get` response; an unreadable part has no days off."""
    settings = as_object(account)
    codes = as_list(settings.get("week_holidays")) or []
    return DaysOff(
        weekend=frozenset(WEEKDAY_CODES.index(code) for code in codes if code in WEEKDAY_CODES),
        holidays=frozenset(_parse_dates(settings.get("year_holidays"))),
        exceptions=frozenset(_parse_dates(settings.get("year_workdays"))),
    )


def _parse_dates(value: Json) -> Iterable[DateOfYear]:
    for entry in value.split(",") if isinstance(value, str) else ():
        if match := _DATE.fullmatch(entry.strip()):
            yield int(match[1]), int(match[2]), int(match[3]) if match[3] else None


def _includes(dates: frozenset[DateOfYear], day: date) -> bool:
    return (day.day, day.month, None) in dates or (day.day, day.month, day.year) in dates
