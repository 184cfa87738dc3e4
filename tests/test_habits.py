"""Habits: the text people are counted by, and what comes back out of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dashboard.calendar.parser import Json, SettingsResponse, parse
from dashboard.team.settings_counts import (
    TOGGLES,
    encode_toggles,
    reminder_entries,
    reminders,
    toggle_answers,
)
from tests.emulator.people import fresh_settings

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def text_of(settings: Json) -> str:
    reading = SettingsResponse(settings=settings, account=None, sections=None, errors={}, taken_at=NOW)
    return encode_toggles(parse(reading, profile_time_zone=None))


def test_it_tells_the_switches_and_the_reminders() -> None:
    text = text_of(fresh_settings("Europe/Berlin") | {"denyBusyInvitation": "Y"})

    assert toggle_answers(text) == {
        "showTasks": True, "showCompletedTasks": False, "showDeclined": False, "showWeekNumbers": False,
        "collapseOffHours": True, "denyBusyInvitation": True, "syncTasks": False,
    }  # fmt: skip
    assert reminder_entries(reminders(text)) == [("timed", "15min"), ("day", "0d@08:00")]


@pytest.mark.parametrize("odd", [None, "maybe", [], {"on": True}])
def test_what_is_no_yes_or_no_is_not_told(odd: Json) -> None:
    told = toggle_answers(text_of(fresh_settings("Europe/Berlin") | {"showTasks": odd}))

    assert list(told) == list(TOGGLES[1:])


@pytest.mark.parametrize("settings", [None, "nonsense", 7])
def test_nothing_known_is_no_text(settings: Json) -> None:
    assert text_of(settings) == ""


def test_settings_without_anything_are_a_text_all_the_same() -> None:
    assert text_of({}) == "------- "


def test_it_stays_short_enough_for_an_index() -> None:
    many: list[Json] = [{"type": "min", "count": number} for number in range(400)]

    text = text_of({"showTasks": "N", "defaultReminders": {"withTime": many}})

    assert text == "N------ "
