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
from dashboard.core.database import Database, insert_missing, rows_changed
from dashboard.core.stored_times import ahead, due, is_due
from dashboard.models import Chain, ChainState, Chore, Person, Portal, PortalState, Run, Snapshot
from dashboard.monitoring.readiness import HEARTBEAT
from dashboard.people import indexed_columns, snapshots
from dashboard.portals import call_log, throttle, vacuum
from dashboard.portals.call_log import CallLog
from dashboard.portals.portal_lock import lock_portal
from dashboard.sync.runs import Runs
from dashboard.sync.schedule import MAX_WAIT
from dashboard.tokens.refresh import LiveTokens

log = structlog.get_logger()

EVERY: Mapping[str, timedelta] = {
    HEARTBEAT: timedelta(seconds=30),
    "plan": timedelta(minutes=1),
    "facts": timedelta(minutes=1),
    "idle": timedelta(hours=1),
    "purge": timedelta(hours=1),
    vacuum.TASK: timedelta(hours=1),
}
PORTALS_AT_ONCE = 500
PEOPLE_AT_ONCE = 200
CHAINS_AT_ONCE = 50
# A refresh token lives 180 days (oauth/auto-renewal.md); idle chains are renewed about day 150, spread out.
IDLE_DAYS, SPREAD_DAYS = 150, 10
RUNS_KEPT = timedelta(days=30)


class Chores:
    """Each is claimed by moving its row on; whoever loses leaves it to the winner."""

    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        live: LiveTokens,
        call_log: CallLog,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._runs = runs
        self._live = live
        self._call_log = call_log
        self._now = now
        self._work: Mapping[str, Callable[[], object]] = {
            HEARTBEAT: lambda: None,
            "plan": self.plan,
            "facts": self.take_facts,
            "idle": self.renew_idle,
            "purge": self.purge,
            vacuum.TASK: lambda: vacuum.clear(self._database),
        }

    def due(self) -> list[str]:
        """Return the chores that are due and ours to do now; nobody else does them before the next time."""
        now = self._now()
        with self._database.reading() as session:
            rows = {row.name: row.next_at for row in session.scalars(select(Chore))}
        waiting = [
            name for name in EVERY if name not in rows or is_due(rows[name], now, max_wait=EVERY[name])
        ]
        return [name for name in waiting if self._claim(name, now)]

    def do(self, name: str) -> None:
        """Do one chore."""
        self._work[name]()

    def _claim(self, name: str, now: datetime) -> bool:
        with self._database.writing() as session:
            insert_missing(session, Chore, [{"name": name, "next_at": now}])
            claim = update(Chore).where(Chore.name == name, due(Chore.next_at, now, max_wait=EVERY[name]))
            return rows_changed(session, claim.values(next_at=now + EVERY[name])) == 1

    def plan(self) -> None:
        """Begin the runs whose quiet hour has come; give portals without one theirs."""
        now = self._now()
        found = select(Portal).where(Portal.state != PortalState.UNINSTALLED, _is_to_plan(now))
        with self._database.reading() as session:
            portals = session.scalars(found.order_by(Portal.next_run_at).limit(PORTALS_AT_ONCE)).all()
        for portal in portals:
            self._database.write(partial(self._plan, portal=portal, now=now), lasting=False)

    def _plan(self, session: Session, *, portal: Portal, now: datetime) -> None:
        """Plan one portal's run, unless another worker or the end of a run has just done it."""
        if not lock_portal(session, portal):
            return
        present = session.scalar(select(Portal).where(Portal.id == portal.id, _is_to_plan(now)))
        if present is None:
            return
        if present.next_run_at is not None:
            self._runs.plan(session, present, by=None)
        present.next_run_at = self._runs.next_quiet(session, present)

    def take_facts(self) -> None:
        """Read stored settings anew for people whose facts are of an older version than the code."""
        old = (
            select(Portal, Person.id)
            .join(Person, Person.portal_id == Portal.id)
            .join(Snapshot, Snapshot.person_id == Person.id)
            .where(Person.facts_version < indexed_columns.VERSION, Portal.state != PortalState.UNINSTALLED)
            .order_by(Portal.id)
            .limit(PEOPLE_AT_ONCE)
        )
        with self._database.reading() as session:
            rows = session.execute(old).all()
        for portal, group in groupby(rows, key=lambda row: row[0]):
            people = [person_id for _, person_id in group]
            self._database.write(partial(_take_facts, portal=portal, people=people))

    def renew_idle(self) -> None:
        """Renew chains nobody has used for five months, before Bitrix24 forgets them."""
        now = self._now()
        found = (
            select(Portal, Person, Chain.renewed_at)
            .join(Person, Person.portal_id == Portal.id)
            .join(Chain, Chain.person_id == Person.id)
            .where(Portal.state == PortalState.ACTIVE, Chain.state == ChainState.LIVE)
            .where(or_(Chain.renewed_at < now - timedelta(days=IDLE_DAYS), _is_misdated(now)))
            .order_by(Chain.renewed_at)
            .limit(CHAINS_AT_ONCE * SPREAD_DAYS)
        )
        with self._database.reading() as session:
            idle = session.execute(found).all()
        chosen = [
            (portal, person)
            for portal, person, renewed_at in idle
            if renewed_at > now or now - renewed_at > _patience(person)
        ]
        refused = set[int]()
        for portal, person in chosen[:CHAINS_AT_ONCE]:
            if portal.id not in refused and isinstance(self._renew(portal, person), PortalRefused):
                # Its other chains would fare no better; the portal's state keeps it away from here now.
                refused.add(portal.id)

    def _renew(self, portal: Portal, person: Person) -> Bitrix24Error | None:
        failure: Bitrix24Error | None = None
        with self._call_log.unit(portal) as calls:
            try:
                self._live.renew(portal, person, record=calls.add)
            except Bitrix24Error as error:
                failure = error
                log.warning("idle_chain_not_renewed", portal=portal.id, person=person.id, code=error.code)
        return failure

    def purge(self) -> None:
        """Delete remembered calls, counted refusals and ended runs that are past their time."""
        now = self._now()
        ended = delete(Run).where(Run.finished_at < now - RUNS_KEPT)
        # Each on its own: they lock rows of many portals.
        self._database.write(lambda session: call_log.purge(session, now=now))
        self._database.write(lambda session: throttle.purge(session, now=now))
        self._database.write(lambda session: rows_changed(session, ended))


def _is_to_plan(now: datetime) -> ColumnElement[bool]:
    return or_(Portal.next_run_at.is_(None), due(Portal.next_run_at, now, max_wait=MAX_WAIT))


def _is_misdated(now: datetime) -> ColumnElement[bool]:
    """Return whether a pair was dated by a clock that was ahead: its true age is not known."""
    return ahead(Chain.renewed_at, now, max_wait=timedelta(days=1))


def _take_facts(session: Session, *, portal: Portal, people: Sequence[int]) -> None:
    if not lock_portal(session, portal):
        return
    found = (
        select(Person, Snapshot)
        .join(Snapshot, Snapshot.person_id == Person.id)
        .where(Person.id.in_(people), Person.portal_id == portal.id)
    )
    for person, snapshot in session.execute(found).all():
        indexed_columns.store(person, snapshots.of(person, snapshots.stored(snapshot)))


def _patience(person: Person) -> timedelta:
    """Return after how many days this chain is renewed: its own, so that a company's do not come at once."""
    return timedelta(days=IDLE_DAYS + zlib.crc32(str(person.id).encode()) % SPREAD_DAYS)
