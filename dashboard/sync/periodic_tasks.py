"""Run periodic tasks: plan runs, refresh idle tokens, delete old rows, vacuum, recompute columns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile

import structlog
from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import Bitrix24Error, PortalRefused
from dashboard.core.database import Base, Database, delete_in_batches, execute_and_count, insert_or_ignore, time_limit
from dashboard.core.database_errors import is_conflict
from dashboard.core.stored_times import MAX_CLOCK_SKEW, ahead, due, is_due
from dashboard.models import (
    OAuthToken,
    PeriodicTask,
    Person,
    Portal,
    PortalState,
    Run,
    SettingChange,
    Snapshot,
    ThrottleCount,
    TokenState,
)
from dashboard.monitoring.readiness import HEARTBEAT
from dashboard.people import history, indexed_columns, snapshot_store
from dashboard.people.company_hours import update_company_hours
from dashboard.people.name_columns import update_name_columns
from dashboard.portals import call_log, deletion, throttle
from dashboard.portals.call_log import CallLog
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.runs import Runs
from dashboard.sync.schedule import MAX_TIME_TO_NEXT_RUN
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

# A worker of the previous version, which computes other columns, must not claim it during an upgrade.
RECOMPUTE = f"columns {indexed_columns.COLUMNS_VERSION}"
INTERVALS: Mapping[str, timedelta] = {
    HEARTBEAT: timedelta(seconds=30),
    "plan": timedelta(minutes=1),
    RECOMPUTE: timedelta(minutes=1),
    "idle": timedelta(hours=1),
    "purge": timedelta(hours=1),
    "vacuum": timedelta(minutes=10),  # security.md says how long deleted rows remain
    deletion.TASK: timedelta(minutes=1),
}
MAX_PORTALS, MAX_TOKENS = 500, 50  # in one run of a task
MAX_PEOPLE = 200  # in one transaction
RECOMPUTE_PAUSE_SECONDS = 0.02
# A refresh token expires after 180 days (Bitrix24 REST docs, oauth/auto-renewal.md).
IDLE_DAYS, SPREAD_DAYS = 150, 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUN_RETENTION = timedelta(days=30)
MAX_PURGE_SECONDS = 600.0  # for each table
# If a purge was due longer ago, or is due later than our clock would plan it, another clock has planned it. One of the
# two may be wrong and would delete what is too young, so the purge is left out until a clock finds its own plan.
MAX_PURGE_DELAY = timedelta(days=1)
# Every table with rows of a portal; a new one is included by its foreign key.
VACUUMED_TABLES = tuple(
    table.name for table in Base.metadata.sorted_tables if table.foreign_keys or table.name == Portal.__tablename__
)


@dataclass(frozen=True, kw_only=True)
class PeriodicTasks:
    """The tasks of all workers. A worker claims a task by setting its next time, so that no other one runs it.

    While a task runs for longer than half of its interval, its worker claims it again and again without starting it.
    So no other worker starts it, unless its worker cannot reach the database meanwhile; and the task of a killed worker
    is due after its interval.
    """

    database: Database
    runs: Runs
    token_refresher: TokenRefresher
    call_log: CallLog
    now: Callable[[], datetime]
    stopping: threading.Event = field(default_factory=threading.Event)  # when set, tasks end after their current row
    _running: set[str] = field(default_factory=set)  # names, in this process
    _postponed: set[str] = field(default_factory=set)  # names of claimed tasks that are left out this time

    def claim_due(self) -> list[str]:
        """Return the names of the due tasks that this worker has claimed and has to run."""
        now = self.now()
        running = self._running.copy()  # one that ends meanwhile is not started before its interval has passed
        due_by = {name: now + wait / 2 if name in running else now for name, wait in INTERVALS.items()}
        with self.database.read_session() as session:
            next_at = {task.name: task.next_at for task in session.scalars(select(PeriodicTask))}
        names = [name for name, by in due_by.items() if is_due(next_at.get(name, now), by, max_wait=INTERVALS[name])]
        claimed = [name for name in names if self._claim(name, now, due_by[name]) and name not in running]
        if "purge" in claimed and not _is_clock_plausible(next_at.get("purge", now), now):
            self._postponed.add("purge")
        return claimed

    def run(self, name: str) -> None:
        """Run the task. The heartbeat has nothing to run, because the claim itself shows that a worker is alive."""
        tasks: Mapping[str, Callable[[], object]] = {
            "plan": self.plan_runs,
            RECOMPUTE: self.recompute_outdated_columns,
            "idle": self.refresh_idle_tokens,
            "purge": self.purge,
            "vacuum": partial(self.database.purge_deleted_rows, VACUUMED_TABLES),
            deletion.TASK: self.finish_deletions,
        }
        if name == HEARTBEAT:
            return
        if name in self._postponed:
            self._postponed.discard(name)
            return
        self._running.add(name)
        try:
            tasks[name]()
        finally:
            self._running.discard(name)

    def _claim(self, name: str, now: datetime, due_by: datetime) -> bool:
        conditions = (PeriodicTask.name == name, due(PeriodicTask.next_at, due_by, max_wait=INTERVALS[name]))
        with self.database.write_session() as session:
            insert_or_ignore(session, PeriodicTask, [{"name": name, "next_at": now}])
            claim = update(PeriodicTask).where(*conditions).values(next_at=now + INTERVALS[name])
            return execute_and_count(session, claim) == 1

    def plan_runs(self) -> None:
        """Start the daily runs that are due, and plan the first one of each new portal."""
        now = self.now()
        due_portals = (
            select(Portal)
            .where(Portal.state != PortalState.UNINSTALLED, _is_run_due(now))
            .order_by(Portal.next_run_at)
            .limit(MAX_PORTALS)
        )
        with self.database.read_session() as session:
            portals = session.scalars(due_portals).all()
        for portal in takewhile(self._may_continue, portals):
            self._write_unless_locked(partial(self._plan_run, portal=portal, now=now), durable=False)

    def _plan_run(self, session: Session, *, portal: Portal, now: datetime) -> None:
        """Plan one portal's run, unless another worker or the end of a run has just done so."""
        if not lock_portal(session, portal):
            return
        current = session.scalar(select(Portal).where(Portal.id == portal.id, _is_run_due(now)))
        if current is None:
            return
        if current.next_run_at is not None:
            self.runs.ensure(session, current, by=None)
        current.next_run_at = self.runs.next_run_at(session, current)

    def recompute_outdated_columns(self) -> None:
        """Recompute the indexed columns that an older version of the code has written.

        After an upgrade *Team* lacks what these columns show, so this goes on until everyone is done, with pauses in
        which others write. People of a portal that another session has locked are left for the next time.
        """
        last_id, is_over = 0, self._time_limit()
        while (rows := self._outdated_people(last_id)) and not is_over():
            by_portal: dict[int, tuple[Portal, list[int]]] = {}
            for portal, person_id in rows:
                by_portal.setdefault(portal.id, (portal, []))[1].append(person_id)
            for portal, person_ids in takewhile(self._may_continue, by_portal.values()):
                self._write_unless_locked(partial(_recompute_people, portal=portal, person_ids=person_ids))
            last_id = rows[-1][1]
            self.stopping.wait(RECOMPUTE_PAUSE_SECONDS)

    def _outdated_people(self, last_id: int) -> Sequence[Row[Portal, int]]:
        is_outdated = Person.columns_version < indexed_columns.COLUMNS_VERSION
        outdated = (
            select(Portal, Person.id)
            .join(Person, Person.portal_id == Portal.id)
            .where(is_outdated, Person.id > last_id, Portal.state != PortalState.UNINSTALLED)
            .order_by(Person.id)
            .limit(MAX_PEOPLE)
        )
        with self.database.read_session() as session:
            return session.execute(outdated).all()

    def _write_unless_locked(self, work: Callable[[Session], object], *, durable: bool = True) -> bool:
        """Write, and return False if another session keeps a row locked: one portal must not stop the others."""
        try:
            self.database.write(work, durable=durable)
        except OperationalError as error:
            if not is_conflict(error):
                raise
            return False
        return True

    def refresh_idle_tokens(self) -> None:
        """Refresh tokens that have not been used for five months, before Bitrix24 lets them expire.

        Tokens whose refresh fails come first again the next time. So the portals take turns.
        """
        now = self.now()
        place = func.row_number().over(partition_by=Person.portal_id, order_by=(OAuthToken.renewed_at, Person.id))
        idle_people = (
            select(Person.id, OAuthToken.renewed_at, place.label("place"))
            .join(OAuthToken, OAuthToken.person_id == Person.id)
            .where(OAuthToken.state == TokenState.VALID, _is_idle(now))
            .subquery()
        )
        idle = (
            select(Portal, Person)
            .join(Person, Person.portal_id == Portal.id)
            .join(idle_people, idle_people.c.id == Person.id)
            .where(Portal.state == PortalState.ACTIVE)
            .order_by(idle_people.c.place, idle_people.c.renewed_at)
            .limit(MAX_TOKENS)
        )
        with self.database.read_session() as session:
            rows = session.execute(idle).all()
        refused_portals = set[int]()
        for portal, person in takewhile(self._may_continue, rows):
            if portal.id not in refused_portals and not self._refresh_token(portal, person):
                refused_portals.add(portal.id)

    def _refresh_token(self, portal: Portal, person: Person) -> bool:
        """Return False if the portal's other tokens would be refused too."""
        with self.call_log.collect(portal) as calls:
            try:
                self.token_refresher.refresh(portal, person, record_call=calls.add)
            except Bitrix24Error as error:
                log.warning("idle_token_not_refreshed", portal=portal.id, person=person.id, code=error.code)
                return not isinstance(error, PortalRefused)
            except OperationalError as error:
                if not is_conflict(error):
                    raise
                return False
        return True

    def purge(self) -> None:
        """Delete what is too old to keep; after MAX_PURGE_SECONDS for each table leave the rest to the next purge."""
        now = self.now()
        call_log.purge(self.database, now=now, should_stop=self._time_limit())
        expired: dict[type[Base], ColumnElement[bool]] = {
            ThrottleCount: ThrottleCount.at < now - throttle.RETENTION,
            SettingChange: SettingChange.changed_at < now - history.RETENTION,
            Run: Run.finished_at < now - RUN_RETENTION,
        }
        for table, is_expired in expired.items():
            delete_in_batches(self.database, table, is_expired, should_stop=self._time_limit())

    def finish_deletions(self) -> None:
        """Continue unfinished deletions of portals' data until the task is due again."""
        seconds = INTERVALS[deletion.TASK].total_seconds()
        deletion.delete_all_former_portals(self.database, should_stop=self._time_limit(seconds))

    def _time_limit(self, seconds: float = MAX_PURGE_SECONDS) -> Callable[[], bool]:
        is_over = time_limit(seconds)
        return lambda: self.stopping.is_set() or is_over()

    def _may_continue(self, _row: object) -> bool:
        return not self.stopping.is_set()


