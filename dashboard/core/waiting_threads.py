"""Limit how many threads of a process wait for hosts, clients or other threads, so that some remain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class WaitingThreads:
    """Counts the threads of a process that wait: for slow hosts, slow clients, or the result of another thread.

    Each kind has a limit of its own, and all together leave a quarter of the threads. All kinds but hosts leave one
    more, so that a host that nobody knows gets a request without a reserved thread. Nobody waits to be counted.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.count = 0  # of all kinds but slow hosts
        # Counted when asked for: a request becomes slow merely by waiting.
        self.count_slow_requests: Callable[[], int] = lambda: 0
        self._lock = Lock()

    @property
    def reserve(self) -> int:
        """Return how many threads are left for requests that wait for nobody."""
        return max(1, self.threads // 4)

    def share(self, limit: int) -> Share:
        """Return the right of one kind to ``limit`` waiting threads, as far as other kinds leave them."""
        return Share(self, limit)

    def acquire(self, share: Share) -> bool:
        """Count one more thread, unless too many wait already."""
        slow = self.count_slow_requests()
        with self._lock:
            limit = max(1, self.threads - self.reserve)
            if share.count >= share.limit or self.count + slow >= limit or self.count >= max(1, limit - 1):
                return False
            share.count += 1
            self.count += 1
            return True

    def release(self, share: Share) -> None:
        """Count one thread less."""
        with self._lock:
            share.count -= 1
            self.count -= 1


class Share:
    """Counts the threads that wait for the same kind of event, such as bytes of slow clients."""

    def __init__(self, threads: WaitingThreads, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._threads = threads

    @contextmanager
    def hold(self) -> Iterator[bool]:
        """Tell whether this thread may wait; if not, it must stop soon."""
        may_wait = self._threads.acquire(self)
        try:
            yield may_wait
        finally:
            if may_wait:
                self._threads.release(self)
