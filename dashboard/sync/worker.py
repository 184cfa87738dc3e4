"""The worker process: claim due runs, read people in threads, renew leases, do periodic tasks.

What is to be done stands in the database alone. Any number of workers on any number of machines share one
database: each row of ``runs`` and ``chores`` is claimed by one of them.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

import structlog
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from dashboard.core.database_errors import OutageLog
from dashboard.sync.engine import SyncEngine
from dashboard.sync.periodic_tasks import PeriodicTasks
from dashboard.sync.runs import LEASE, Runs

log = structlog.get_logger()

POLL_SECONDS = 0.5  # a run that a web process asks for begins within a second
MIN_PAUSE_SECONDS = 0.02
HEARTBEAT_SECONDS = LEASE.total_seconds() / 4
MAX_SHUTDOWN_SECONDS = 24.0  # platforms kill thirty seconds after SIGTERM


class Worker:
    """Claims what is due and works on it, at most ``threads`` runs at the same time."""

    def __init__(
        self,
        *,
        sync: SyncEngine,
        runs: Runs,
        periodic_tasks: PeriodicTasks,
        outages: OutageLog,
        threads: int,
    ) -> None:
        self._sync, self._runs, self._periodic_tasks = sync, runs, periodic_tasks
        self._outages = outages
        self._threads = threads
        self._lock = threading.Lock()
        self._runs_under_way = 0
        self._under_way: set[threading.Thread] = set()
        self._tasks_at = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        sync.stopping = self._stopping.is_set

    def work(self) -> None:
        """Work until SIGTERM or SIGINT; then finish the person each thread reads, hand back, and return."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        threading.excepthook = _log_defect
        threading.Thread(target=self._renew_leases, name="heartbeat", daemon=True).start()
        log.info("worker_started", threads=self._threads)
        while not self._stopping.is_set():
            self._wake.wait(self.poll())
            self._wake.clear()
        # Leases are renewed while the last people are being read.
        self._join()
        self._stopped.set()
        log.info("worker_stopped")

    def poll(self) -> float:
        """Start what is due; return the seconds until the next look."""
        try:
            if time.monotonic() >= self._tasks_at:
                self._tasks_at = time.monotonic() + POLL_SECONDS
                self._start_tasks()
            return self._start_runs()
        except SQLAlchemyError as error:
            self._outages.failed(error)
            return POLL_SECONDS

    def _start_tasks(self) -> None:
        names = self._periodic_tasks.due()
        self._outages.succeeded()
        for name in names:
            self._start(partial(self._periodic_tasks.run, name))

    def _start_runs(self) -> float:
        with self._lock:
            room = self._threads - self._runs_under_way
        if room <= 0:
            # Whoever ends a slice wakes the loop; to look before that would take the processor from them.
            return POLL_SECONDS
        if (seconds := self._runs.seconds_to_next(at_most=POLL_SECONDS)) > 0:
            return seconds
        for lease in self._runs.claim(limit=room):
            self._start(partial(self._sync.work_on, lease), is_run=True)
        # Another worker may hold what was due for the moment that claiming it takes.
        return MIN_PAUSE_SECONDS

    def _start(self, work: Callable[[], None], *, is_run: bool = False) -> None:
        """Begin work in a thread of its own, which does not keep the process alive when it hangs."""
        thread = threading.Thread(target=self._work_in_thread, args=(work, is_run), daemon=True)
        with self._lock:
            self._runs_under_way += is_run
            self._under_way.add(thread)
        thread.start()

    def _work_in_thread(self, work: Callable[[], None], is_run: bool) -> None:
        try:
            work()
        except (IntegrityError, DataError):
            raise  # a defect of ours, which the log shall show
        except SQLAlchemyError as error:
            # A lease runs out by itself, and its run goes on from its cursor; a task comes again.
            self._outages.failed(error)
        finally:
            with self._lock:
                self._runs_under_way -= is_run
                self._under_way.discard(threading.current_thread())
            self._wake.set()

    def _renew_leases(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            try:
                if owners := set(self._sync.leases):
                    self._runs.heartbeat(owners)
            except SQLAlchemyError as error:
                self._outages.failed(error)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # Not `_wake`: the main thread, in which this runs, may hold its lock.
        self._stopping.set()

    def _join(self) -> None:
        until = time.monotonic() + MAX_SHUTDOWN_SECONDS
        with self._lock:
            under_way = list(self._under_way)
        for thread in under_way:
            thread.join(max(0.0, until - time.monotonic()))
        if left := sum(thread.is_alive() for thread in under_way):
            log.warning("worker_did_not_finish", threads=left)


def _log_defect(raised: threading.ExceptHookArgs) -> None:
    """Log what ended a thread: a defect in one portal's run ends neither the worker nor other runs.

    The lease runs out, so the run is tried again after some seconds, not at once.
    """
    error = raised.exc_value or raised.exc_type()
    log.error("thread_failed", exc_info=(raised.exc_type, error, raised.exc_traceback))
