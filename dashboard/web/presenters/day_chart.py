"""Prepare the day of *Team*: each person's hours as a bar, and the number of people at work above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo

from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.working_hours import DAY
from dashboard.team import availability
from dashboard.team.availability import Band, CommonHours, HoursGroup, UserDay
from dashboard.team.listing import TeamRow
from dashboard.team.working_spans import counts_at
from dashboard.web.presenters.filters import minutes_in
from dashboard.web.presenters.plan_scale import OVERHANG, STEP, DayPart

COLUMN = 30
_MIN_HEIGHT = 4  # percent: a single person among thousands is still visible
_MIN_SHARE = 0.2  # of a strip's color


@dataclass(frozen=True)
class HalfHourColumn:
    """A column for half an hour; all in percent."""

    x: float
    width: float
    height: float


@dataclass(frozen=True)
class PersonDay:
    """One person's hours on the user's day."""

    bands: tuple[Band, ...]
    bars: tuple[DayPart, ...]
    is_at_work: bool | None  # now; None on another day, and where the hours are unknown
    is_assumed: bool  # as in TeamRow


@dataclass(frozen=True)
class GroupDay:
    """How many people of a group are at work on the user's day."""

    at_work: int | None  # now; None on another day
    pieces: Sequence[tuple[Band, int]]  # the parts of the day, with the number of people at work
    strip: Sequence[tuple[DayPart, float]]  # with the share of the group that is at work

    @property
    def pieces_text(self) -> str:
        """Return the parts with somebody at work as "540-1080:4 1080-1200:1"."""
        return " ".join(f"{start}-{end}:{number}" for (start, end), number in self.pieces if number)


@dataclass(frozen=True)
class DayChart:
    """One day of the user."""

    day: date
    midnight: int  # when the day begins, in seconds since the epoch
    is_off: bool  # in the portal
    common: CommonHours
    people: int  # whose hours are known
    assumed: int
    pieces: Sequence[tuple[Band, int]]  # the parts of the day, with the number of people at work
    counts: Sequence[int]  # people at work at each step of the day
    columns: Sequence[HalfHourColumn]
    now: int | None  # minute of the day, None on another day
    user_day: UserDay

    @property
    def is_today(self) -> bool:
        """Tell whether the day is the user's today."""
        return self.now is not None

    def person(self, row: TeamRow) -> PersonDay:
        """Return a person's hours."""
        bands = self.user_day.bands(row.zone, row.span) if row.zone and row.span else ()
        now = self.now
        is_known = now is not None and row.zone and row.span
        return PersonDay(
            bands=bands,
            bars=tuple(map(_bar, bands)),
            is_at_work=any(start <= now < end for start, end in bands) if is_known and now is not None else None,
            is_assumed=row.is_assumed,
        )

    def group(self, groups: Sequence[HoursGroup], *, people: int) -> GroupDay:
        """Return the hours of a group of so many people, whose known hours are these."""
        pieces = availability.count_at_work(availability.rows_on(self.user_day, groups))
        return GroupDay(
            at_work=None if self.now is None else counts_at(pieces, [self.now])[0],
            pieces=pieces,
            strip=[(_part(*piece), max(_MIN_SHARE, round(number / people, 2))) for piece, number in pieces if number],
        )


def build(groups: Sequence[HoursGroup], *, day: date, now: datetime, user_zone: tzinfo, days_off: DaysOff) -> DayChart:
    """Return the chart of a day; hours that begin on a day off are left out."""
    user_day = UserDay(day, user_zone=user_zone, days_off=days_off)
    rows = availability.rows_on(user_day, groups)
    pieces = availability.count_at_work(rows)
    counts = counts_at(pieces, range(0, DAY, STEP))
    people = sum(group.people for group in groups)
    return DayChart(
        day=day,
        midnight=int(datetime.combine(day, time(), user_zone).timestamp()),
        is_off=days_off.is_off(day),
        common=availability.common_hours(rows),
        people=people,
        assumed=sum(group.assumed for group in groups),
        pieces=pieces,
        counts=counts,
        columns=_columns(counts),
        now=minutes_in(now, user_zone) if now.astimezone(user_zone).date() == day else None,
        user_day=user_day,
    )


def _columns(counts: Sequence[int]) -> list[HalfHourColumn]:
    most = max(counts)
    return [
        HalfHourColumn(_percent(minute + 2), _percent(COLUMN - 4), max(_MIN_HEIGHT, round(100 * people / most)))
        for minute in range(0, DAY, COLUMN)
        if (people := counts[minute // STEP])
    ]


def _bar(band: Band) -> DayPart:
    start, end = band
    return _part(start - OVERHANG * (start == 0), end + OVERHANG * (end == DAY))


def _part(start: int, end: int) -> DayPart:
    return DayPart(_percent(start), _percent(end - start))


def _percent(minutes: int) -> float:
    return round(minutes * 100 / DAY, 3)
