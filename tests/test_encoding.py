"""The stored texts of reminders and toggles: what is encoded comes back, and old texts keep their meaning."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.calendar import values
from dashboard.calendar.encoding import (
    TOGGLE_KEYS,
    decode_reminders,
    decode_toggles,
    encode_habits,
    encode_reminders,
    has_toggle,
    split_habits,
)
from dashboard.calendar.parser import PARSERS, CalendarSettings, SettingsResponse, parse
from dashboard.calendar.reminders import AtTimeOfDay, Before, OnDate, Reminders, UnrecognizedReminder
from dashboard.core.json_values import Json
from tests.emulator.people import fresh_settings

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
NUMBERS = st.integers(0, 10**15 - 1)
REMINDERS = st.none() | st.lists(
    st.builds(Before, st.sampled_from(["min", "hour", "day"]), NUMBERS)
    | st.builds(AtTimeOfDay, NUMBERS, st.integers(0, 1439))
    | st.just(OnDate(None))
    | st.just(UnrecognizedReminder(None)),
    max_size=4,
).map(tuple)


def read_settings(settings: Json) -> CalendarSettings:
    response = SettingsResponse(settings=settings, portal_settings=None, sections=None, errors={}, taken_at=NOW)
    return parse(response, profile_time_zone=None)


@given(st.builds(Reminders, REMINDERS, REMINDERS))
def test_reminders_round_trip(reminders: Reminders) -> None:
    assert decode_reminders(encode_reminders(reminders)) == reminders


@pytest.mark.parametrize(
    ("reminders", "text"),
    [
        (Reminders(), ""),
        (Reminders(timed=(Before("min", 0), Before("hour", 1))), "timed:0min,1hour"),
        (Reminders(all_day=(Before("day", 2),)), "day:2day"),
        (Reminders(timed=(), all_day=(AtTimeOfDay(1, 485),)), "timed:none;day:1d@08:05"),
    ],
)
def test_stored_reminders(reminders: Reminders, text: str) -> None:
    assert encode_reminders(reminders) == text
    assert decode_reminders(text) == reminders


def test_dates_and_unrecognized_values_are_not_stored() -> None:
    text = encode_reminders(Reminders(timed=(OnDate("5;6"), UnrecognizedReminder([7]))))

    assert text == "timed:date,odd"
    assert decode_reminders(text) == Reminders(timed=(OnDate(None), UnrecognizedReminder(None)))


@pytest.mark.parametrize("text", ["timed", "timed:15year", "later:15min", "timed:1d@8:00", ";;:"])
def test_damaged_text_is_unknown_or_unrecognized(text: str) -> None:
    assert decode_reminders(text) in (Reminders(), Reminders(timed=(UnrecognizedReminder(None),)))


def test_habits_round_trip() -> None:
    text = encode_habits(read_settings(fresh_settings("Europe/Berlin") | {"denyBusyInvitation": "Y"}))

    assert text == "YNNNYYN timed:15min;day:0d@08:00"
    letters, reminders = split_habits(text)
    assert decode_toggles(letters) == {
        "showTasks": True, "showCompletedTasks": False, "showDeclined": False, "showWeekNumbers": False,
        "collapseOffHours": True, "denyBusyInvitation": True, "syncTasks": False,
    }  # fmt: skip
    assert [has_toggle(text, key, on=True) for key in TOGGLE_KEYS] == [letter == "Y" for letter in letters]
    assert decode_reminders(reminders) == Reminders((Before("min", 15),), (AtTimeOfDay(0, 480),))


def test_every_toggle_has_a_letter() -> None:
    assert set(TOGGLE_KEYS) == {key for key, parse_value in PARSERS.items() if parse_value is values.parse_toggle}


@pytest.mark.parametrize("value", [None, "maybe", [], {"on": True}])
def test_a_setting_without_an_answer_has_no_toggle(value: Json) -> None:
    text = encode_habits(read_settings({"showTasks": value, "syncTasks": "Y"}))

    assert decode_toggles(split_habits(text)[0]) == {"syncTasks": True}
    assert not has_toggle(text, "showTasks", on=False)


@pytest.mark.parametrize("settings", [None, "nonsense", 7])
def test_unreadable_settings_have_no_text(settings: Json) -> None:
    assert encode_habits(read_settings(settings)) == ""


def test_empty_settings_have_a_text() -> None:
    assert encode_habits(read_settings({})) == "------- "


def test_habits_stay_short_enough_for_an_index() -> None:
    many: list[Json] = [{"type": "min", "count": number} for number in range(400)]

    assert encode_habits(read_settings({"showTasks": "N", "defaultReminders": {"withTime": many}})) == "N------ "
