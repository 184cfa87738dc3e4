"""The notes on *Team* and *My settings* about clocks that change soon."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask

from dashboard.web.presenters.clock_note import clock_note, own_clock_note

MARCH = datetime(2027, 3, 10, 12, tzinfo=UTC)
KOLKATA, BERLIN, KYIV, NEW_YORK = "Asia/Kolkata", "Europe/Berlin", "Europe/Kyiv", "America/New_York"


@pytest.mark.parametrize(
    ("zones", "note"),
    [
        ([KOLKATA, BERLIN, KYIV], "Clocks change in Berlin and Kyiv on Sun, Mar 28"),
        ([NEW_YORK, BERLIN, BERLIN], "Clocks change in New York on Sun, Mar 14"),
        # Their clocks move together, so everyone's hours stay where they are.
        ([BERLIN, KYIV], ""),
        ([BERLIN], ""),
        ([KOLKATA, "Asia/Tokyo"], ""),
        (
            [KOLKATA, BERLIN, KYIV, "Europe/Paris", "Europe/Rome", "Europe/Madrid"],
            "Clocks change in Berlin, Kyiv, Paris, and 2 more on Sun, Mar 28",
        ),
    ],
)
def test_the_next_change_that_moves_hours_is_announced(zones: list[str], note: str) -> None:
    with Flask(__name__).test_request_context():
        assert clock_note(zones, now=MARCH) == note


def test_a_change_is_announced_four_weeks_before() -> None:
    with Flask(__name__).test_request_context():
        early, late = (clock_note([KOLKATA, BERLIN], now=datetime(2027, 2, day, 2, tzinfo=UTC)) for day in (27, 28))

    assert early == ""
    assert late == "Clocks change in Berlin on Sun, Mar 28"


def test_a_person_is_told_when_their_own_clocks_change() -> None:
    with Flask(__name__).test_request_context():
        notes = [own_clock_note(zone, now=MARCH) for zone in (BERLIN, KOLKATA, "")]

    assert notes == ["Clocks change in Berlin on Sun, Mar 28", "", ""]


@pytest.mark.parametrize(
    ("zone", "now", "day"),
    [
        # At midnight the clocks go back to 23:00, or forward to 1:00, and this is the day that both begin.
        ("Asia/Beirut", datetime(2026, 10, 10, tzinfo=UTC), "Sun, Oct 25"),
        ("Asia/Beirut", MARCH, "Sun, Mar 28"),
    ],
)
def test_a_change_at_midnight_is_on_the_day_that_begins(zone: str, now: datetime, day: str) -> None:
    with Flask(__name__).test_request_context():
        assert own_clock_note(zone, now=now).endswith(f" on {day}")
