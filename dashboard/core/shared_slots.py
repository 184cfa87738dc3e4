"""Share the threads of a process among portals and people, so that nobody keeps them from all others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# A holder is preempted if its recent usage exceeds the requester's by this much.
MAX_USAGE_DIFFERENCE_SECONDS = 10.0
HALF_LIFE_SECONDS = 600.0  # after this long, the time that a slot was held counts half
MIN_SECONDS = 0.001  # less usage is forgotten

Holder = tuple[Hashable, Hashable]  # a portal and a person of it

WAIT_SECONDS = 2.0  # how long a thread waits for a slot, and for how long any number may in a burst
# A burst ends this long after a thread last began to wait.
BURST_GAP_SECONDS = 10.0


class SlotRefused(Exception):
    """No slot is free for this portal or person; others may still get one."""


@dataclass(frozen=True, eq=False)
class _Hold:
    holder: Holder
    since: float
    on_preempt: Callable[[], None]


class SharedSlots:
    """A fixed number of slots, shared fairly; one per person.

    A portal may take another slot only if more slots are free than it holds, so one portal never holds all of two or
    more. If none is available, the holder with the highest recent usage is preempted. The usage of portals is compared,
    or within one portal that of people. It includes slots that they no longer hold, so asking again does not help.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._holds: dict[Holder, _Hold] = {}
        # How long slots were held, and as of when: by portals as (portal,), and by people as (portal, person).
        self._past: dict[tuple[Hashable, ...], tuple[float, float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, *, portal: Hashable, person: Hashable, on_preempt: Callable[[], None]) -> Iterator[None]:
        """Hold a slot. If it is preempted, ``on_preempt`` is called, which must end its use at once and not wait.

        :raise SlotRefused: the person holds one, or the portal as many as are free, and no holder can be preempted.
        """
        with self._lock:
            hold = _Hold((portal, person), self._clock(), on_preempt)
            if hold.holder in self._holds:
                raise SlotRefused
            if not self._may_hold_another(portal):
                preempted = self._find_preemptable(hold)
                self._release(preempted)
                # Still locked, so that it has not ended by itself.
                preempted.on_preempt()
            self._holds[hold.holder] = hold
        try:
            yield
        finally:
            with self._lock:
                if self._holds.get(hold.holder) is hold:
                    self._release(hold)

    def _may_hold_another(self, portal: Hashable, *, ignoring: _Hold | None = None) -> bool:
        """Tell whether a portal may hold another slot, as if the hold to ignore had ended."""
        others = [hold.holder[0] for hold in self._holds.values() if hold is not ignoring]
        return others.count(portal) < self._slots - len(others)

    def _find_preemptable(self, new: _Hold) -> _Hold:
        """Return the hold that a new one preempts.

        :raise SlotRefused: no holder's recent usage exceeds the requester's by MAX_USAGE_DIFFERENCE_SECONDS.
        """
        portal = new.holder[0]
        differences = {
            hold: self._usage_difference(hold, new)
            for hold in self._holds.values()
            if hold.holder[0] == portal or self._may_hold_another(portal, ignoring=hold)
        }
        preempted = max(differences, key=differences.__getitem__, default=None)
        if preempted is None or differences[preempted] < MAX_USAGE_DIFFERENCE_SECONDS:
            raise SlotRefused
        return preempted

    def _usage_difference(self, hold: _Hold, new: _Hold) -> float:
        """Return how much more a holder has recently used than a requester: a portal, or a person of the same one."""
        level = 2 if hold.holder[0] == new.holder[0] else 1
        return self._usage(hold.holder[:level], new.since) - self._usage(new.holder[:level], new.since)

    def _usage(self, key: tuple[Hashable, ...], now: float) -> float:
        present = (now - hold.since for hold in self._holds.values() if hold.holder[: len(key)] == key)
        return self._past_usage(key, now) + sum(present)

    def _past_usage(self, key: tuple[Hashable, ...], now: float) -> float:
        seconds, moment = self._past.get(key, (0.0, now))
        return float(seconds * 0.5 ** ((now - moment) / HALF_LIFE_SECONDS))

    def _release(self, hold: _Hold) -> None:
        now = self._clock()
        del self._holds[hold.holder]
        keys: tuple[tuple[Hashable, ...], ...] = (hold.holder[:1], hold.holder)
        for key in keys:
            self._past[key] = (self._past_usage(key, now) + now - hold.since, now)
        for old in [key for key in self._past if self._past_usage(key, now) < MIN_SECONDS]:
            del self._past[old]


class PerKeyLimit:
    """Limits how many slots each key holds at once; keys do not affect each other."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Hold a slot.

        :raise SlotRefused: the key holds as many as it may.
        """
        with self._lock:
            if self._held[key] >= self._limit:
                raise SlotRefused
            self._held[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[key] -= 1
                if not self._held[key]:
                    del self._held[key]


class PerKeyQueue:
    """Limits how many slots each key holds at once; further threads wait for one, WAIT_SECONDS at most.

    ``max_waiting`` threads per key may wait. During the first WAIT_SECONDS of a burst, any number may: many people who
    press at once each get a quick page, while a key whose pages are slow does not keep the threads from others.
    """

    def __init__(self, limit: int, *, max_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._max_waiting, self._clock = limit, max_waiting, clock
        self._held: Counter[Hashable] = Counter()
        self._waiting: Counter[Hashable] = Counter()
        self._bursts: dict[Hashable, tuple[float, float]] = {}  # when each began, and when a thread last had to wait
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Hold a slot.

        :raise SlotRefused: none became free in time, or too many threads wait.
        """
        with self._changed:
            if self._held[key] >= self._limit:
                self._wait(key)
            self._held[key] += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= Counter([key])  # without the keys that hold nothing
                self._changed.notify_all()

    def _wait(self, key: Hashable) -> None:
        now = self._clock()
        bursts = {other: burst for other, burst in self._bursts.items() if now - burst[1] < BURST_GAP_SECONDS}
        began, _ = bursts.get(key, (now, now))
        self._bursts = bursts | {key: (began, now)}
        seconds = WAIT_SECONDS if self._waiting[key] < self._max_waiting else began + WAIT_SECONDS - now
        self._waiting[key] += 1
        try:
            if not self._changed.wait_for(lambda: self._held[key] < self._limit, timeout=max(0.0, seconds)):
                raise SlotRefused
        finally:
            self._waiting -= Counter([key])
