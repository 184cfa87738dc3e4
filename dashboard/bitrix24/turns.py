"""No host may keep all our threads waiting: one that is slow leaves some of them to everybody else."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

LONGEST_WAIT = 2.0  # seconds for a turn; hosts that answer give one many times a second


class Turns:
    """Counts who is busy with which origin in this process, but for ``shared`` ones, which all need."""

    def __init__(self, threads: int, *, shared: Collection[str] = ()) -> None:
        self._limit = max(1, threads - max(1, threads // 4))
        self._shared = frozenset(shared)
        self._busy: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def at(self, origin: str) -> Iterator[None]:
        """Let an origin be asked inside.

        :raise TimeoutError: so many are waiting for its answers that one more would be too many.
        """
        if origin in self._shared:
            yield
            return
        with self._changed:
            if not self._changed.wait_for(lambda: self._busy[origin] < self._limit, timeout=LONGEST_WAIT):
                raise TimeoutError("too many are waiting for this host")
            self._busy[origin] += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy[origin] -= 1
                if not self._busy[origin]:
                    del self._busy[origin]
                self._changed.notify_all()
