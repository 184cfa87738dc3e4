"""*Team* inside the portal's calendar, on the days the calendar shows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.team_fixtures import text_of
from tests.world import World, session_token, settings_on

MARCH = {"viewRangeFrom": "2026-02-23", "viewRangeTo": "2026-04-05", "URI": "/calendar/"}


def open_in_calendar(world: World, person: str, options: dict[str, Any]) -> TestResponse:
    opening = world.portal().open_as(person, placement="CALENDAR_GRIDVIEW", options=options)
    response = world.post("/", opening)
    assert response.status_code == 200
    return response


def bearer(response: TestResponse) -> dict[str, str]:
    return {"Authorization": f"Bearer {session_token(response)}"}


def days_on(page: str) -> list[str]:
    return re.findall(r'data-keep="day-([0-9-]+)"', page)


def test_team_opens_on_the_calendars_days(world: World) -> None:
    response = open_in_calendar(world, "anna", MARCH)

    days = days_on(response.text)
    assert (len(days), days[0], days[-1]) == (42, "2026-02-23", "2026-04-05")
    assert '<a class="bar__link" href="/team" data-page aria-current="page">' in response.text
    assert world.browser.get("/team", headers=bearer(response)).status_code == 200


def test_days_off_are_the_portals(world: World) -> None:
    december = {"viewRangeFrom": "2026-12-21", "viewRangeTo": "2027-01-03"}
    page = open_in_calendar(world, "anna", december).text

    off = re.findall(r'days__day--off" [^>]*data-keep="day-([0-9-]+)"', page)
    assert off == ["2026-12-25", "2026-12-26", "2026-12-27", "2027-01-01", "2027-01-02", "2027-01-03"]


def test_a_day_can_be_chosen(world: World) -> None:
    headers = bearer(open_in_calendar(world, "anna", MARCH))
    address = "/team?from=2026-02-23&to=2026-04-05&day="

    working = world.browser.get(address + "2026-03-04", headers=headers).text
    weekend = world.browser.get(address + "2026-03-07", headers=headers).text

    assert text_of(working, "team-summary__day") == "Wednesday, March 4, 2026"
    assert "A day off in this portal" not in working
    assert "A day off in this portal" in weekend
    # Filters and the export keep the days.
    assert 'name="from" value="2026-02-23"' in working


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"viewRangeFrom": "2026-02-23"},
        {"viewRangeFrom": "2026-04-05", "viewRangeTo": "2026-02-23"},
        {"viewRangeFrom": "2026-01-01", "viewRangeTo": "2026-12-31"},
        {"viewRangeFrom": "20260101", "viewRangeTo": "20260107"},
        {"viewRangeFrom": "0001-01-01", "viewRangeTo": "0001-01-02"},
        {"viewRangeFrom": "2026-02-30", "viewRangeTo": "<b>"},
        {"viewRangeFrom": ["2026-02-23"], "viewRangeTo": {"a": "b"}},
    ],
)
def test_an_invalid_range_shows_today(world: World, options: dict[str, Any]) -> None:
    page = open_in_calendar(world, "anna", options).text

    assert "data-team" in page
    assert days_on(page) == []


@pytest.mark.parametrize(
    ("shown", "first", "last", "chosen"),
    [
        # A month, as a grid of whole weeks.
        ("from=2026-02-23&to=2026-04-05&shift=1", "2026-03-30", "2026-05-10", "2026-04-01"),
        ("from=2026-02-23&to=2026-04-05&shift=12", "2027-03-01", "2027-04-11", "2027-03-01"),
        ("from=2026-02-23&to=2026-04-05&shift=-2", "2025-12-29", "2026-02-08", "2026-01-01"),
        ("from=2026-02-23&to=2026-04-05&on=2027-02-14", "2027-02-01", "2027-03-14", "2027-02-14"),
        # A date of the next month, at the end of the grid: the calendar then shows that month.
        ("from=2026-02-23&to=2026-04-05&on=2026-04-03", "2026-03-30", "2026-05-10", "2026-04-03"),
        # A week.
        ("from=2026-03-02&to=2026-03-08&shift=1", "2026-03-09", "2026-03-15", "2026-03-11"),
        ("from=2026-03-02&to=2026-03-08&shift=-1", "2026-02-23", "2026-03-01", "2026-02-25"),
        ("from=2026-03-02&to=2026-03-08&on=2026-12-01", "2026-11-30", "2026-12-06", "2026-12-01"),
        ("from=2026-03-02&to=2026-03-08&shift=", "2026-03-02", "2026-03-08", "2026-03-04"),
        ("from=2026-03-02&to=2026-03-08&shift=x&on=2026-13-01", "2026-03-02", "2026-03-08", "2026-03-04"),
        ("from=2026-03-02&to=2026-03-08&shift=999999999999999", "2026-03-02", "2026-03-08", "2026-03-04"),
        ("from=2026-03-02&to=2026-03-08&shift=-99999", "2026-03-02", "2026-03-08", "2026-03-04"),
    ],
)
def test_the_days_move_as_in_the_portals_calendar(world: World, shown: str, first: str, last: str, chosen: str) -> None:
    headers = bearer(open_in_calendar(world, "anna", MARCH))

    page = world.browser.get(f"/team?day=2026-03-04&{shown}", headers=headers).text

    days = days_on(page)
    assert (days[0], days[-1]) == (first, last)
    assert f'data-address="/team?from={first}&amp;to={last}&amp;day={chosen}"' in page


def test_the_days_have_one_tab_stop(world: World) -> None:
    headers = bearer(open_in_calendar(world, "anna", MARCH))

    page = world.browser.get("/team?from=2026-02-23&to=2026-04-05&day=2026-03-04", headers=headers).text

    stops = re.findall(r'data-keep="day-([0-9-]+)" tabindex="0" aria-current="date"', page)
    assert stops == ["2026-03-04"]
    assert page.count('tabindex="-1"') == 41


def test_people_without_access_see_their_own_settings(world: World) -> None:
    page = open_in_calendar(world, "boris", MARCH).text

    assert settings_on(page) == world.portal().people["boris"].settings
    assert "data-team" not in page


def test_the_link_in_a_message_opens_the_application(world: World) -> None:
    opening = world.portal().open_as("boris", placement="REST_APP_URI", options={"any": "thing"})

    response = world.post("/", opening)

    assert settings_on(response.text) == world.portal().people["boris"].settings
