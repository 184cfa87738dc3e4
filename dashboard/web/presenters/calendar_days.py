"""Parse the days that the portal's calendar shows when *Team* is its tab, and move them as the calendar does."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from dashboard.core.json_values import Json, parse_int

MAX_RANGE_DAYS = 62  # a month view also shows days of the months around it
MIN_MONTH_DAYS = 28  # shorter ranges are days and weeks
FIRST_YEAR, LAST_YEAR = 1970, 2100  # charts and plans also compute with the days around them
WEEK = 7
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class DateRange:
    """The days of a calendar view, both ends included, and the day of the chart."""

    first: date
    last: date
    day: date

    @property
    def days(self) -> list[date]:
        """Return each day of the range."""
        return [self.first + timedelta(days=number) for number in range(self._length)]

    def on(self, day: date) -> DateRange:
        """Return the range of the same kind in which the calendar shows a day, and the chart of that day."""
        if self._is_month:
            first, last = self._month_of(day)
        else:
            first = self.first + timedelta(days=(day - self.first).days // self._length * self._length)
            last = first + timedelta(days=self._length - 1)
        return DateRange(first, last, day)

    def shifted(self, steps: int, *, today: date) -> DateRange:
        """Return the range after a number of steps of the calendar's arrows, backwards if it is negative."""
        if self._is_month:
            middle = self.first + timedelta(days=self._length // 2)
            months = middle.year * 12 + middle.month - 1 + steps
            moved = self.on(date(months // 12, months % 12 + 1, 1))
        else:
            moved = self.on(self.day + timedelta(days=steps * self._length))
        return DateRange(moved.first, moved.last, today) if moved.first <= today <= moved.last else moved

    @property
    def _length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def _is_month(self) -> bool:
        return self._length >= MIN_MONTH_DAYS

    def _month_of(self, day: date) -> tuple[date, date]:
        """Return the first and last day of a month's view, in whole weeks if this range has whole weeks."""
        first, last = day.replace(day=1), day.replace(day=calendar.monthrange(day.year, day.month)[1])
        if self._length % WEEK:
            return first, last
        first -= timedelta(days=(first.weekday() - self.first.weekday()) % WEEK)
        weeks = max(self._length // WEEK, -(-((last - first).days + 1) // WEEK))
        return first, first + timedelta(days=weeks * WEEK - 1)


def parse_range(query: Mapping[str, str], *, today: date) -> DateRange | None:
    """Return the days that a URL names; None if it names none, or invalid ones.

    ``shift`` moves them by steps of the calendar's arrows, and ``on`` to a date.
    """
    days = date_range(query.get("from"), query.get("to"), query.get("day"), today=today)
    if days is None:
        return None
    steps, target = parse_int(query.get("shift", "")) or 0, parse_date(query.get("on"))
    try:
        moved = days.on(target) if target else days.shifted(steps, today=today) if steps else days
    except (ValueError, OverflowError):
        return days
    return moved if is_supported(moved.first) and is_supported(moved.last) else days


def date_range(first: Json, last: Json, chosen_day: Json, *, today: date) -> DateRange | None:
    """Return the range between two dates in text; the chosen day is today or the first day if it is outside."""
    start, end = parse_date(first), parse_date(last)
    if start is None or end is None or not 0 <= (end - start).days < MAX_RANGE_DAYS:
        return None
    day = parse_date(chosen_day) or today
    return DateRange(start, end, day if start <= day <= end else start)


def parse_date(value: Json) -> date | None:
    """Return the date of a text such as "2026-03-04", None for any other value."""
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        return None
    return day if day is not None and is_supported(day) else None


def is_supported(day: date) -> bool:
    """Tell whether the day can be shown and planned."""
    return FIRST_YEAR <= day.year <= LAST_YEAR
