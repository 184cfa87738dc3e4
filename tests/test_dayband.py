"""The picture of the day: as many rows as the eye compares, and never a row that sums up one."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from dashboard.bands import Group
from dashboard.hours import Span
from dashboard.web.dayband import Picture, draw
from dashboard.workdays import EVERY_DAY


def picture(groups: int) -> Picture:
    spans = (Span(60 * number, 60 * number + 480) for number in range(groups))
    drawn = [Group("UTC", span, 20 - number) for number, span in enumerate(spans)]
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    return draw(drawn, day=date(2026, 3, 4), now=now, reader=UTC, workdays=EVERY_DAY)


@pytest.mark.parametrize(("groups", "rows", "summed_up"), [(8, 8, 0), (9, 9, 0), (10, 8, 2), (12, 8, 4)])
def test_what_has_a_row_and_what_is_summed_up(groups: int, rows: int, summed_up: int) -> None:
    drawn = picture(groups)

    assert len(drawn.rows) == rows
    assert (drawn.rest.groups if drawn.rest else 0) == summed_up
