"""Store runs: request, lease, change, release and finish them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import ColumnElement, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from dashboard.core.database import Database, UTCDateTime, execute_and_count, insert_or_ignore
from dashboard.core.stored_times import ahead, due
from dashboard.models import Person, Portal, PortalState, Run, RunState
from dashboard.people.connection_state import colleague_conditions
from dashboard.portals import rate_limits
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.progress import RunProgress, progress_of
from dashboard.sync.schedule import next_off_peak

T = TypeVar("T")

# The worker's heartbeat extends the lease. If the worker is killed, another one continues after the lease has expired.
RUN_LEASE_DURATION = timedelta(seconds=20)
MAX_POSTPONEMENT = timedelta(hours=4)  # the longest that a run is ever postponed


class LostLease(Exception):
    """The run belongs to another worker, was canceled, or ended with its installation."""


@dataclass(frozen=True)
class Lease:
    """The right to work on a run, until it is released or no heartbeat extends it."""

    run: Run
    portal: Portal
    owner: str


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of all portals. Every change is one short transaction, or part of the caller's."""

    database: Database
    now: Callable[[], datetime]

    def request(self, portal: Portal, *, by: int | None) -> RunProgress | None:
        """Start a run, or return the unfinished one; a postponed run continues now if a person asks.

        Return None if the installation has just ended.
        """

        def insert_run(session: Session) -> bool:
            if not lock_portal(session, portal):
                return False
            self.ensure(session, portal, by=by)
            if by is not None:
                is_postponed = (Run.portal_id == portal.id, Run.state == RunState.POSTPONED)
                session.execute(update(Run).where(*is_postponed).values(next_slice_at=self.now(), attempts=0))
            return True

        return self.progress(portal) if self.database.write(insert_run) else None

    def ensure(self, session: Session, portal: Portal, *, by: int | None) -> None:
        """Insert a run unless the portal has an unfinished one. The caller has locked the portal."""
        run = {"portal_id": portal.id, "generation": portal.generation, "asked_by": by}
        insert_or_ignore(session, Run, [{**run, "next_slice_at": self.now(), "created_at": self.now()}])

    def cancel(self, portal: Portal) -> bool:
        """End the unfinished run: now, or after the current person if a worker has it.

        Return False if the installation has just ended, and its runs with it.
        """

        def mark_canceled(session: Session) -> bool:
            if not lock_portal(session, portal):
                return False
            unfinished = (Run.portal_id == portal.id, Run.finished_at.is_(None))
            session.execute(update(Run).where(*unfinished).values(cancel=True))
            values = {"state": RunState.CANCELED, "finished_at": self.now()}
            session.execute(update(Run).where(*unfinished, _is_unleased(self.now())).values(values))
            return True

        return self.database.write(mark_canceled)

    def progress(self, portal: Portal) -> RunProgress | None:
        """Return the progress of this installation's newest run, None if there is none."""
        newest = (
            select(Run)
            .where(Run.portal_id == portal.id, Run.generation == portal.generation)
            .order_by(Run.id.desc())  # a clock may have been ahead
            .limit(1)
        )
        with self.database.read_session() as session:
            run = session.scalar(newest)
            return progress_of(session, run, now=self.now()) if run else None

    def seconds_to_next(self, *, at_most: float) -> float:
        """Return the seconds until the next run is due."""
        now = self.now()
        due_at = case((_is_due(now), literal(now, UTCDateTime())), else_=Run.next_slice_at)
        earliest = select(func.min(due_at)).where(Run.finished_at.is_(None), _is_unleased(now))
        with self.database.read_session() as session:
            next_due = session.scalar(earliest)
        return at_most if next_due is None else min(at_most, max(0.0, (next_due - now).total_seconds()))

    def acquire(self, *, limit: int = 1, portal_id: int | None = None, excluded: Collection[int] = ()) -> list[Lease]:
        """Lease due runs, the longest due first: of one portal, or of all but the excluded ones.

        Simultaneous workers get different runs: on Postgres each skips the rows that another one has locked; on SQLite
        they write one after the other.
        """
        now = self.now()
        of_portal = Run.portal_id.not_in(excluded) if portal_id is None else Run.portal_id == portal_id
        due_runs = (
            select(Run, Portal)
            .join(Portal, Portal.id == Run.portal_id)
            .where(Run.finished_at.is_(None), _is_due(now), _is_unleased(now), of_portal)
            .order_by(Run.next_slice_at)
            .limit(limit)
            .with_for_update(of=Run, skip_locked=True)
        )
        leases = []
        # A power cut stops every worker, so losing this write is harmless.
        with self.database.write_session(durable=False) as session:
            for run, portal in session.execute(due_runs).all():
                if portal.generation == run.generation and portal.state != PortalState.UNINSTALLED:
                    leases.append(_lease(run, portal, now=now))
                else:
                    run.state, run.error, run.finished_at = RunState.FAILED, "installation_ended", now
        return leases

    def heartbeat(self, owners: Iterable[str]) -> None:
        """Extend these leases, so that they do not expire while a portal is slow."""
        now = self.now()
        values = {"lease_until": now + RUN_LEASE_DURATION, "heartbeat_at": now}
        with self.database.write_session(durable=False) as session:
            session.execute(update(Run).where(Run.lease_owner.in_(list(owners))).values(values))

    def write(self, lease: Lease, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction that holds the portal's lock (see portal_lock.py).

        :raise LostLease: the installation has ended.
        """

        def lock_and_work(session: Session) -> T:
            if not lock_portal(session, lease.portal):
                raise LostLease
            return work(session)

        return self.database.write(lock_and_work)

    def release(self, lease: Lease, *, at: datetime, **values: Any) -> None:
        """Release the lease; the run is due again at ``at``.

        :raise LostLease: another worker has the run, or it was canceled.
        """
        self.write(lease, lambda session: _release(session, lease, at=at, **values))

    def release_until_allowed(self, lease: Lease, *, requests: int) -> float:
        """Release the lease; the run is due when the portal's rate limit allows so many requests.

        :return: the seconds until then.
        :raise LostLease: another worker has the run, or it was canceled.
        """

        def compute_and_release(session: Session) -> float:
            now = self.now()
            seconds = rate_limits.seconds_until(session, lease.portal.id, now=now.timestamp(), requests=requests)
            _release(session, lease, at=now + timedelta(seconds=seconds))
            return seconds

        return self.write(lease, compute_and_release)

    def finish(self, lease: Lease, *, state: RunState, error: str | None = None) -> None:
        """End the run, and plan the portal's next one.

        :raise LostLease: another worker has the run.
        """
        columns: dict[str, Any] = {"state": state, "error": error, "finished_at": self.now()}

        def finish_and_plan(session: Session) -> None:
            change_run(session, lease, lease_owner=None, lease_until=None, **columns)
            values = {"next_run_at": self.next_run_at(session, lease.portal)}
            session.execute(update(Portal).where(Portal.id == lease.portal.id).values(values))

        self.write(lease, finish_and_plan)

    def next_run_at(self, session: Session, portal: Portal) -> datetime:
        """Return the portal's next off-peak time, in the time zone that most of its people have."""
        most_common = (
            select(Person.zone)
            .where(*colleague_conditions(portal), Person.zone != "")
            .group_by(Person.zone)
            .order_by(func.count().desc(), Person.zone)
            .limit(1)
        )
        return next_off_peak(self.now(), session.scalar(most_common) or "", member_id=portal.member_id)


def change_run(session: Session, lease: Lease, *, unless_canceled: bool = False, **values: Any) -> None:
    """Change the leased run in the caller's transaction.

    :raise LostLease: the run is no longer leased to this owner, or canceled; roll the transaction back.
    """
    conditions = [Run.id == lease.run.id, Run.lease_owner == lease.owner, Run.finished_at.is_(None)]
    if unless_canceled:
        conditions.append(Run.cancel.is_(False))
    if not execute_and_count(session, update(Run).where(*conditions).values(**values)):
        raise LostLease


def _release(session: Session, lease: Lease, *, at: datetime, **values: Any) -> None:
    columns = {"lease_owner": None, "lease_until": None, "next_slice_at": at, **values}
    change_run(session, lease, unless_canceled=True, **columns)


def _lease(run: Run, portal: Portal, *, now: datetime) -> Lease:
    run.state, run.error = RunState.RUNNING, None
    run.lease_owner, run.lease_until, run.heartbeat_at = uuid4().hex, now + RUN_LEASE_DURATION, now
    run.started_at = run.started_at or now
    return Lease(run, portal, run.lease_owner)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Return whether a run is due, also if its last change is in the future.

    Such a change was written by a clock that was ahead, so the time of the next slice is wrong by hours too, even if
    it is within MAX_POSTPONEMENT.
    """
    changed_at = func.coalesce(Run.heartbeat_at, Run.created_at)
    return or_(due(Run.next_slice_at, now, max_wait=MAX_POSTPONEMENT), ahead(changed_at, now))


def _is_unleased(now: datetime) -> ColumnElement[bool]:
    return or_(Run.lease_until.is_(None), due(Run.lease_until, now, max_wait=RUN_LEASE_DURATION))