def _is_clock_plausible(next_purge_at: datetime, now: datetime) -> bool:
    """Tell whether the clock that planned a purge agrees with ours; if not, this purge is left out."""
    is_plausible = -INTERVALS["purge"] - MAX_CLOCK_SKEW <= now - next_purge_at <= MAX_PURGE_DELAY
    if not is_plausible:
        log.warning("purge_postponed", seconds=round((now - next_purge_at).total_seconds()))
    return is_plausible


def _is_run_due(now: datetime) -> ColumnElement[bool]:
    return or_(Portal.next_run_at.is_(None), due(Portal.next_run_at, now, max_wait=MAX_TIME_TO_NEXT_RUN))


def _is_idle(now: datetime) -> ColumnElement[bool]:
    """Return whether a token is old enough.

    The age depends on the person, so that a company's tokens are not all refreshed at once.
    """
    ages = (timedelta(days=IDLE_DAYS + number) for number in range(SPREAD_DAYS))
    spread = (
        and_(Person.id % SPREAD_DAYS == number, OAuthToken.renewed_at < now - age) for number, age in enumerate(ages)
    )
    # A time in the future was written by a wrong clock, so the token may be old.
    return or_(*spread, ahead(OAuthToken.renewed_at, now, max_wait=timedelta(days=1)))


def _recompute_people(session: Session, *, portal: Portal, person_ids: Sequence[int]) -> None:
    if not lock_portal(session, portal):
        return
    current = session.get_one(Portal, portal.id)
    people = (
        select(Person, Snapshot)
        .outerjoin(Snapshot, Snapshot.person_id == Person.id)
        .where(Person.id.in_(person_ids), Person.portal_id == portal.id)
    )
    # One at a time: together, the values of two hundred large snapshots may take half a gigabyte.
    for person, snapshot in session.execute(people.execution_options(yield_per=1)):
        settings = snapshot_store.parse_snapshot(person, snapshot or Snapshot(errors={}, taken_at=EPOCH))
        indexed_columns.update_indexed_columns(person, settings)
        update_name_columns(person)
        if current.work_start is None:
            update_company_hours(session, current, person, settings)
        if snapshot is not None:
            session.expunge(snapshot)
