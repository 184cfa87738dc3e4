"""The day of *Team*: bars of a person's hours, the number of people above them, and the hidden table."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from dashboard.calendar.holidays import NO_DAYS_OFF, DaysOff
from dashboard.calendar.working_hours import Span
from dashboard.team.availability import HoursGroup
from dashboard.team.listing import TeamRow
from dashboard.web.presenters.day_chart import DayChart, build
from dashboard.web.presenters.plan_scale import DayPart
from tests.team_fixtures import NEVER_OPENED, rows_on, store_people
from tests.world import World

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def chart(*groups: HoursGroup, days_off: DaysOff = NO_DAYS_OFF) -> DayChart:
    return build(groups, day=date(2026, 3, 4), now=NOON, user_zone=UTC, days_off=days_off)


def person(span: Span | None, zone: str = "UTC", **fields: Any) -> TeamRow:
    values: dict[str, Any] = {
        "user_id": 1,
        "name": "Ada",
        "position": "",
        "photo": "",
        "state": "connected",
        "view": "",
    }
    values |= {"zone_source": "calendar", "calendar_zone": zone, "reminders": "", "as_of": NOON, "problem": None}
    values |= {"previous_zone": "", "zone_changed_at": None}
    return TeamRow(**(values | {"zone": zone, "span": span, "hours_source": "person"} | fields))


@pytest.mark.parametrize(
    ("span", "bars"),
    [
        (Span(540, 1080), [DayPart(37.5, 37.5)]),
        # A bar that midnight cuts passes the edge, so that its end there is square.
        (Span(1320, 360), [DayPart(-2.778, 27.778), DayPart(91.667, 11.111)]),
        (None, []),
    ],
)
def test_bars_stand_at_the_hours(span: Span | None, bars: list[DayPart]) -> None:
    assert list(chart().person(person(span)).bars) == bars


def test_only_hours_from_a_persons_settings_are_confirmed() -> None:
    day = chart()

    assert not day.person(person(Span(540, 1080))).is_assumed
    assert day.person(person(Span(540, 1080), zone_source="profile")).is_assumed
    assert day.person(person(Span(540, 1080), as_of=None)).is_assumed


def test_a_person_is_at_work_by_their_own_clock() -> None:
    day = chart()

    assert day.person(person(Span(540, 1080))).is_at_work
    assert day.person(person(Span(540, 1080), "Asia/Tokyo")).is_at_work is False
    assert day.person(person(None)).is_at_work is None


def test_columns_count_everyone() -> None:
    day = chart(HoursGroup("UTC", Span(540, 1080), 30, 4), HoursGroup("Asia/Tokyo", Span(540, 1080), 10))

    assert (day.people, day.assumed) == (40, 4)
    assert [day.counts[minute // 15] for minute in (0, 525, 540, 1065, 1080)] == [10, 10, 30, 30, 0]
    assert max(column.height for column in day.columns) == 100
    # A column for each half hour with somebody at work.
    assert len(day.columns) == 36


def test_nobody_at_all_is_no_error() -> None:
    assert (chart().columns, chart().people, chart().common.most) == ([], 0, None)


@pytest.mark.usefixtures("working_day")
def test_a_row_has_its_hours_and_the_filters_change_the_chart(world: World) -> None:
    store_people(
        world,
        {"name": "Ada", "zone": "Europe/Berlin", "zone_source": "calendar"},
        {"name": "Bea", "time_zone": "Asia/Tokyo", "zone": "Asia/Tokyo", "zone_source": "profile"} | NEVER_OPENED,
    )

    html = world.browser.get("/team?q=ada", headers=world.session("anna")).text

    assert [row["user"] for row in rows_on(html)] == ["5001"]
    assert len(re.findall(r"people-chart__bar\b", html)) == 1
    assert "people-chart__bar--assumed" not in html
    counts = [int(people) for people in re.findall(r"<tr data-chart-row>.*?<td>(.*?)</td>", html)]
    assert max(counts) == 1
    assert "<b>1</b> of 1 confirmed" in html
