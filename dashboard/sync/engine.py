"""A run in slices: the directory, then one person after another, as fast as the portal's bucket allows.

A slice never waits for the bucket: it spends what fits now and hands the run back. What it learned of a
person and how far the run has come are one transaction, so a worker may die anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import (
    ApplicationGone,
    Bitrix24Error,
    GrantRejected,
    MethodPaused,
    NotAnswered,
    Overloaded,
    PersonRefused,
    QueryLimit,
    TokenRejected,
)
from dashboard.calendar.parser import METHOD
from dashboard.core.database import Database
from dashboard.models import Portal, Run, RunState
from dashboard.people.directory import INCOMPLETE, Directory
from dashboard.people.snapshots import Snapshots
from dashboard.portals import rate_limits
from dashboard.portals.call_log import CallLog, CallRecords
from dashboard.portals.installations import VerificationFailed
from dashboard.sync.person_sync import (
    RUN_ENDING_ERRORS,
    RUN_POSTPONING_ERRORS,
    PersonResult,
    PersonTask,
    count_people,
    next_tasks,
    save_result,
    sync_person,
)
from dashboard.sync.runs import Lease, LostLease, Runs
from dashboard.tokens.refresh import RefreshBusy

log = structlog.get_logger()

MAX_SLICE_PEOPLE = 10  # people, so that a portal with thousands lets the others have their turn
MIN_SLICE_PEOPLE = 4  # people a slice is worth while, once the bucket decides the pace
DIRECTORY_COST = 2
RETRY_DELAYS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 120, 240))  # up to runs.MAX_WAIT
OVERLOAD_DELAY = timedelta(hours=1)
MAX_REFRESH_WAITS = 3  # in a row, for one person's token that another process renews

# Why somebody else's chain may still read the directory.
_READER_FAILED = (PersonRefused, GrantRejected, TokenRejected, VerificationFailed)


class SyncEngine:
    """Works on leased runs; one slice at a time, many portals at once in as many threads."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        directory: Directory,
        snapshots: Snapshots,
        call_log: CallLog,
        now: Callable[[], datetime],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._database = database
        self._runs = runs
        self._directory = directory
        self._snapshots = snapshots
        self._call_log = call_log
        self._now = now
        self.stopping = stopping
        self.leases: set[str] = set()  # of the slices under way; the worker renews them

    def run_slice(self, portal_id: int) -> None:
        """Bring the portal's run on by a slice; nothing happens where none is due or somebody else has it."""
        if (lease := self._runs.acquire(portal_id)) is not None:
            self.work_on(lease)

    def work_on(self, lease: Lease) -> None:
        """Bring a leased run on by a slice and give the lease back."""
        self.leases.add(lease.owner)
        try:
            self._advance(lease)
        except LostLease:
            self._end_canceled(lease)
        finally:
            self.leases.discard(lease.owner)

    def _advance(self, lease: Lease) -> None:
        """Work on the run, then say when it goes on.

        Only after the calls are written: what they took of the bucket decides when there is room again.
        """
        try:
            with self._call_log.unit(lease.portal) as calls:
                wanted = self._work(lease, calls)
        except QueryLimit:
            self._release_until_room(lease, requests=1)
        except MethodPaused as error:
            self._pause(lease, error)
        except Overloaded as error:
            self._postpone(lease, error, by=OVERLOAD_DELAY)
        except RefreshBusy as busy:
            self._wait_for_refresh(lease, busy)
        except (*RUN_POSTPONING_ERRORS, NotAnswered) as error:
            self._postpone(lease, error)
        except (*RUN_ENDING_ERRORS, ApplicationGone) as error:
            self._end(lease, RunState.FAILED, error=error.code)
        else:
            if wanted is None:
                self._end(lease, RunState.DONE)
            else:
                self._release_until_room(lease, requests=wanted)

    def _work(self, lease: Lease, calls: CallRecords) -> int | None:
        """Read what the bucket has room for; return how many requests the run wants next, None at its end."""
        if lease.run.directory_read or self._read_directory(lease, calls):
            return self._read_people(lease, calls)
        return DIRECTORY_COST

    # The directory

    def _read_directory(self, lease: Lease, calls: CallRecords) -> bool:
        """Read who works here and fix whom the run reads; False when the bucket has no room for it yet."""
        now = self._now().timestamp()
        room = self._runs.write(
            lease,
            lambda session: rate_limits.reserve(session, lease.portal.id, now=now, costs=[DIRECTORY_COST]),
        )
        if not room:
            return False
        error = self._try_directory(lease, calls)
        lease.run.last = self._runs.write(
            lease, lambda session: self._save_directory(session, lease, calls, error=error)
        )
        return True

    def _save_directory(self, session: Session, lease: Lease, calls: CallRecords, *, error: str | None) -> int:
        """Store how the list was read; return the last of the people whom the run reads."""
        calls.write(session, taken=DIRECTORY_COST)
        portal = session.get_one(Portal, lease.portal.id)
        portal.directory_error = error
        if error in (None, INCOMPLETE):
            portal.directory_at = self._now()
        total, last = count_people(session, lease)
        self._runs.change(session, lease, uncancelled=True, directory_read=True, total=total, last=last)
        return last

    def _try_directory(self, lease: Lease, calls: CallRecords) -> str | None:
        """Return why the list could not be read as a whole, None when it was; the run reads who is known.

        :raise Bitrix24Error: the portal as a whole does not answer, or not us.
        """
        problem = "nobody_connected"
        for reader in self._directory.readers(lease.portal):
            try:
                complete = self._directory.read(lease.portal, reader, record=calls.add)
            except (*RUN_POSTPONING_ERRORS, *RUN_ENDING_ERRORS, NotAnswered) as error:
                if error.code != "directory_without_reader":
                    raise
                problem = error.code
            except ApplicationGone as error:
                if self._is_gone(lease):
                    raise
                problem = error.code
            except _READER_FAILED as error:
                problem = error.code
            except Bitrix24Error as error:
                return error.code[:64]
            else:
                return None if complete else INCOMPLETE
        return problem

    # The people

    def _read_people(self, lease: Lease, calls: CallRecords) -> int | None:
        """Read whom the bucket has room for; return how many requests the rest takes, None for no rest."""
        errands, left = self._next_tasks(lease)
        may_be_silent = _max_unanswered(len(errands), left, attempts=lease.run.attempts)
        silent: list[PersonResult] = []
        answered = lease.run.done > 0
        for task in errands:
            if self.stopping():
                break
            told = self._read_person(lease, task, calls)
            if isinstance(told, NotAnswered):
                silent.append(PersonResult(task, problem=told.code))
                if len(silent) > may_be_silent:
                    raise told
                continue
            self._save_results(lease, [*silent, told], calls)
            silent, answered = [], True
        if silent and not left and not self.stopping():
            if not answered:
                raise NotAnswered(silent[0].problem or "")
            self._save_results(lease, silent, calls)
            silent = []
        if left or silent or self.stopping():
            return min(left or len(silent), MIN_SLICE_PEOPLE)
        return None

    def _read_person(self, lease: Lease, task: PersonTask, calls: CallRecords) -> PersonResult | NotAnswered:
        """Return what is known of the person now.

        :raise RefreshBusy: the run comes back to them later. After MAX_RENEWAL_WAITS they have failed.
        """
        try:
            return sync_person(
                self._snapshots,
                lease.portal,
                task,
                is_gone=lambda: self._is_gone(lease),
                record=calls.add,
            )
        except RefreshBusy as busy:
            if lease.run.attempts < MAX_REFRESH_WAITS:
                raise
            return PersonResult(task, problem=busy.code)

    def _next_tasks(self, lease: Lease) -> tuple[Sequence[PersonTask], int]:
        """Return whom to read now, their requests taken from the bucket, and how many more there are.

        :raise MethodPaused: the method rests.
        """
        now = self._now()

        def take(session: Session) -> tuple[Sequence[PersonTask], int]:
            rest_until = rate_limits.paused_until(session, lease.portal.id, METHOD, now=now.timestamp())
            if rest_until > now.timestamp():
                raise MethodPaused("OPERATION_TIME_LIMIT", resets_at=rest_until)
            errands = next_tasks(session, lease, now=now, limit=MAX_SLICE_PEOPLE + MIN_SLICE_PEOPLE)
            costs = [task.cost for task in errands[:MAX_SLICE_PEOPLE]]
            allowed = rate_limits.reserve(session, lease.portal.id, now=now.timestamp(), costs=costs)
            return errands[:allowed], len(errands) - allowed

        return self._runs.write(lease, take)

    def _save_results(self, lease: Lease, outcomes: Sequence[PersonResult], calls: CallRecords) -> None:
        """Store what was learned and move the run past these people, or neither."""
        failed = sum(told.problem is not None for told in outcomes)

        def keep(session: Session) -> None:
            self._runs.change(
                session,
                lease,
                uncancelled=True,
                cursor=outcomes[-1].task.person.id,
                done=Run.done + len(outcomes) - failed,
                failed=Run.failed + failed,
                attempts=0,
            )
            taken = sum(told.task.cost for told in outcomes)
            calls.write(session, taken=taken)
            for told in outcomes:
                save_result(session, lease.portal, told)

        self._runs.write(lease, keep)
        lease.run.attempts = 0

    # The end of a slice

    def _release_until_room(self, lease: Lease, *, requests: int) -> None:
        now = self._now()
        with self._database.read_session() as session:
            seconds = rate_limits.seconds_until(session, lease.portal.id, now=now.timestamp(), requests=requests)
        self._runs.release(lease, at=now + timedelta(seconds=seconds))

    def _wait_for_refresh(self, lease: Lease, busy: RefreshBusy) -> None:
        """Go on when the lease of somebody's token has ended: a killed process renews it no more."""
        if lease.run.attempts >= MAX_REFRESH_WAITS:
            self._postpone(lease, busy)
            return
        self._runs.release(lease, at=max(busy.until, self._now()), attempts=lease.run.attempts + 1)

    def _pause(self, lease: Lease, error: MethodPaused) -> None:
        now = self._now()
        # The portal tells the moment by a clock of its own; it is within the window it counts over.
        latest = (now + rate_limits.OPERATING_WINDOW).timestamp()
        until = min(error.resets_at or latest, latest)
        self._runs.write(lease, lambda session: rate_limits.pause(session, lease.portal.id, METHOD, until=until))
        self._postpone(lease, error, by=max(timedelta(seconds=until - now.timestamp()), timedelta(seconds=1)))

    def _postpone(self, lease: Lease, error: Bitrix24Error, *, by: timedelta | None = None) -> None:
        """Let the run rest, longer each time; one that rested in vain too often has failed."""
        attempts = lease.run.attempts + 1
        if attempts > len(RETRY_DELAYS):
            self._end(lease, RunState.FAILED, error=error.code)
            return
        log.warning("run_postponed", portal=lease.portal.id, code=error.code, attempts=attempts)
        self._runs.release(
            lease,
            at=self._now() + (by or RETRY_DELAYS[attempts - 1]),
            state=RunState.POSTPONED,
            error=error.code[:64],
            attempts=attempts,
        )

    def _end(self, lease: Lease, state: RunState, *, error: str | None = None) -> None:
        self._runs.finish(lease, state=state, error=error[:64] if error is not None else None)
        log.info("run_ended", portal=lease.portal.id, run=lease.run.id, state=str(state), code=error)

    def _end_canceled(self, lease: Lease) -> None:
        """End the run if it was cancelled; leave it alone if it is another's, or gone with its portal."""
        try:
            self._end(lease, RunState.CANCELLED)
        except LostLease:
            log.info("lease_lost", portal=lease.portal.id, run=lease.run.id)

    def _is_gone(self, lease: Lease) -> bool:
        with self._database.read_session() as session:
            return session.get(Run, lease.run.id) is None


def _max_unanswered(errands: int, left: int, *, attempts: int) -> int:
    """Return how many people one after another may go unanswered by something about themselves.

    Two: then it is the portal that is silent. But neighbours over whom a portal's own server stumbles
    would end every night's run before those behind them, so each rest in vain lets one more be such a
    person; fewer than a slice has, or nobody would ever tell that the rest was in vain.
    """
    some = 1 + attempts
    return max(1, min(some, errands - 1)) if left else some
