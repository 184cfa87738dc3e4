"""Numbers for those who may not see people: nothing small is told, and nothing small can be worked out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.calendar.working_hours import Span
from dashboard.team.insights import differences, groups
from dashboard.team.settings_counts import Habits, Place, zones
from dashboard.team.small_groups import FEWEST, NO_LIMIT, Split, split

NINE, TEN = Span(540, 1080), Span(600, 1140)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"a": 20, "b": 6, "c": 5}, Split((("a", 20), ("b", 6), ("c", 5)), 0)),
        ({"a": 20, "b": 3, "c": 2}, Split((("a", 20),), 5)),
        # A rest of two would be the total less those shown: the next smallest joins it.
        ({"a": 20, "b": 6, "c": 2}, Split((("a", 20),), 8)),
        ({"a": 9, "b": 1}, Split((), 10)),
        ({}, Split((), 0)),
    ],
)
def test_small_groups_are_merged(counts: dict[str, int], told: Split[str]) -> None:
    assert split(counts, fewest=FEWEST) == told


def test_without_a_limit_everybody_is_told() -> None:
    assert split({"b": 1, "a": 1, "c": 2}, fewest=NO_LIMIT) == Split((("c", 2), ("a", 1), ("b", 1)), 0)


def of(places: dict[Place, int]) -> Habits:
    people = sum(places.values())
    return Habits(people, people, None, places, {}, {}, {}, {})


PLACES = st.builds(
    Place, st.sampled_from(["", "Europe/Berlin", "Asia/Tokyo", "UTC"]), st.sampled_from([None, NINE, TEN])
)


@given(st.dictionaries(PLACES, st.integers(1, 12)))
def test_no_difference_of_two_numbers_is_small(places: dict[Place, int]) -> None:
    counted = of(places)
    by_zone = split(zones(counted), fewest=FEWEST)
    drawn = groups(counted, fewest=FEWEST)

    assert counted.people == sum(people for _zone, people in by_zone.shown) + by_zone.rest
    if counted.people >= FEWEST:
        assert by_zone.rest == 0 or by_zone.rest >= FEWEST
    assert all(group.people >= FEWEST for group in drawn)
    for zone, people in by_zone.shown:
        left_over = people - sum(group.people for group in drawn if group.zone == zone)
        assert left_over == 0 or left_over >= FEWEST


@given(st.dictionaries(st.text(alphabet="YN-", min_size=7, max_size=7), st.integers(1, 9), max_size=8))
def test_differences_tell_of_no_small_group(letters: dict[str, int]) -> None:
    people = sum(letters.values())
    counted = Habits(people, people, None, {}, {}, {}, {f"{text} ": letters[text] for text in letters}, {})

    for told in differences(counted, fewest=FEWEST):
        silent = people - told.most - told.others
        assert told.most >= FEWEST
        assert told.others >= FEWEST
        assert silent == 0 or silent >= FEWEST
