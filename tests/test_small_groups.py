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
    ("counts", "told"),
    [
        ({"a": 20, "b": 6, "c": 5}, SuppressedCounts((("a", 20), ("b", 6), ("c", 5)), 0)),
        ({"a": 20, "b": 3, "c": 2}, SuppressedCounts((("a", 20),), 5)),
        # A rest of two would be the total less those shown: the next smallest joins it.
        ({"a": 20, "b": 6, "c": 2}, SuppressedCounts((("a", 20),), 8)),
        ({"a": 9, "b": 1}, SuppressedCounts((), 10)),
        ({}, SuppressedCounts((), 0)),
    ],
)
def test_small_groups_are_suppressed(counts: dict[str, int], told: SuppressedCounts[str]) -> None:
    assert suppress_small_groups(counts, min_group_size=MIN_GROUP_SIZE) == told


def test_without_a_minimum_every_group_is_shown() -> None:
    assert suppress_small_groups({"b": 1, "a": 1, "c": 2}, min_group_size=NO_MINIMUM) == SuppressedCounts(
        (("c", 2), ("a", 1), ("b", 1)), 0
    )


def of(places: dict[ZoneAndHours, int]) -> SettingsCounts:
    people = sum(places.values())
    return SettingsCounts(people, people, None, places, {}, {}, {}, {})


PLACES = st.builds(
    ZoneAndHours,
    st.sampled_from(["", "Europe/Berlin", "Asia/Tokyo", "UTC"]),
    st.sampled_from([None, NINE, TEN]),
)


@given(st.dictionaries(PLACES, st.integers(1, 12)))
def test_no_difference_of_two_counts_is_small(places: dict[ZoneAndHours, int]) -> None:
    counted = of(places)
    by_zone = suppress_small_groups(zones(counted), min_group_size=MIN_GROUP_SIZE)
    drawn = hours_groups(counted, min_group_size=MIN_GROUP_SIZE)

    assert counted.people == sum(people for _zone, people in by_zone.shown) + by_zone.suppressed
    if counted.people >= MIN_GROUP_SIZE:
        assert by_zone.suppressed == 0 or by_zone.suppressed >= MIN_GROUP_SIZE
    assert all(group.people >= MIN_GROUP_SIZE for group in drawn)
    for zone, people in by_zone.shown:
        left_over = people - sum(group.people for group in drawn if group.zone == zone)
        assert left_over == 0 or left_over >= MIN_GROUP_SIZE


@given(st.dictionaries(st.text(alphabet="YN-", min_size=7, max_size=7), st.integers(1, 9), max_size=8))
def test_differences_show_no_small_group(letters: dict[str, int]) -> None:
    people = sum(letters.values())
    counted = SettingsCounts(people, people, None, {}, {}, {}, {f"{text} ": letters[text] for text in letters}, {})

    for told in differences(counted, min_group_size=MIN_GROUP_SIZE):
        silent = people - told.majority_size - told.others
        assert told.majority_size >= MIN_GROUP_SIZE
        assert told.others >= MIN_GROUP_SIZE
        assert silent == 0 or silent >= MIN_GROUP_SIZE
