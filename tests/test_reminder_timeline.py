"""The places of reminders on the timeline before an event."""

import pytest

from dashboard.calendar.reminders import AtTimeOfDay, Before, OnDate, Reminder, UnrecognizedReminder
from dashboard.web.presenters.reminder_timeline import WIDTH, TimelineMark, all_day, timed


@pytest.mark.parametrize(
    ("reminder", "mark"),
    [
        (Before("min", 0), TimelineMark(WIDTH)),
        (Before("min", 30), TimelineMark(750)),
        (Before("hour", 1), TimelineMark(600)),
        (Before("day", 1), TimelineMark(300)),
        (Before("day", 4), TimelineMark(150)),
        (Before("day", 7), TimelineMark(0)),
        (Before("day", 8), TimelineMark(0, is_off_scale=True)),
    ],
)
def test_a_timed_reminder_has_its_place(reminder: Reminder, mark: TimelineMark) -> None:
    line = timed((reminder,))

    assert line
    assert line.marks == (mark,)


@pytest.mark.parametrize(
    ("reminder", "mark"),
    [
        (AtTimeOfDay(0, 720), TimelineMark(750)),
        (AtTimeOfDay(1, 0), TimelineMark(300)),
        (AtTimeOfDay(2, 0), TimelineMark(0)),
        (AtTimeOfDay(3, 720), TimelineMark(0, is_off_scale=True)),
        (Before("hour", 12), TimelineMark(450)),
        (Before("min", 0), TimelineMark(600)),
    ],
)
def test_an_all_day_reminder_has_its_place(reminder: Reminder, mark: TimelineMark) -> None:
    line = all_day((reminder,))

    assert line
    assert line.marks == (mark,)


def test_marks_go_from_left_to_right() -> None:
    line = timed((Before("min", 5), Before("day", 1), UnrecognizedReminder(7), Before("hour", 1)))

    assert line
    assert [mark.x for mark in line.marks] == [300, 600, 875]


@pytest.mark.parametrize("half", [None, (), (OnDate("5 May"),), (UnrecognizedReminder(7),), (AtTimeOfDay(1, 480),)])
def test_reminders_without_a_place_have_no_timeline(half: tuple[Reminder, ...] | None) -> None:
    assert timed(half) is None


def test_the_scale_has_labels() -> None:
    week, day, hour = timed((Before("min", 5),)).scale  # type: ignore[union-attr]

    assert (week, day, hour) == ("1 wk", "1 day", "1 hr")
