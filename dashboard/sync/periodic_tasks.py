"""What the workers do together now and then: plan runs, keep idle chains alive, purge, take facts anew."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

import structlog
from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import Bitrix24Error, PortalRefused
from dashboard.core.database import Database, insert_or_ignore, rows_changed
from dashboard.core.stored_times import ahead, due, is_due
from dashboard.models import OAuthToken, PeriodicTask, Person, Portal, PortalState, Run, Snapshot, TokenState
from dashboard.monitoring.readiness import HEARTBEAT
from dashboard.people import indexed_columns, snapshots
from dashboard.portals import call_log, throttle, vacuum
from dashboard.portals.call_log import CallLog
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.runs import Runs
from dashboard.sync.schedule import MAX_WAIT
from dashboard.tokens.refresh import TokenRefresher

log = structlog.get_logger()

INTERVALS: Mapping[str, timedelta] = {
    HEARTBEAT: timedelta(seconds=30),
    "plan": timedelta(minutes=1),
    "facts": timedelta(minutes=1),
    "idle": timedelta(hours=1),
    "purge": timedelta(hours=1),
    vacuum.TASK: timedelta(hours=1),
}
MAX_PORTALS = 500
MAX_PEOPLE = 200
MAX_TOKENS = 50
# A refresh token lives 180 days (oauth/auto-renewal.md); idle chains are renewed about day 150, spread out.
IDLE_DAYS, SPREAD_DAYS = 150, 10
RUN_RETENTION = timedelta(days=30)


class PeriodicTasks:
    """Each is claimed by moving its row on; whoever loses leaves it to the winner."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        token_refresher: TokenRefresher,
        call_log: CallLog,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._runs = runs
        self._token_refresher = token_refresher
        self._call_log = call_log
        self._now = now
        self._work: Mapping[str, Callable[[], object]] = {
            HEARTBEAT: lambda: None,
            "plan": self.plan,
            "facts": self.update_indexed_columns,
            "idle": self.refresh_idle_tokens,
            "purge": self.purge,
            vacuum.TASK: lambda: vacuum.vacuum_if_requested(self._database),
        }

    def due(self) -> list[str]:
        """Return the chores that are due and ours to do now; nobody else does them before the next time."""
        now = self._now()
        with self._database.read_session() as session:
            rows = {row.name: row.next_at for row in session.scalars(select(PeriodicTask))}
        waiting = [name for name in INTERVALS if name not in rows or is_due(rows[name], now, max_wait=INTERVALS[name])]
        return [name for name in waiting if self._claim(name, now)]

    def run(self, name: str) -> None:
        """Do one chore."""
        self._work[name]()

    def _claim(self, name: str, now: datetime) -> bool:
        with self._database.write_session() as session:
            insert_or_ignore(session, PeriodicTask, [{"name": name, "next_at": now}])
            claim = update(PeriodicTask).where(
                PeriodicTask.name == name, due(PeriodicTask.next_at, now, max_wait=INTERVALS[name])
            )
            return rows_changed(session, claim.values(next_at=now + INTERVALS[name])) == 1

    def plan(self) -> None:
        """Begin the runs whose quiet hour has come; give portals without one theirs."""
        now = self._now()
        found = select(Portal).where(Portal.state != PortalState.UNINSTALLED, _is_to_plan(now))
        with self._database.read_session() as session:
            portals = session.scalars(found.order_by(Portal.next_run_at).limit(MAX_PORTALS)).all()
        for portal in portals:
            self._database.write(partial(self._plan, portal=portal, now=now), durable=False)

    def _plan(self, session: Session, *, portal: Portal, now: datetime) -> None:
        """Plan one portal's run, unless another worker or the end of a run has just done it."""
        if not lock_portal(session, portal):
            return
        present = session.scalar(select(Portal).where(Portal.id == portal.id, _is_to_plan(now)))
        if present is None:
            return
        if present.next_run_at is not None:
            self._runs.ensure(session, present, by=None)
        present.next_run_at = self._runs.set_next_off_peak(session, present)

    def update_indexed_columns(self) -> None:
        """Read stored settings anew for people whose facts are of an older version than the code."""
        old = (
            select(Portal, Person.id)
            .join(Person, Person.portal_id == Portal.id)
            .join(Snapshot, Snapshot.person_id == Person.id)
            .where(
                Person.facts_version < indexed_columns.COLUMNS_VERSION,
                Portal.state != PortalState.UNINSTALLED,
            )
            .order_by(Portal.id)
            .limit(MAX_PEOPLE)
        )
        with self._database.read_session() as session:
            rows = session.execute(old).all()
        for portal, group in groupby(rows, key=lambda row: row[0]):
            people = [person_id for _, person_id in group]
            self._database.write(partial(_update_indexed_columns, portal=portal, people=people))

    def refresh_idle_tokens(self) -> None:
        """Renew chains nobody has used for five months, before Bitrix24 forgets them."""
        now = self._now()
        found = (
            select(Portal, Person, OAuthToken.renewed_at)
            .join(Person, Person.portal_id == Portal.id)
            .join(OAuthToken, OAuthToken.person_id == Person.id)
            .where(Portal.state == PortalState.ACTIVE, OAuthToken.state == TokenState.VALID)
            .where(or_(OAuthToken.renewed_at < now - timedelta(days=IDLE_DAYS), _is_misdated(now)))
            .order_by(OAuthToken.renewed_at)
            .limit(MAX_TOKENS * SPREAD_DAYS)
        )
        with self._database.read_session() as session:
            idle = session.execute(found).all()
        chosen = [
            (portal, person)
            for portal, person, renewed_at in idle
            if renewed_at > now or now - renewed_at > _refresh_age(person)
        ]
        refused = set[int]()
        for portal, person in chosen[:MAX_TOKENS]:
            if portal.id not in refused and isinstance(self._refresh_token(portal, person), PortalRefused):
                # Its other chains would fare no better; the portal's state keeps it away from here now.
                refused.add(portal.id)

    def _refresh_token(self, portal: Portal, person: Person) -> Bitrix24Error | None:
        failure: Bitrix24Error | None = None
        with self._call_log.unit(portal) as calls:
            try:
                self._token_refresher.refresh(portal, person, record=calls.add)
            except Bitrix24Error as error:
                failure = error
                log.warning("idle_chain_not_renewed", portal=portal.id, person=person.id, code=error.code)
        return failure

    def purge(self) -> None:
        """Delete remembered calls, counted refusals and ended runs that are past their time."""
        now = self._now()
        ended = delete(Run).where(Run.finished_at < now - RUN_RETENTION)
        # Each on its own: they lock rows of many portals.
        self._database.write(lambda session: call_log.purge(session, now=now))
        self._database.write(lambda session: throttle.purge(session, now=now))
        self._database.write(lambda session: rows_changed(session, ended))


def _is_to_plan(now: datetime) -> ColumnElement[bool]:
    return or_(Portal.next_run_at.is_(None), due(Portal.next_run_at, now, max_wait=MAX_WAIT))


def _is_misdated(now: datetime) -> ColumnElement[bool]:
    """Return whether a pair was dated by a clock that was ahead: its true age is not known."""
    return ahead(OAuthToken.renewed_at, now, max_wait=timedelta(days=1))


def _update_indexed_columns(session: Session, *, portal: Portal, people: Sequence[int]) -> None:
    if not lock_portal(session, portal):
        return
    found = (
        select(Person, Snapshot)
        .join(Snapshot, Snapshot.person_id == Person.id)
        .where(Person.id.in_(people), Person.portal_id == portal.id)
    )
    for person, snapshot in session.execute(found).all():
        indexed_columns.update_indexed_columns(person, snapshots.parse_snapshot(person, snapshot))


def _refresh_age(person: Person) -> timedelta:
    """Return after how many days this chain is renewed: its own, so that a company's do not come at once."""
    return timedelta(days=IDLE_DAYS + zlib.crc32(str(person.id).encode()) % SPREAD_DAYS)
