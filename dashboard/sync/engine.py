"""Run a slice of a run: first the directory, then as many people as the portal's rate limit allows now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from dashboard.bitrix24.errors import Bitrix24Error, MethodPaused, NotAnswered, Overloaded, QueryLimit
from dashboard.calendar.parser import USER_SETTINGS_METHOD
from dashboard.models import RunState
from dashboard.monitoring.metrics import Metrics
from dashboard.people.directory import Directory
from dashboard.people.snapshots import Snapshots
from dashboard.portals import rate_limits
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.sync.directory_sync import DIRECTORY_COST, save_directory_progress, sync_directory_part
from dashboard.sync.person_sync import (
    MAX_REFRESH_WAITS,
    MIN_SLICE_PEOPLE,
    RUN_ENDING_ERRORS,
    RUN_POSTPONING_ERRORS,
    PersonResult,
    save_results,
    sync_person,
    take_next_tasks,
)
from dashboard.sync.runs import Lease, LostLease, Runs
from dashboard.tokens.refresh import RefreshInProgress

log = structlog.get_logger()

RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240))  # up to runs.MAX_POSTPONEMENT
OVERLOAD_DELAY = timedelta(hours=1)
# No further request of a slice starts after this time, so that other portals get the thread.
MAX_SLICE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class SyncEngine:
    """Runs slices of leased runs, of many portals at once in as many threads. A slice never waits for a limit."""

    runs: Runs
    directory: Directory
    snapshots: Snapshots
    call_log: CallLog
    metrics: Metrics
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    # When set, slices end after their current person.
    stopping: threading.Event = field(default_factory=threading.Event)
    # Of the leases in use, for the worker's heartbeat.
    lease_owners: set[str] = field(default_factory=set)

    def run_slice(self, lease: Lease) -> None:
        """Work on the run, then release or finish it."""
        self.lease_owners.add(lease.owner)
        try:
            self._sync_and_release(lease)
        except LostLease:
            self._finish_canceled(lease)
        finally:
            self.lease_owners.discard(lease.owner)

    def _sync_and_release(self, lease: Lease) -> None:
        # The run is released after its calls are stored, because they decide when the limit allows more.
        try:
            with self.call_log.collect(lease.portal) as calls:
                requests = self._sync(lease, calls)
        except QueryLimit:
            self._wait_for_limit(lease, requests=1)
        except MethodPaused as error:
            self._pause_method(lease, error)
        except Overloaded as error:
            self._postpone(lease, error, delay=OVERLOAD_DELAY)
        except RefreshInProgress as error:
            self._release_until_refreshed(lease, error)
        except (*RUN_POSTPONING_ERRORS, NotAnswered) as error:
            self._postpone(lease, error)
        except RUN_ENDING_ERRORS as error:
            self._finish(lease, RunState.FAILED, error=error.code)
        else:
            if requests is None:
                self._finish(lease, RunState.DONE)
            else:
                self._wait_for_limit(lease, requests=requests)

    def _sync(self, lease: Lease, calls: CallRecords) -> int | None:
        """Return the number of requests that the next slice needs, None at the end of the run."""
        deadline = self.clock() + MAX_SLICE_SECONDS
        if lease.run.directory_read or self._sync_directory(lease, calls, deadline):
            return self._sync_people(lease, calls, deadline)
        return DIRECTORY_COST

    def _sync_directory(self, lease: Lease, calls: CallRecords, deadline: float) -> bool:
        """Return False if the rate limit or the end of the slice leaves the rest to the next slice."""
        while not self._should_stop(deadline):
            now = self.now().timestamp()
            take = partial(rate_limits.take_for_tasks, portal_id=lease.portal.id, now=now, costs=[DIRECTORY_COST])
            if not self.runs.write(lease, take):
                return False
            progress = sync_directory_part(self.directory, lease, record_call=calls.add)
            save = partial(save_directory_progress, lease=lease, calls=calls, progress=progress, now=self.now())
            self.runs.write(lease, save)
            if progress.position is None:
                return not self._should_stop(deadline)
            lease.run.list_position = asdict(progress.position)
        return False

    def _should_stop(self, deadline: float) -> bool:
        return self.stopping.is_set() or self.clock() >= deadline

    def _sync_people(self, lease: Lease, calls: CallRecords, deadline: float) -> int | None:
        """Return what ``_sync`` returns.

        :raise NotAnswered: the requests of too many people in a row got no response.
        """
        tasks, remaining = self.runs.write(lease, partial(take_next_tasks, lease=lease, now=self.now()))
        max_without_response = _max_without_response(len(tasks), remaining, attempts=lease.run.attempts)
        has_responded = lease.run.done > 0
        # Results without a response are saved only after another person's request gets one, because the portal may be
        # down.
        unsaved_results: list[PersonResult] = []
        is_interrupted = False
        for task in tasks:
            # With results without a response, continue after the deadline to find out whether the portal is down.
            is_interrupted = self.stopping.is_set() or (not unsaved_results and self._should_stop(deadline))
            if is_interrupted:
                break
            result = sync_person(self.snapshots, lease, task, record_call=calls.add)
            unsaved_results.append(result)
            if result.got_response:
                self._save(lease, unsaved_results, calls)
                unsaved_results, has_responded = [], True
            elif len(unsaved_results) > max_without_response:
                raise NotAnswered(result.problem or "")
        if remaining or is_interrupted or self.stopping.is_set():
            return min(remaining or len(tasks), MIN_SLICE_PEOPLE)
        if unsaved_results and not has_responded:
            raise NotAnswered(unsaved_results[0].problem or "")
        if unsaved_results:
            self._save(lease, unsaved_results, calls)
        return None

    def _save(self, lease: Lease, results: Sequence[PersonResult], calls: CallRecords) -> None:
        self.runs.write(lease, partial(save_results, lease=lease, results=results, calls=calls))
        lease.run.attempts = 0

    def _wait_for_limit(self, lease: Lease, *, requests: int) -> None:
        if seconds := self.runs.release_until_allowed(lease, requests=requests):
            self.metrics.count_limit_wait(seconds)

    def _release_until_refreshed(self, lease: Lease, error: RefreshInProgress) -> None:
        """Release the run until the token's refresh lease ends: the process that holds it may have been killed."""
        if lease.run.attempts >= MAX_REFRESH_WAITS:
            self._postpone(lease, error)
            return
        self.runs.release(lease, at=max(error.until, self.now()), attempts=lease.run.attempts + 1)

    def _pause_method(self, lease: Lease, error: MethodPaused) -> None:
        now = self.now()
        # The portal's clock may be wrong, but the pause ends within the window that Bitrix24 counts over.
        latest = (now + rate_limits.OPERATING_WINDOW).timestamp()
        until = min(error.resets_at or latest, latest)
        self.runs.write(
            lease, lambda session: rate_limits.pause(session, lease.portal.id, USER_SETTINGS_METHOD, until=until)
        )
        self._postpone(lease, error, delay=max(timedelta(seconds=until - now.timestamp()), timedelta(seconds=1)))

    def _postpone(self, lease: Lease, error: Bitrix24Error, *, delay: timedelta | None = None) -> None:
        """Retry the run later, with growing delays; after the last attempt it fails."""
        attempts = lease.run.attempts + 1
        if attempts > len(RETRY_DELAYS):
            self._finish(lease, RunState.FAILED, error=error.code)
            return
        log.warning("run_postponed", portal=lease.portal.id, code=error.code, attempts=attempts)
        self.runs.release(
            lease,
            at=self.now() + (delay or RETRY_DELAYS[attempts - 1]),
            state=RunState.POSTPONED,
            error=error.code[:64],
            attempts=attempts,
        )

    def _finish(self, lease: Lease, state: RunState, *, error: str | None = None) -> None:
        self.runs.finish(lease, state=state, error=error[:64] if error is not None else None)
        self.metrics.count_run(state, max(0.0, (self.now() - lease.run.created_at).total_seconds()))
        log.info("run_finished", portal=lease.portal.id, run=lease.run.id, state=str(state), code=error)

    def _finish_canceled(self, lease: Lease) -> None:
        """Finish the run if it was canceled; if another worker has it or its portal is gone, leave it alone."""
        try:
            self._finish(lease, RunState.CANCELED)
        except LostLease:
            log.info("lease_lost", portal=lease.portal.id, run=lease.run.id)


def _max_without_response(tasks: int, remaining: int, *, attempts: int) -> int:
    """Return how many people in a row may get no response before the portal itself is considered down.

    One at first, and one more at every attempt: otherwise several such people in a row would stop every run, and the
    rest would never be reached. While people remain, the limit is less than the size of the slice, because a slice
    could not reach it otherwise.
    """
    allowed = 1 + attempts
    return max(1, min(allowed, tasks - 1)) if remaining else allowed
