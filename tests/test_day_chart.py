"""The chart of the team's day: its rows, and the hidden table with the same numbers."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest

from dashboard.calendar.holidays import NO_DAYS_OFF
from dashboard.calendar.working_hours import Span
from dashboard.team.availability import HoursGroup
from dashboard.web.presenters.day_chart import DayChart, build
from tests.team_fixtures import store_people
from tests.world import World


def chart(groups: int) -> DayChart:
    spans = (Span(60 * number, 60 * number + 480) for number in range(groups))
    hours_groups = [HoursGroup("UTC", span, 20 - number) for number, span in enumerate(spans)]
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    return build(hours_groups, day=date(2026, 3, 4), now=now, user_zone=UTC, workdays=NO_DAYS_OFF)


@pytest.mark.parametrize(("groups", "rows", "others"), [(8, 8, 0), (9, 9, 0), (10, 8, 2), (12, 8, 4)])
def test_small_groups_share_one_row(groups: int, rows: int, others: int) -> None:
    day_chart = chart(groups)

    assert len(day_chart.rows) == rows
    assert (day_chart.others.groups if day_chart.others else 0) == others


def test_the_hidden_table_has_the_same_people_as_the_chart(world: World) -> None:
    store_people(world, *({"work_start": 360 + 30 * group} for group in range(12) for _person in range(group + 1)))

    page = world.browser.get("/team", headers=world.session("anna")).text

    rows = re.findall(r"<tr data-chart-row>(.*?)</tr>", page, flags=re.DOTALL)
    table_people = [int(re.findall(r"<td>(.*?)</td>", row, flags=re.DOTALL)[0]) for row in rows]
    chart_people = re.findall(r'<span class="day-chart__zone">.*? · (\d+)</span>', page)
    assert table_people == [int(people) for people in chart_people]
    assert sum(table_people) >= sum(range(1, 13))
    others = [people for people, row in zip(table_people, rows, strict=True) if "Others" in row]
    assert len(others) == 1
    # Some of them are at work at some hours, and never more than there are.
    at_work = [int(people) for people, total in re.findall(r"(\d+) of (\d+)</li>", rows[-1]) if int(total)]
    assert 0 < max(at_work) <= others[0]
