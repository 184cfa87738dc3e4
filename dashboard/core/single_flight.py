"""Share one execution among the threads of a process that ask for the same work at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from dashboard.core.shared_slots import SlotRefused

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs work by key; whoever calls while it runs gets its result or its exception.

    Other processes run their own: work that must run once among all processes takes a lease in the database.
    """

    def __init__(self, *, max_waiting: int) -> None:
        """``max_waiting`` threads wait for others at once, however many keys there are."""
        self._lock = threading.Lock()
        self._waiting = threading.Semaphore(max_waiting)
        self._running: dict[Hashable, Future[T]] = {}

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return the result of ``work``, or of the same work that another thread is running.

        :raise SlotRefused: it is running, and too many threads wait already.
        """
        with self._lock:
            if (running := self._running.get(key)) is None:
                future = self._running[key] = Future[T]()
        if running is not None:
            return self._wait(running)
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._running[key]
        return future.result()

    def _wait(self, running: Future[T]) -> T:
        if not self._waiting.acquire(blocking=False):
            raise SlotRefused
        try:
            return running.result()
        finally:
            self._waiting.release()
