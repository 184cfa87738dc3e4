"""No count of a small group is shown, and none can be computed from other counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.calendar.working_hours import Span
from dashboard.team.insights import differences, hours_groups
from dashboard.team.settings_counts import SettingsCounts, ZoneAndHours, zones
from dashboard.team.small_groups import MIN_GROUP_SIZE, NO_MINIMUM, SuppressedCounts, suppress_small_groups

NINE, TEN = Span(540, 1080), Span(600, 1140)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 20, "b": 6, "c": 5}, SuppressedCounts((("a", 20), ("b", 6), ("c", 5)), 0)),
        ({"a": 20, "b": 3, "c": 2}, SuppressedCounts((("a", 20),), 5)),
        # A rest of two would be the total less those shown: the next smallest joins it.
        ({"a": 20, "b": 6, "c": 2}, SuppressedCounts((("a", 20),), 8)),
        ({"a": 9, "b": 1}, SuppressedCounts((), 10)),
        ({}, SuppressedCounts((), 0)),
    ],
)
def test_small_groups_are_suppressed(counts: dict[str, int], expected: SuppressedCounts[str]) -> None:
    assert suppress_small_groups(counts, min_group_size=MIN_GROUP_SIZE) == expected


def test_without_a_minimum_every_group_is_shown() -> None:
    assert suppress_small_groups({"b": 1, "a": 1, "c": 2}, min_group_size=NO_MINIMUM) == SuppressedCounts(
        (("c", 2), ("a", 1), ("b", 1)), 0
    )


def counts_of(places: dict[ZoneAndHours, int]) -> SettingsCounts:
    people = sum(places.values())
    return SettingsCounts(people, people, None, places, {}, {}, {}, {})


PLACES = st.builds(
    ZoneAndHours,
    st.sampled_from(["", "Europe/Berlin", "Asia/Tokyo", "UTC"]),
    st.sampled_from([None, NINE, TEN]),
)


@given(st.dictionaries(PLACES, st.integers(1, 12)))
def test_no_difference_of_two_counts_is_small(places: dict[ZoneAndHours, int]) -> None:
    counts_by_setting = counts_of(places)
    by_zone = suppress_small_groups(zones(counts_by_setting), min_group_size=MIN_GROUP_SIZE)
    shown_groups = hours_groups(counts_by_setting, min_group_size=MIN_GROUP_SIZE)

    assert counts_by_setting.people == sum(people for _zone, people in by_zone.groups) + by_zone.suppressed
    if counts_by_setting.people >= MIN_GROUP_SIZE:
        assert by_zone.suppressed == 0 or by_zone.suppressed >= MIN_GROUP_SIZE
    assert all(group.zone and group.people >= MIN_GROUP_SIZE for group in shown_groups)
    for zone, people in by_zone.groups:
        remainder = people - sum(group.people for group in shown_groups if group.zone == zone)
        assert remainder == 0 or remainder >= MIN_GROUP_SIZE


@given(st.dictionaries(st.text(alphabet="YN-", min_size=7, max_size=7), st.integers(1, 9), max_size=8))
def test_differences_show_no_small_group(people_by_letters: dict[str, int]) -> None:
    people = sum(people_by_letters.values())
    counts_by_setting = SettingsCounts(
        people, people, None, {}, {}, {}, {f"{text} ": people_by_letters[text] for text in people_by_letters}, {}
    )

    for difference in differences(counts_by_setting, min_group_size=MIN_GROUP_SIZE):
        without_answer = people - difference.majority_size - difference.others
        assert difference.majority_size >= MIN_GROUP_SIZE
        assert difference.others >= MIN_GROUP_SIZE
        assert without_answer == 0 or without_answer >= MIN_GROUP_SIZE
