"""Run the worker process: slices of due runs, and periodic tasks, in threads.

Any number of workers on any number of machines share one database. Each run is leased, and each periodic task
(table ``chores``) claimed, by one of them at a time.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from types import FrameType

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from dashboard.core.database_errors import OutageLog
from dashboard.sync.engine import MAX_SLICE_SECONDS, SyncEngine
from dashboard.sync.periodic_tasks import PeriodicTasks
from dashboard.sync.runs import RUN_LEASE_DURATION, Lease, Runs

log = structlog.get_logger()

POLL_SECONDS = 0.5  # a requested run starts within a second
MIN_PAUSE_SECONDS = 0.02
HEARTBEAT_SECONDS = RUN_LEASE_DURATION.total_seconds() / 4
# A slice that takes longer is slow, and so is its portal for a while. Slow portals get half of the threads together:
# they may all belong to one attacker.
MAX_FAST_SECONDS = MAX_SLICE_SECONDS + 5.0
SLOW_FOR_SECONDS = 600.0
MAX_SHUTDOWN_SECONDS = 24.0  # platforms kill thirty seconds after SIGTERM


class Worker:
    """Polls for due work and starts it, at most ``threads`` slices at a time."""

    def __init__(
        self,
        *,
        sync: SyncEngine,
        runs: Runs,
        periodic_tasks: PeriodicTasks,
        outages: OutageLog,
        threads: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sync, self._runs, self._periodic_tasks = sync, runs, periodic_tasks
        self._outages = outages
        self._clock = clock
        self._free_slots = threads
        self._max_slow = max(1, threads // 2)
        self._slices: dict[int, float] = {}  # portal id → when its slice began
        self._slow: dict[int, float] = {}  # portal id → until when it counts as slow
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._tasks_due_at = 0.0
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def work(self) -> None:
        """Work until SIGTERM or SIGINT; then let each thread finish its current person, and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        threading.excepthook = _log_defect
        threading.Thread(target=self._send_heartbeats, name="heartbeat", daemon=True).start()
        log.info("worker_started", threads=self._free_slots)
        while not self._sync.stopping.is_set():
            self._wake.wait(self.poll())
            self._wake.clear()
        self._join()
        # Stop the heartbeat last, because it extends the leases of the remaining threads.
        self._stopped.set()
        log.info("worker_stopped")

    def poll(self) -> float:
        """Start what is due; return the seconds until the next poll."""
        try:
            if time.monotonic() >= self._tasks_due_at:
                self._tasks_due_at = time.monotonic() + POLL_SECONDS
                self._start_tasks()
            return self._start_slices()
        except SQLAlchemyError as error:
            self._outages.record_failure(error)
            return POLL_SECONDS

    def _start_tasks(self) -> None:
        names = self._periodic_tasks.claim_due()
        self._outages.record_success()
        for name in names:
            self._start(partial(self._periodic_tasks.run, name))

    def _start_slices(self) -> float:
        with self._lock:
            free_slots, slow = self._free_slots, self._update_slow_portals()
            free_for_slow = self._max_slow - sum(portal_id in slow for portal_id in self._slices)
        if free_slots <= 0:
            # A slice that ends wakes the loop; polling before that would only take processor time from it.
            return POLL_SECONDS
        if (seconds := self._runs.seconds_to_next(at_most=POLL_SECONDS)) > 0:
            return seconds
        # First runs of any portal, as long as there are slots for slow portals; then runs of the other portals only.
        leases = self._acquire(min(free_slots, free_for_slow), excluded=())
        leases += self._acquire(free_slots - len(leases), excluded=slow)
        # Poll again soon if runs are due: another worker may have locked them just now. But if only slow portals' runs
        # are due, they wait for the end of a slice, which wakes the loop.
        return MIN_PAUSE_SECONDS if leases or free_for_slow > 0 else POLL_SECONDS

    def _acquire(self, limit: int, *, excluded: Collection[int]) -> list[Lease]:
        leases = self._runs.acquire(limit=limit, excluded=excluded) if limit > 0 else []
        for lease in leases:
            with self._lock:
                self._slices[lease.portal.id] = self._clock()
            self._start(partial(self._run_slice, lease), slots=1)
        return leases

    def _update_slow_portals(self) -> set[int]:
        """Update and return the portals that had a slow slice recently or have one now."""
        now = self._clock()
        slow_now = (portal_id for portal_id, began in self._slices.items() if now - began > MAX_FAST_SECONDS)
        self._slow = {portal_id: until for portal_id, until in self._slow.items() if until > now}
        self._slow |= dict.fromkeys(slow_now, now + SLOW_FOR_SECONDS)
        return set(self._slow)

    def _run_slice(self, lease: Lease) -> None:
        try:
            self._sync.run_slice(lease)
        finally:
            with self._lock:
                self._update_slow_portals()
                self._slices.pop(lease.portal.id, None)

    def _start(self, work: Callable[[], None], *, slots: int = 0) -> None:
        """Start a thread for the work. It is a daemon: one that hangs does not keep the process alive."""
        thread = threading.Thread(target=self._run_in_thread, args=(work, slots), daemon=True)
        with self._lock:
            self._free_slots -= slots
            self._threads.add(thread)
        thread.start()

    def _run_in_thread(self, work: Callable[[], None], slots: int) -> None:
        try:
            work()
        except (IntegrityError, DataError):
            raise  # a defect, which belongs in the log
        except SQLAlchemyError as error:
            # The lease expires and the run continues from its cursor; a periodic task is due again later.
            self._outages.record_failure(error)
        finally:
            with self._lock:
                self._free_slots += slots
                self._threads.discard(threading.current_thread())
            self._wake.set()

    def _send_heartbeats(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            try:
                if owners := set(self._sync.lease_owners):
                    self._runs.heartbeat(owners)
            except SQLAlchemyError as error:
                self._outages.record_failure(error)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Not `_wake`: this runs in the main thread, which may hold the lock of that event.
        self._sync.stopping.set()

    def _join(self) -> None:
        until = time.monotonic() + MAX_SHUTDOWN_SECONDS
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if unfinished := sum(thread.is_alive() for thread in threads):
            log.warning("worker_did_not_finish", threads=unfinished)


def _log_defect(arguments: threading.ExceptHookArgs) -> None:
    """Log the exception that ended a thread; other runs continue, and this one after its lease expires."""
    error = arguments.exc_value or arguments.exc_type()
    log.error("thread_failed", exc_info=(arguments.exc_type, error, arguments.exc_traceback))
