"""Days off in `calendar.settings.get`."""

from __future__ import annotations

from datetime import date

import pytest

from dashboard.calendar.holidays import NO_DAYS_OFF, parse_days_off
from dashboard.core.json_values import Json

USUAL: dict[str, Json] = {
    "week_holidays": ["SA", "SU"],
    "year_holidays": "1.01,25.12, 6.4.2026",
    "year_workdays": "27.12,31.12",
}


@pytest.mark.parametrize(
    ("day", "off"),
    [
        (date(2026, 3, 4), False),
        (date(2026, 3, 7), True),
        (date(2026, 3, 8), True),
        (date(2026, 12, 25), True),
        (date(2027, 12, 25), True),
        (date(2026, 4, 6), True),
        (date(2027, 4, 6), False),
        (date(2026, 12, 27), False),  # a Sunday that is worked
    ],
)
def test_days(day: date, off: bool) -> None:
    assert parse_days_off(USUAL).is_off(day) is off


@pytest.mark.parametrize(
    "account",
    [
        None,
        [],
        "odd",
        {},
        {"week_holidays": "SA", "year_holidays": None, "year_workdays": 7},
        {"week_holidays": [7, None, "XX"], "year_holidays": ",,1,x.y,1.2.3.4"},
    ],
)
def test_unreadable_values_are_no_days_off(account: Json) -> None:
    assert parse_days_off(account) == NO_DAYS_OFF


def test_a_list_with_gaps_comes_as_an_object() -> None:
    assert parse_days_off({"week_holidays": {"1": "SU"}}).is_off(date(2026, 3, 8))
