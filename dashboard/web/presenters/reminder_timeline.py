"""Reminders as marks on a small time line that ends with the event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from babel.dates import format_timedelta

from dashboard.calendar.reminders import Before, DayBefore, Reminder, ReminderList
from dashboard.calendar.working_hours import DAY
from dashboard.web.i18n.translations import _, current

WIDTH = 900
# An hour, a day and a week before a timed event each take a third: most reminders live in the last of them.
_THIRDS = ((0, 60), (60, DAY), (DAY, 7 * DAY))
# An all-day event is a day; the line has two days before it.
_DAYS = 3
_MINUTES = {"min": 1, "hour": 60, "day": DAY}


@dataclass(frozen=True)
class TimelineMark:
    """Where a reminder stands, from 0 to WIDTH; ``beyond`` when it is earlier than the line begins."""

    x: int
    beyond: bool = False


@dataclass(frozen=True)
class Timeline:
    """The marks, where the event begins, and what stands below each third."""

    marks: tuple[TimelineMark, ...]
    event: int
    scale: tuple[str, str, str]


def timed(reminders: ReminderList) -> Timeline | None:
    """Return the line of an event with a time, None where no reminder has a place on it."""
    marks = _marks(reminders, _place_timed)
    if not marks:
        return None
    scale = (_ago(weeks=1), _ago(days=1), _ago(hours=1))
    return Timeline(marks, WIDTH, scale)


def all_day(reminders: ReminderList) -> Timeline | None:
    """Return the line of an all-day event, None where no reminder has a place on it."""
    marks = _marks(reminders, _place_all_day)
    scale = (_ago(days=2), _ago(days=1), _("Day of the event"))
    return Timeline(marks, WIDTH * 2 // _DAYS, scale) if marks else None


def _ago(**span: int) -> str:
    # A threshold of one keeps "1 day" from becoming "24 hr".
    return format_timedelta(timedelta(**span), threshold=1, format="short", locale=current().locale)


def _marks(reminders: ReminderList, place: Callable[[Reminder], float | None]) -> tuple[TimelineMark, ...]:
    places: Iterable[float | None] = (place(reminder) for reminder in reminders or ())
    return tuple(TimelineMark(max(0, round(x)), beyond=x < 0) for x in sorted(x for x in places if x is not None))


def _place_timed(reminder: Reminder) -> float | None:
    if not isinstance(reminder, Before):
        # A time of day has no distance to an event whose own time is not known.
        return None
    minutes = reminder.count * _MINUTES[reminder.unit]
    third = WIDTH / len(_THIRDS)
    for number, (near, far) in enumerate(_THIRDS):
        if minutes <= far:
            return WIDTH - third * (number + (minutes - near) / (far - near))
    return -1


def _place_all_day(reminder: Reminder) -> float | None:
    match reminder:
        case Before():
            minutes = -reminder.count * _MINUTES[reminder.unit]
        case DayBefore():
            minutes = reminder.minutes - reminder.days * DAY
        case _:
            return None
    return WIDTH * (minutes + (_DAYS - 1) * DAY) / (_DAYS * DAY)
