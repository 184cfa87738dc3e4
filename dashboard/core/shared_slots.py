"""Share the threads of a process among portals and people, so that nobody keeps them from all others."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

WAIT_SECONDS = 2.0
# A rush ends when nobody had to wait for this long.
RUSH_PAUSE_SECONDS = 10.0


class SlotRefused(Exception):
    """No slot is free for this portal or person; others may still get one."""


class SharedSlots:
    """A fixed number of slots. A person holds one, and a portal gets another only while more are free than it holds.

    So one portal never holds all of them if there are at least two.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._holders: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, *, portal: int, person: int) -> Iterator[None]:
        """Hold a slot.

        :raise SlotRefused: the person holds one, or the portal as many as are free.
        """
        holder = (portal, person)
        with self._lock:
            held = sum(other == portal for other, _ in self._holders)
            if holder in self._holders or held >= self._slots - len(self._holders):
                raise SlotRefused
            self._holders.add(holder)
        try:
            yield
        finally:
            with self._lock:
                self._holders.remove(holder)


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

    ``max_waiting`` threads of a key wait, and any number in the first WAIT_SECONDS of a rush: many people who press
    at once each get a quick page, while a key whose pages are slow does not hold the threads for others.
    """

    def __init__(self, limit: int, *, max_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._max_waiting, self._clock = limit, max_waiting, clock
        self._held: Counter[Hashable] = Counter()
        self._waiting: Counter[Hashable] = Counter()
        self._rushes: dict[Hashable, tuple[float, float]] = {}  # when each began, and when a thread last had to wait
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
        rushes = {other: rush for other, rush in self._rushes.items() if now - rush[1] < RUSH_PAUSE_SECONDS}
        began, _ = rushes.get(key, (now, now))
        self._rushes = rushes | {key: (began, now)}
        seconds = WAIT_SECONDS if self._waiting[key] < self._max_waiting else began + WAIT_SECONDS - now
        self._waiting[key] += 1
        try:
            if not self._changed.wait_for(lambda: self._held[key] < self._limit, timeout=max(0.0, seconds)):
                raise SlotRefused
        finally:
            self._waiting -= Counter([key])
