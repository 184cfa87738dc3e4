"""Place reminders on a timeline that ends with the event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from babel.dates import format_timedelta

from dashboard.calendar.reminders import AtTimeOfDay, Before, Reminder, ReminderList
from dashboard.calendar.working_hours import DAY
from dashboard.web.i18n.translations import _, current
from dashboard.web.presenters.filters import MAX_REMINDERS

WIDTH = 900
# The hour, the day and the week before a timed event take a third each: most reminders are in the last hour.
_THIRDS = ((0, 60), (60, DAY), (DAY, 7 * DAY))
# The two days before an all-day event, and the day of the event.
_DAYS = 3


@dataclass(frozen=True)
class TimelineMark:
    """A reminder from 0 to WIDTH; ``is_off_scale`` when it is before the start of the line."""

    x: int
    is_off_scale: bool = False


@dataclass(frozen=True)
class Timeline:
    """The marks, the start of the event, and the label of each third."""

    marks: tuple[TimelineMark, ...]
    event: int
    scale: tuple[str, str, str]


def timed(reminders: ReminderList) -> Timeline | None:
    """Return the timeline of a timed event, None if no reminder fits on it."""
    marks = _marks(reminders, _place_timed)
    return (
        Timeline(marks, WIDTH, (_time_before(weeks=1), _time_before(days=1), _time_before(hours=1))) if marks else None
    )


def all_day(reminders: ReminderList) -> Timeline | None:
    """Return the timeline of an all-day event, None if no reminder fits on it."""
    marks = _marks(reminders, _place_all_day)
    scale = (_time_before(days=2), _time_before(days=1), _("Day of the event"))
    return Timeline(marks, WIDTH * 2 // _DAYS, scale) if marks else None


def _time_before(**span: int) -> str:
    # A threshold of one keeps "1 day" from becoming "24 hr".
    return format_timedelta(timedelta(**span), threshold=1, format="short", locale=current().locale)


def _marks(reminders: ReminderList, place: Callable[[Reminder], float | None]) -> tuple[TimelineMark, ...]:
    places = sorted(x for x in map(place, (reminders or ())[:MAX_REMINDERS]) if x is not None)
    return tuple(TimelineMark(max(0, round(x)), is_off_scale=x < 0) for x in places)


def _place_timed(reminder: Reminder) -> float | None:
    if not isinstance(reminder, Before):
        # The distance of a time of day depends on the time of the event.
        return None
    third = WIDTH / len(_THIRDS)
    for number, (near, far) in enumerate(_THIRDS):
        if reminder.minutes <= far:
            return WIDTH - third * (number + (reminder.minutes - near) / (far - near))
    return -1


def _place_all_day(reminder: Reminder) -> float | None:
    match reminder:
        case Before():
            minutes = -reminder.minutes
        case AtTimeOfDay():
            minutes = reminder.minute_of_day - reminder.days_before * DAY
        case _:
            return None
    return WIDTH * (minutes + (_DAYS - 1) * DAY) / (_DAYS * DAY)
