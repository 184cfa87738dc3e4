"""The leaky bucket: never over the brim, never slower than it must be, and humble after a refusal."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.bitrix24.leaky_bucket import (
    INTERACTIVE_RESERVE,
    MIN_RATE,
    RATE,
    RECOVERY_SECONDS,
    ROUNDING,
    LeakyBucket,
)

NOW = 1_790_000_000.0  # the size matters: so late, a float of seconds has steps of a quarter microsecond

EMPTY = LeakyBucket(at=NOW)
FULL = LeakyBucket(at=NOW, level=50.0)
ENTERPRISE = LeakyBucket(at=NOW, rate=5.0, depth=250.0, full_rate=5.0)

buckets = st.builds(
    lambda kind, fullness, slowness: replace(
        kind, level=kind.depth * fullness, rate=max(MIN_RATE, kind.full_rate * slowness)
    ),
    st.sampled_from([EMPTY, ENTERPRISE]),
    st.floats(0, 1),
    st.floats(0, 1),
)
pauses = st.floats(0, 120)
keeps = st.sampled_from([0.0, 1.0, INTERACTIVE_RESERVE])


def test_it_works() -> None:
    assert EMPTY.room(NOW) == 50
    assert EMPTY.taken(NOW, requests=50).room(NOW) == 0
    assert EMPTY.taken(NOW, requests=50).room(NOW + 3) == 6


def test_a_full_bucket_drains_two_a_second() -> None:
    assert FULL.wait(NOW) == 0.5
    assert FULL.wait(NOW, requests=10) == 5.0
    assert FULL.drained(NOW + 25).level == 0.0
    assert FULL.drained(NOW + 1000).level == 0.0


def test_enterprise_is_deeper_and_faster() -> None:
    assert ENTERPRISE.room(NOW) == 250
    assert ENTERPRISE.taken(NOW, requests=250).wait(NOW) == 0.2


def test_fifteen_are_kept_for_people() -> None:
    background = EMPTY.room(NOW, keep=INTERACTIVE_RESERVE)
    after = EMPTY.taken(NOW, requests=background)

    assert background == 35
    assert after.room(NOW, keep=INTERACTIVE_RESERVE) == 0
    assert after.wait(NOW, keep=INTERACTIVE_RESERVE) == 0.5
    assert (after.room(NOW), after.wait(NOW)) == (15, 0.0)


def test_what_never_fits_is_refused_and_not_waited_for() -> None:
    assert EMPTY.wait(NOW, requests=50) == 0.0
    with pytest.raises(ValueError, match="51 requests never fit"):
        EMPTY.wait(NOW, requests=51)
    with pytest.raises(ValueError, match="36 requests never fit"):
        EMPTY.wait(NOW, requests=36, keep=INTERACTIVE_RESERVE)


# After a refusal


def test_an_overflow_fills_the_bucket_and_halves_the_speed() -> None:
    after = EMPTY.overflowed(NOW)

    assert after.room(NOW) == 0
    assert after.rate == RATE / 2
    # A second at half the speed, a little less because the speed climbs meanwhile.
    assert 0.95 < after.wait(NOW) < 1.0


def test_requests_above_the_brim_are_not_waited_for() -> None:
    """Whoever answers people spends without asking; a portal may refuse thousands."""
    spent = replace(EMPTY, level=5_000.0).taken(NOW, requests=100_000).overflowed(NOW)

    assert spent.wait(NOW, requests=50) <= 50 / MIN_RATE
    assert EMPTY.taken(NOW, requests=1000).wait(NOW) == 0.5
    assert replace(EMPTY, level=5_000.0).wait(NOW) == 0.5


def test_overflows_in_a_row_slow_down_to_a_floor() -> None:
    bucket = EMPTY
    for _ in range(10):
        bucket = bucket.overflowed(NOW)

    assert bucket.rate == MIN_RATE


def test_the_speed_is_back_within_a_minute() -> None:
    after = EMPTY.overflowed(NOW)
    half_way, recovered = after.drained(NOW + RECOVERY_SECONDS / 4), after.drained(NOW + RECOVERY_SECONDS)

    assert RATE / 2 < half_way.rate < RATE
    assert recovered.rate == RATE
    assert recovered.drained(NOW + 2 * RECOVERY_SECONDS).rate == RATE


def test_an_overflow_long_after_another_halves_the_speed_of_now() -> None:
    slow = EMPTY.overflowed(NOW).overflowed(NOW).overflowed(NOW)

    assert slow.overflowed(NOW + 3600).rate == RATE / 2


# A clock that goes back


def test_a_clock_that_goes_back_drains_nothing() -> None:
    earlier = FULL.drained(NOW - 3600)

    assert (earlier.level, earlier.at) == (50.0, NOW)
    assert FULL.room(NOW - 3600) == 0


@given(bucket=buckets, back=st.floats(0, 600), pause=pauses)
def test_a_clock_that_goes_back_and_forth_gives_nothing_away(bucket: LeakyBucket, back: float, pause: float) -> None:
    straight = bucket.taken(NOW).drained(NOW + pause)
    zigzag = bucket.drained(NOW - back).taken(NOW - back).drained(NOW - back).drained(NOW + pause)

    assert zigzag == straight


@given(bucket=buckets, back=st.floats(0, 600), keep=keeps)
def test_a_wait_is_enough_after_the_clock_went_back(bucket: LeakyBucket, back: float, keep: float) -> None:
    present = NOW - back

    assert bucket.room(present + bucket.wait(present, keep=keep), keep=keep) >= 1


# Waits


@given(bucket=buckets, pause=pauses, requests=st.integers(1, 35), keep=keeps)
def test_a_wait_is_enough(bucket: LeakyBucket, pause: float, requests: int, keep: float) -> None:
    present = NOW + pause

    later = present + bucket.wait(present, requests=requests, keep=keep)

    assert bucket.room(later, keep=keep) >= requests


@given(bucket=buckets, pause=pauses, requests=st.integers(1, 35), keep=keeps)
def test_a_wait_is_not_longer_than_needed(bucket: LeakyBucket, pause: float, requests: int, keep: float) -> None:
    present = NOW + pause
    wait = bucket.wait(present, requests=requests, keep=keep)

    if wait > 0.001:
        assert bucket.room(present + wait - 0.001, keep=keep) < requests


@given(bucket=buckets, looks=st.lists(pauses, max_size=8))
def test_looking_often_changes_nothing(bucket: LeakyBucket, looks: list[float]) -> None:
    often = bucket
    for moment in sorted(looks):
        often = often.drained(NOW + moment)

    once = bucket.drained(often.at)
    assert often.level == pytest.approx(once.level, abs=ROUNDING)
    assert often.rate == pytest.approx(once.rate)


@given(bucket=buckets, pause=pauses, keep=keeps)
def test_room_and_wait_agree(bucket: LeakyBucket, pause: float, keep: float) -> None:
    present = NOW + pause
    room = bucket.room(present, keep=keep)

    if room:
        assert bucket.wait(present, requests=room, keep=keep) == 0.0
    if room + 1 <= bucket.depth - keep:
        assert bucket.wait(present, requests=room + 1, keep=keep) > 0


# The promise


@given(
    kind=st.sampled_from([EMPTY, ENTERPRISE]),
    steps=st.lists(st.tuples(st.floats(-5, 30), st.integers(1, 60), st.booleans(), keeps), min_size=1, max_size=40),
)
def test_no_window_ever_holds_more_than_the_server_takes(
    kind: LeakyBucket, steps: list[tuple[float, int, bool, float]]
) -> None:
    """Requests of several processes, greedy or patient, whose clocks disagree by seconds."""
    bucket, clock = kind, NOW
    sent: list[tuple[float, int]] = []
    for pause, wanted, patient, keep in steps:
        present = clock + pause
        clock = max(clock, present)
        requests = min(wanted, bucket.room(present, keep=keep))
        if patient and not requests:
            present += bucket.wait(present, keep=keep)
            requests = 1
        bucket = bucket.taken(present, requests=requests)
        # The server has one clock; a request is made no earlier than the one before it.
        clock = max(clock, present)
        sent.append((clock, requests))

    for start, (begin, _) in enumerate(sent):
        total = 0
        for moment, requests in sent[start:]:
            total += requests
            assert total <= kind.depth + kind.full_rate * (moment - begin) + ROUNDING


def test_a_patient_process_goes_as_fast_as_the_bucket() -> None:
    """A run of 500 takes no longer than the bucket's own arithmetic: 450 above the brim at two a second."""
    bucket, clock, moments = EMPTY, NOW, []
    for _ in range(500):
        clock += bucket.wait(clock)
        assert bucket.room(clock) >= 1
        bucket = bucket.taken(clock)
        moments.append(clock)

    assert math.isclose(moments[-1] - NOW, 225.0, abs_tol=0.01)
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 0.5 + ROUNDING
