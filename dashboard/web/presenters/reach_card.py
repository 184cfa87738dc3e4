"""Describe in a few words when a colleague can be reached, in the reader's time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from dashboard.calendar.clock_changes import minute_of, moment_of
from dashboard.calendar.holidays import DaysOff
from dashboard.calendar.time_zones import offset_at, zone_info
from dashboard.team.listing import TeamRow
from dashboard.team.planning import DayPlan
from dashboard.team.reach import Reach, TimeDifferenceChange, compute_reach, next_time_difference_change
from dashboard.team.working_spans import Interval, WorkingSpans, WorkPattern, intersect, intervals_of_day
from dashboard.web.i18n.translations import _
from dashboard.web.presenters import filters, plan_words, team_row
from dashboard.web.presenters.plan_rows import utc_text
from dashboard.web.presenters.plan_scale import DayPart, DayScale, minute_on
from dashboard.web.presenters.team_row import ListContext, TeamRowText


@dataclass(frozen=True)
class ReachPicture:
    """The reader's day today: the colleague's hours as bars, and the common ones."""

    scale: DayScale
    bars: Sequence[DayPart]
    windows: Sequence[DayPart]
    now: float | None


@dataclass(frozen=True)
class ReachCard:
    """One colleague, as the card shows them; empty or None where unknown."""

    text: TeamRowText
    local_date: str
    time_difference: str  # "3 h 30 min ahead"
    state: str
    is_at_work: bool
    is_assumed: bool
    facts: Sequence[tuple[str, str, bool]]  # names and values, and whether it is good news
    picture: ReachPicture | None
    clock_change: str
    source: str
    reader_place: str
    next: str  # for machines: the next time both are at work, in UTC
    changes_in: int  # seconds until the card is no longer true


def build(row: TeamRow, reader: TeamRow, *, now: datetime, reader_zone: tzinfo, days_off: DaysOff) -> ReachCard:
    """Return the card of a person for the reader, who may be that person."""
    text = team_row.team_row_text(row, ListContext(now, reader_zone, reader.user_id))
    pattern, reader_pattern = _pattern(row), _pattern(reader)
    reach = compute_reach(pattern, reader_pattern, moment=now, days_off=days_off) if pattern else None
    change = next_time_difference_change(row.zone, reader.zone, moment=now) if row.zone and reader.zone else None
    return ReachCard(
        text=text,
        local_date=filters.weekday_and_date(now, zone_info(row.zone)) if row.zone else "",
        time_difference=_time_difference(row, now, reader_zone) if row.zone and not text.is_reader else "",
        state=_state(reach),
        is_at_work=bool(reach and reach.is_at_work),
        is_assumed=row.is_assumed,
        facts=list(_facts(row, reach, now, reader_zone, text=text, is_reader_known=reader_pattern is not None)),
        picture=_picture(pattern, reader_pattern, now, reader_zone, days_off) if pattern else None,
        clock_change=_clock_change(change) if change else "",
        source=_source(row, text, now, reader_zone),
        reader_place=_reader_place(reader) if not text.is_reader else "",
        next=utc_text(reach.common[0]) if reach and reach.common else "",
        changes_in=_seconds_until_change(reach, row.zone, reader_zone, now),
    )


def _seconds_until_change(reach: Reach | None, zone: str, reader_zone: tzinfo, now: datetime) -> int:
    """Return in how many seconds work begins or ends, or a day in one of the two zones ends."""
    minutes = [minute_of(_next_midnight(now, each)) for each in (reader_zone, zone_info(zone) if zone else reader_zone)]
    if reach and reach.changes_at is not None:
        minutes.append(reach.changes_at)
    return (min(minutes) - minute_of(now)) * 60


def _next_midnight(now: datetime, zone: tzinfo) -> datetime:
    return datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time(), zone)


def _pattern(row: TeamRow) -> WorkPattern | None:
    return WorkPattern(row.zone, row.span) if row.zone and row.span else None


def _time_difference(row: TeamRow, now: datetime, reader_zone: tzinfo) -> str:
    seconds = offset_at(now, zone_info(row.zone)) - offset_at(now, reader_zone)
    return _ahead(seconds // 60)


def _ahead(minutes: int) -> str:
    if not minutes:
        return _("your time")
    length = plan_words.short_duration(abs(minutes))
    return (_("%(length)s ahead") if minutes > 0 else _("%(length)s behind")) % {"length": length}


def _state(reach: Reach | None) -> str:
    if reach is None:
        return ""
    if reach.is_at_work:
        return _("At work")
    return _("Day off") if reach.is_day_off else _("Not at work")


def _facts(
    row: TeamRow,
    reach: Reach | None,
    now: datetime,
    reader_zone: tzinfo,
    *,
    text: TeamRowText,
    is_reader_known: bool,
) -> Iterator[tuple[str, str, bool]]:
    if reach is None:
        if row.span:
            yield _("Their hours"), filters.hours(row.span), False
        return
    if reach.current_or_next:
        hours = reach.current_or_next.hours
        yield _("Working hours") if text.is_reader else _("Hours in your time"), _hours(hours, reader_zone), False
    if not text.is_reader:
        yield from _common_facts(reach, now, reader_zone, is_reader_known=is_reader_known)
    if reach.next_day:
        yield _("Next working day"), _start(reach.next_day.hours, now, reader_zone), False


def _common_facts(
    reach: Reach, now: datetime, reader_zone: tzinfo, *, is_reader_known: bool
) -> Iterator[tuple[str, str, bool]]:
    if not is_reader_known:
        yield _("Both at work"), _("Your own hours are unknown"), False
        return
    if not reach.common:
        yield _("Both at work"), _("Not in the next four weeks"), False
        return
    first, *more = reach.common
    yield _("Both at work"), _when(first, now, reader_zone), first[0] <= minute_of(now)
    if more:
        yield _("After that"), _start(more[0], now, reader_zone), False


def _start(interval: Interval, now: datetime, zone: tzinfo) -> str:
    start = moment_of(interval[0])
    day = _day(start.astimezone(zone).date(), now.astimezone(zone).date())
    # Translators: a day and a time: "tomorrow, 09:00".
    return _("%(day)s, %(time)s") % {"day": day, "time": filters.time_in(start, zone)}


def _when(interval: Interval, now: datetime, zone: tzinfo) -> str:
    """Return when an interval is: "now, until 15:30", or "tomorrow, 09:00 – 11:00"."""
    today = now.astimezone(zone).date()
    start, end = (moment_of(minute).astimezone(zone).date() for minute in (interval[0], interval[1] - 1))
    if interval[0] <= minute_of(now):
        time = _end_time(interval, zone)
        if end == today:
            return _("now, until %(time)s") % {"time": time}
        return _("now, until %(day)s, %(time)s") % {"day": _day(end, today), "time": time}
    times = _hours(interval, zone, day=start)
    return _("%(day)s, %(time)s") % {"day": _day(start, today), "time": times}


def _hours(interval: Interval, zone: tzinfo, *, day: date | None = None) -> str:
    """Return "22:30 – 07:30 +1 day" on the clock of the zone."""
    start = day or moment_of(interval[0]).astimezone(zone).date()
    shift = plan_words.day_shift(interval[1] - 1, zone, start)
    return " ".join(filter(None, (plan_words.interval_times(interval, zone), shift)))


def _end_time(interval: Interval, zone: tzinfo) -> str:
    end = moment_of(interval[1]).astimezone(zone)
    return f"{end:%H:%M}" if end.hour or end.minute else "24:00"


def _day(day: date, today: date) -> str:
    names = {today: _("today"), today + timedelta(days=1): _("tomorrow")}
    return names.get(day) or filters.weekday_and_month_day(day)


def _picture(
    pattern: WorkPattern, reader: WorkPattern | None, now: datetime, reader_zone: tzinfo, days_off: DaysOff
) -> ReachPicture | None:
    today = now.astimezone(reader_zone).date()
    intervals = intervals_of_day(today, reader_zone)
    scale = DayScale(DayPlan(intervals, {}, {}, (), ()), today, reader_zone)
    spans = WorkingSpans(scale.start, scale.end, days_off)
    hours = spans.of(pattern)
    minute = minute_on(scale, now)
    if not hours:
        return None
    return ReachPicture(
        scale=scale,
        bars=[scale.bar(interval) for interval in hours],
        windows=[scale.part(interval) for interval in intersect(hours, spans.of(reader))] if reader else [],
        now=scale.place(scale.start + minute) if minute is not None else None,
    )


def _clock_change(change: TimeDifferenceChange) -> str:
    text = _("Clocks change in %(city)s on %(day)s. From then on: %(apart)s.")
    return text % {
        "city": filters.zone_city(change.zone),
        "day": filters.weekday_and_month_day(change.day),
        "apart": _ahead(change.minutes_ahead),
    }


def _source(row: TeamRow, text: TeamRowText, now: datetime, reader_zone: tzinfo) -> str:
    if text.sources:
        return " · ".join(text.sources)
    if not row.zone:
        return _("Time zone unknown")
    if not row.span:
        return _("Working hours unknown")
    if row.as_of is None:
        return ""
    moment = filters.time_and_date(row.as_of, now, reader_zone)
    return _("Confirmed at %(moment)s") % {"moment": moment}


def _reader_place(reader: TeamRow) -> str:
    if not reader.zone:
        return _("Your time zone is unknown, so these times are in UTC")
    return _("You are in %(city)s") % {"city": filters.zone_city(reader.zone)}
