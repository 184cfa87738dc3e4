"""The leaky bucket: never above its depth, no slower than needed, and slower after a refusal."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.bitrix24.leaky_bucket import (
    INTERACTIVE_HEADROOM,
    MIN_RATE,
    RATE,
    RECOVERY_SECONDS,
    ROUNDING,
    LeakyBucket,
)

# A realistic Unix time: floats of this size have steps of a quarter microsecond.
NOW = 1_790_000_000.0

EMPTY = LeakyBucket(updated_at=NOW)
FULL = LeakyBucket(updated_at=NOW, level=50.0)
ENTERPRISE = LeakyBucket(updated_at=NOW, rate=5.0, depth=250.0, full_rate=5.0)

buckets = st.builds(
    lambda kind, fullness, slowness: replace(
        kind, level=kind.depth * fullness, rate=max(MIN_RATE, kind.full_rate * slowness)
    ),
    st.sampled_from([EMPTY, ENTERPRISE]),
    st.floats(0, 1),
    st.floats(0, 1),
)
pauses = st.floats(0, 120)
headrooms = st.sampled_from([0.0, 1.0, INTERACTIVE_HEADROOM])


def test_requests_fill_the_bucket_and_time_drains_it() -> None:
    assert EMPTY.available(NOW) == 50
    assert EMPTY.take(NOW, requests=50).available(NOW) == 0
    assert EMPTY.take(NOW, requests=50).available(NOW + 3) == 6


def test_a_full_bucket_drains_two_a_second() -> None:
    assert FULL.seconds_until(NOW) == 0.5
    assert FULL.seconds_until(NOW, requests=10) == 5.0
    assert FULL.at(NOW + 25).level == 0.0
    assert FULL.at(NOW + 1000).level == 0.0


def test_enterprise_is_deeper_and_faster() -> None:
    assert ENTERPRISE.available(NOW) == 250
    assert ENTERPRISE.take(NOW, requests=250).seconds_until(NOW) == 0.2


def test_fifteen_requests_are_reserved_for_people() -> None:
    background = EMPTY.available(NOW, headroom=INTERACTIVE_HEADROOM)
    after = EMPTY.take(NOW, requests=background)

    assert background == 35
    assert after.available(NOW, headroom=INTERACTIVE_HEADROOM) == 0
    assert after.seconds_until(NOW, headroom=INTERACTIVE_HEADROOM) == 0.5
    assert (after.available(NOW), after.seconds_until(NOW)) == (15, 0.0)


# After a refusal


def test_a_refusal_fills_the_bucket_and_halves_the_rate() -> None:
    after = EMPTY.slow_down(NOW)

    assert after.available(NOW) == 0
    assert after.rate == RATE / 2
    # A second at half the rate, a little less because the rate grows meanwhile.
    assert 0.95 < after.seconds_until(NOW) < 1.0


def test_nobody_waits_for_requests_above_the_depth() -> None:
    """Requests for people are sent without checking, so a portal may refuse thousands."""
    spent = replace(EMPTY, level=5_000.0).take(NOW, requests=100_000).slow_down(NOW)

    assert spent.seconds_until(NOW, requests=50) <= 50 / MIN_RATE
    assert EMPTY.take(NOW, requests=1000).seconds_until(NOW) == 0.5
    assert replace(EMPTY, level=5_000.0).seconds_until(NOW) == 0.5


def test_repeated_refusals_slow_down_to_a_minimum() -> None:
    bucket = EMPTY
    for _ in range(10):
        bucket = bucket.slow_down(NOW)

    assert bucket.rate == MIN_RATE


def test_the_rate_recovers_within_a_minute() -> None:
    after = EMPTY.slow_down(NOW)
    half_way, recovered = after.at(NOW + RECOVERY_SECONDS / 4), after.at(NOW + RECOVERY_SECONDS)

    assert RATE / 2 < half_way.rate < RATE
    assert recovered.rate == RATE
    assert recovered.at(NOW + 2 * RECOVERY_SECONDS).rate == RATE


def test_a_later_refusal_halves_the_recovered_rate() -> None:
    slow = EMPTY.slow_down(NOW).slow_down(NOW).slow_down(NOW)

    assert slow.slow_down(NOW + 3600).rate == RATE / 2


# A clock that goes back


def test_a_clock_that_goes_back_drains_nothing() -> None:
    earlier = FULL.at(NOW - 3600)

    assert (earlier.level, earlier.updated_at) == (50.0, NOW)
    assert FULL.available(NOW - 3600) == 0


@given(bucket=buckets, back=st.floats(0, 600), pause=pauses)
def test_a_clock_that_goes_back_and_forth_gives_nothing_away(bucket: LeakyBucket, back: float, pause: float) -> None:
    straight = bucket.take(NOW).at(NOW + pause)
    zigzag = bucket.at(NOW - back).take(NOW - back).at(NOW - back).at(NOW + pause)

    assert zigzag == straight


@given(bucket=buckets, back=st.floats(0, 600), headroom=headrooms)
def test_a_wait_is_enough_after_the_clock_went_back(bucket: LeakyBucket, back: float, headroom: float) -> None:
    present = NOW - back

    assert bucket.available(present + bucket.seconds_until(present, headroom=headroom), headroom=headroom) >= 1


# Waits


@given(bucket=buckets, pause=pauses, requests=st.integers(1, 35), headroom=headrooms)
def test_a_wait_is_enough(bucket: LeakyBucket, pause: float, requests: int, headroom: float) -> None:
    present = NOW + pause

    later = present + bucket.seconds_until(present, requests=requests, headroom=headroom)

    assert bucket.available(later, headroom=headroom) >= requests


@given(bucket=buckets, pause=pauses, requests=st.integers(1, 35), headroom=headrooms)
def test_a_wait_is_not_longer_than_needed(bucket: LeakyBucket, pause: float, requests: int, headroom: float) -> None:
    present = NOW + pause
    wait = bucket.seconds_until(present, requests=requests, headroom=headroom)

    if wait > 0.001:
        assert bucket.available(present + wait - 0.001, headroom=headroom) < requests


@given(bucket=buckets, times=st.lists(pauses, max_size=8))
def test_reading_it_often_changes_nothing(bucket: LeakyBucket, times: list[float]) -> None:
    often = bucket
    for seconds in sorted(times):
        often = often.at(NOW + seconds)

    once = bucket.at(often.updated_at)
    assert often.level == pytest.approx(once.level, abs=ROUNDING)
    assert often.rate == pytest.approx(once.rate)


@given(bucket=buckets, pause=pauses, headroom=headrooms)
def test_available_and_wait_agree(bucket: LeakyBucket, pause: float, headroom: float) -> None:
    present = NOW + pause
    available = bucket.available(present, headroom=headroom)

    if available:
        assert bucket.seconds_until(present, requests=available, headroom=headroom) == 0.0
    if available + 1 <= bucket.depth - headroom:
        assert bucket.seconds_until(present, requests=available + 1, headroom=headroom) > 0


# The guarantee


@given(
    kind=st.sampled_from([EMPTY, ENTERPRISE]),
    steps=st.lists(st.tuples(st.floats(-5, 30), st.integers(1, 60), st.booleans(), headrooms), min_size=1, max_size=40),
)
def test_no_window_holds_more_requests_than_the_server_accepts(
    kind: LeakyBucket, steps: list[tuple[float, int, bool, float]]
) -> None:
    """Several processes, which wait or do not, and whose clocks differ by seconds."""
    bucket, clock = kind, NOW
    sent: list[tuple[float, int]] = []
    for pause, wanted, patient, headroom in steps:
        present = clock + pause
        clock = max(clock, present)
        requests = min(wanted, bucket.available(present, headroom=headroom))
        if patient and not requests:
            present += bucket.seconds_until(present, headroom=headroom)
            requests = 1
        bucket = bucket.take(present, requests=requests)
        # The server has one clock; a request is made no earlier than the one before it.
        clock = max(clock, present)
        sent.append((clock, requests))

    for start, (begin, _) in enumerate(sent):
        total = 0
        for moment, requests in sent[start:]:
            total += requests
            assert total <= kind.depth + kind.full_rate * (moment - begin) + ROUNDING


def test_a_process_that_waits_is_as_fast_as_the_bucket() -> None:
    """A run of 500 takes no longer than the bucket's own arithmetic: 450 above the depth at two a second."""
    bucket, clock, moments = EMPTY, NOW, []
    for _ in range(500):
        clock += bucket.seconds_until(clock)
        assert bucket.available(clock) >= 1
        bucket = bucket.take(clock)
        moments.append(clock)

    assert math.isclose(moments[-1] - NOW, 225.0, abs_tol=0.01)
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 0.5 + ROUNDING
