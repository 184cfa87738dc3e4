"""Runs in the store: asked for, leased to one worker at a time, moved on person by person, ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import ColumnElement, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from dashboard.core.database import Database, UTCDateTime, insert_or_ignore, rows_changed
from dashboard.core.stored_times import ahead, due
from dashboard.models import Person, Portal, PortalState, Run, RunState
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.progress import RunProgress, progress_of
from dashboard.sync.schedule import next_off_peak

T = TypeVar("T")

LEASE = timedelta(seconds=20)  # renewed by the worker's heartbeat; so long a killed worker's run rests
MAX_WAIT = timedelta(hours=4)  # the longest that a run is ever postponed


class LostLease(Exception):
    """The run is somebody else's now, or ended, or its installation did: whoever had it stops there."""


@dataclass(frozen=True)
class Lease:
    """The right to work on one run, until the owner hands it back or stops beating."""

    run: Run
    portal: Portal
    owner: str


class Runs:
    """The runs of all portals. Every change is one short transaction, or part of the caller's."""

    def __init__(self, *, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    # What people ask for

    def request(self, portal: Portal, *, by: int | None) -> RunProgress | None:
        """Begin a run and return how it stands; whoever asks second gets the one that is under way.

        A run that was postponed goes on at once when a person asks. None: the installation has just ended.
        """

        def ask(session: Session) -> bool:
            if not lock_portal(session, portal):
                return False
            self.ensure(session, portal, by=by)
            if by is not None:
                session.execute(
                    update(Run)
                    .where(Run.portal_id == portal.id, Run.state == RunState.POSTPONED)
                    .values(next_slice_at=self._now(), attempts=0)
                )
            return True

        return self.progress(portal) if self._database.write(ask) else None

    def ensure(self, session: Session, portal: Portal, *, by: int | None) -> None:
        """Insert a run where none is under way; two at once make one. The caller has locked the portal."""
        now = self._now()
        new = {
            "portal_id": portal.id,
            "generation": portal.generation,
            "asked_by": by,
            "state": RunState.WAITING,
            "next_slice_at": now,
            "created_at": now,
            "directory_read": False,
            "cancel": False,
            **dict.fromkeys(("total", "done", "failed", "cursor", "last", "attempts"), 0),
        }
        insert_or_ignore(session, Run, [new])

    def cancel(self, portal: Portal) -> bool:
        """End the run under way: at once where nobody works on it, else after the person being read.

        False: the installation has just ended, and its runs with it.
        """

        def cancel(session: Session) -> bool:
            if not lock_portal(session, portal):
                return False
            unfinished = (Run.portal_id == portal.id, Run.finished_at.is_(None))
            session.execute(update(Run).where(*unfinished).values(cancel=True))
            session.execute(
                update(Run)
                .where(*unfinished, _is_unleased(self._now()))
                .values(state=RunState.CANCELLED, finished_at=self._now())
            )
            return True

        return self._database.write(cancel)

    def progress(self, portal: Portal) -> RunProgress | None:
        """Return how the newest run of this installation stands, None where there never was one."""
        newest = (
            select(Run)
            .where(Run.portal_id == portal.id, Run.generation == portal.generation)
            .order_by(Run.created_at.desc(), Run.id.desc())
            .limit(1)
        )
        with self._database.read_session() as session:
            run = session.scalar(newest)
            return progress_of(session, run, now=self._now()) if run else None

    # What workers do

    def seconds_to_next(self, *, at_most: float) -> float:
        """Return how long no run will be due."""
        now = self._now()
        moments = case((_is_due(now), literal(now, UTCDateTime())), else_=Run.next_slice_at)
        earliest = select(func.min(moments)).where(Run.finished_at.is_(None), _is_unleased(now))
        with self._database.read_session() as session:
            moment = session.scalar(earliest)
        return at_most if moment is None else min(at_most, max(0.0, (moment - now).total_seconds()))

    def claim(self, *, limit: int, portal_id: int | None = None) -> list[Lease]:
        """Lease up to ``limit`` due runs, the longest due first, or the one of a portal.

        Two workers that claim at once share the runs: on Postgres each skips the rows that the other has
        just locked, on SQLite the later one finds the leases of the earlier one.
        """
        now = self._now()
        conditions = [Run.finished_at.is_(None), _is_due(now), _is_unleased(now)]
        if portal_id is not None:
            conditions.append(Run.portal_id == portal_id)
        found = (
            select(Run, Portal)
            .join(Portal, Portal.id == Run.portal_id)
            .where(*conditions)
            .order_by(Run.next_slice_at)
            .limit(limit)
            .with_for_update(of=Run, skip_locked=True)
        )
        # A power cut ends all workers, and their leases with them: nothing to wait for the disk for.
        leases = []
        with self._database.write_session(durable=False) as session:
            for run, portal in session.execute(found).all():
                if portal.generation == run.generation and portal.state != PortalState.UNINSTALLED:
                    leases.append(_leased(run, portal, now=now))
                else:
                    # Left over from an installation before this one: nobody waits for it any more.
                    run.state, run.error, run.finished_at = RunState.FAILED, "installation_ended", now
        return leases

    def acquire(self, portal_id: int) -> Lease | None:
        """Lease the portal's run; None where none is due or another worker has it."""
        return next(iter(self.claim(limit=1, portal_id=portal_id)), None)

    def heartbeat(self, owners: Iterable[str]) -> None:
        """Renew these leases: their worker is alive, however long the portal takes to answer."""
        now = self._now()
        with self._database.write_session(durable=False) as session:
            session.execute(
                update(Run).where(Run.lease_owner.in_(list(owners))).values(lease_until=now + LEASE, heartbeat_at=now)
            )

    def write(self, lease: Lease, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction that holds the portal's lock (see locks.py).

        :raise LostLease: the installation has ended.
        """

        def locked(session: Session) -> T:
            if not lock_portal(session, lease.portal):
                raise LostLease
            return work(session)

        return self._database.write(locked)

    def change(self, session: Session, lease: Lease, *, uncancelled: bool = False, **values: Any) -> None:
        """Change the leased run in the caller's transaction.

        :raise LostLease: it is no longer this owner's, or cancelled; nothing of the transaction may stay.
        """
        conditions = [Run.id == lease.run.id, Run.lease_owner == lease.owner, Run.finished_at.is_(None)]
        if uncancelled:
            conditions.append(Run.cancel.is_(False))
        if not rows_changed(session, update(Run).where(*conditions).values(**values)):
            raise LostLease

    def release(self, lease: Lease, *, at: datetime, **values: Any) -> None:
        """Give the lease back; the run is due again at that moment.

        :raise LostLease: it is somebody else's, or was cancelled while it was worked on.
        """
        free = {"lease_owner": None, "lease_until": None, "next_slice_at": at}
        self.write(lease, lambda session: self.change(session, lease, uncancelled=True, **{**free, **values}))

    def finish(self, lease: Lease, *, state: RunState, error: str | None = None) -> None:
        """End the run, and plan the portal's next one for a quiet hour of its own."""
        end: dict[str, Any] = {"state": state, "error": error, "finished_at": self._now()}

        def finish(session: Session) -> None:
            self.change(session, lease, lease_owner=None, lease_until=None, **end)
            session.execute(
                update(Portal)
                .where(Portal.id == lease.portal.id)
                .values(next_run_at=self.set_next_off_peak(session, lease.portal))
            )

        self.write(lease, finish)

    def set_next_off_peak(self, session: Session, portal: Portal) -> datetime:
        """Return the portal's next quiet hour, where most of its people are."""
        commonest = (
            select(Person.calendar_zone)
            .where(Person.portal_id == portal.id, Person.calendar_zone != "")
            .group_by(Person.calendar_zone)
            .order_by(func.count().desc(), Person.calendar_zone)
            .limit(1)
        )
        return next_off_peak(self._now(), session.scalar(commonest) or "", member_id=portal.member_id)


def _leased(run: Run, portal: Portal, *, now: datetime) -> Lease:
    owner = uuid4().hex
    run.state, run.error = RunState.RUNNING, None
    run.lease_owner, run.lease_until, run.heartbeat_at = owner, now + LEASE, now
    run.started_at = run.started_at or now
    return Lease(run, portal, owner)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Return whether a run's moment has come; one that was last moved on later than now does not wait.

    The clock was set back since: what it wrote may lie hours ahead and yet no farther than MAX_WAIT.
    """
    last_moved_on = func.coalesce(Run.heartbeat_at, Run.created_at)
    return or_(due(Run.next_slice_at, now, max_wait=MAX_WAIT), ahead(last_moved_on, now))


def _is_unleased(now: datetime) -> ColumnElement[bool]:
    return or_(Run.lease_until.is_(None), due(Run.lease_until, now, max_wait=LEASE))
