"""Share the threads of a process among portals and people, so that nobody keeps them from all others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


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
