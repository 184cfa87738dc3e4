"""Limit how many threads of a process wait for hosts, clients or other threads, so that some remain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class WaitingThreads:
    """Counts the threads of a process that wait: for slow hosts, slow clients, or the result of another thread.

    Each kind has a limit of its own, and all together leave a quarter of the threads. Everything except slow hosts
    leaves one further thread, so that a first request to an unknown host does not need the reserve. `acquire` never
    blocks.
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

    def quota(self, limit: int) -> WaitQuota:
        """Return a quota of ``limit`` waiting threads for one kind, as far as other kinds leave them."""
        return WaitQuota(self, limit)

    def acquire(self, quota: WaitQuota) -> bool:
        """Count one more thread, unless too many wait already."""
        slow = self.count_slow_requests()
        with self._lock:
            limit = max(1, self.threads - self.reserve)
            if quota.count >= quota.limit or self.count + slow >= limit or self.count >= max(1, limit - 1):
                return False
            quota.count += 1
            self.count += 1
            return True

    def release(self, quota: WaitQuota) -> None:
        """Count one thread less."""
        with self._lock:
            quota.count -= 1
            self.count -= 1


class WaitQuota:
    """Counts the threads that wait for the same kind of event, such as bytes of slow clients."""

    def __init__(self, threads: WaitingThreads, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._threads = threads

    @contextmanager
    def try_acquire(self) -> Iterator[bool]:
        """Reserve a waiting thread; yield whether one was available. If not, the caller must stop soon."""
        may_wait = self._threads.acquire(self)
        try:
            yield may_wait
        finally:
            if may_wait:
                self._threads.release(self)
