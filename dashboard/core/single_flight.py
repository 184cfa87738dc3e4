"""Share one execution among the threads of a process that ask for the same work at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from dashboard.core.shared_slots import SlotRefused
from dashboard.core.waiting_threads import WaitQuota

T = TypeVar("T")

CROWDED_SECONDS = 2.0  # from the start of the work, for threads that wait in excess of the limit


class SingleFlight(Generic[T]):
    """Runs work by key; whoever calls while it runs gets its result or its exception.

    Other processes run their own: work that must run once among all processes takes a lease in the database.
    """

    def __init__(self, waiting: WaitQuota) -> None:
        """Let threads wait until the work ends as ``waiting`` allows, whatever their keys; others only briefly."""
        self._lock = threading.Lock()
        self._waiting = waiting
        self._running: dict[Hashable, tuple[Future[T], float]] = {}  # the result, and when the work began

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return the result of ``work``, or of the same work that another thread is running.

        :raise SlotRefused: it has been running for a while, and too many threads wait.
        """
        with self._lock:
            if (running := self._running.get(key)) is None:
                future = Future[T]()
                self._running[key] = future, time.monotonic()
        if running is not None:
            return self._wait(*running)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._running[key]
        return future.result()

    def _wait(self, running: Future[T], began: float) -> T:
        with self._waiting.try_acquire() as may_wait:
            wait([running], timeout=None if may_wait else max(0.0, began + CROWDED_SECONDS - time.monotonic()))
        if not running.done():
            raise SlotRefused
        return running.result()
