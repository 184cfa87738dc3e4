"""Who gets one of a process's few slots, and who is preempted."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dashboard.core import shared_slots
from dashboard.core.shared_slots import SharedSlots, SlotRefused

LONG = shared_slots.MAX_USAGE_DIFFERENCE_SECONDS
BARELY = LONG - 1


class Slots:
    """Three slots, with a clock of their own and a list of who was preempted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.preempted: list[tuple[int, int]] = []
        self._slots = SharedSlots(3, clock=lambda: self.now)
        self._held: list[ExitStack] = []  # until the test ends

    def take(self, portal: int, person: int = 1) -> ExitStack:
        """Hold a slot until the result is closed."""
        held = ExitStack()
        self._held.append(held)
        holder = (portal, person)
        held.enter_context(
            self._slots.hold(portal=portal, person=person, on_preempt=lambda: self.preempted.append(holder)),
        )
        return held


@pytest.fixture
def slots() -> Slots:
    return Slots()


def test_the_portal_that_held_slots_longest_is_preempted(slots: Slots) -> None:
    slots.take(1)
    slots.now += 1
    slots.take(2), slots.take(3)
    slots.now += BARELY - 1
    with pytest.raises(SlotRefused):
        slots.take(4)
    assert not slots.preempted

    slots.now += 1
    slots.take(4)

    assert slots.preempted == [(1, 1)]


def test_a_slot_that_nobody_else_needs_may_be_held_for_ever(slots: Slots) -> None:
    slots.take(1), slots.take(1, 2)
    slots.now += 100 * LONG

    slots.take(2)

    assert not slots.preempted


def test_whoever_asks_again_after_a_loss_takes_no_slot_from_others(slots: Slots) -> None:
    slots.take(1), slots.take(2), slots.take(3)
    slots.now += LONG
    for _ in range(3):
        with slots.take(4):
            for person in (1, 2):
                with pytest.raises(SlotRefused):
                    slots.take(slots.preempted[-1][0], person)
        # Its new download is short, but the time before is not forgotten.
        slots.take(slots.preempted[-1][0])

    assert len(slots.preempted) == 3


def test_what_was_held_long_ago_counts_less(slots: Slots) -> None:
    with slots.take(1):
        slots.now += LONG
    slots.now += 10 * shared_slots.HALF_LIFE_SECONDS
    slots.take(2), slots.take(3), slots.take(4)
    slots.now += LONG + 1

    slots.take(1)

    assert slots.preempted == [(2, 1)]


def test_people_of_one_portal_take_slots_from_each_other(slots: Slots) -> None:
    slots.take(1)
    slots.now += 1
    slots.take(1, 2), slots.take(2)
    slots.now += LONG
    own = slots.take(1, 3)

    assert slots.preempted == [(1, 1)]
    with pytest.raises(SlotRefused):
        slots.take(1, 3)
    own.close()


def test_the_end_of_a_preempted_download_frees_no_other_slot(slots: Slots) -> None:
    preempted = slots.take(1)
    slots.take(2), slots.take(3)
    slots.now += LONG
    slots.take(4)
    with pytest.raises(SlotRefused):
        slots.take(4, 2)
    slots.now += 2 * LONG
    slots.take(1)

    preempted.close()

    with pytest.raises(SlotRefused):
        slots.take(1)
    assert slots.preempted == [(1, 1), (2, 1)]
