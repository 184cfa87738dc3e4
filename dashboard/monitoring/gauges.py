"""Read gauges from the database at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.core.database import Database
from dashboard.core.version import VERSION
from dashboard.models import OAuthToken, PeriodicTask, Portal, PortalState, Run, RunState, TokenState
from dashboard.monitoring.readiness import HEARTBEAT, ReadinessProbe
from dashboard.portals.deletion import FORMER_GENERATION


@dataclass(frozen=True)
class DatabaseGauges(Collector):
    """The state of all portals and runs. Every instance that shares the database returns the same."""

    database: Database
    readiness: ReadinessProbe
    now: Callable[[], datetime]

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; without the database, only the version and `database_up`."""
        yield _gauge("build_info", "The version of this instance.", {VERSION: 1}, label="version")
        gauges = self._read_gauges()
        # A second wait for a database that did not answer would exceed Prometheus's time limit of ten seconds.
        is_up = gauges is not None and "database" not in self.readiness.check().down
        yield _gauge("database_up", "Whether the database answers and can be written to.", is_up)
        yield from gauges or ()

    def _read_gauges(self) -> list[Metric] | None:
        """Return the gauges, None if the database does not answer."""
        try:
            with self.database.read_session() as session:
                return list(_gauges(session, self.now()))
        except SQLAlchemyError:
            return None


def _gauges(session: Session, now: datetime) -> Iterator[Metric]:
    due = (Run.finished_at.is_(None), Run.next_slice_at <= now)
    waiting = (Run.state == RunState.RUNNING, Run.lease_owner.is_(None), Run.next_slice_at > now)
    # A run that was canceled under a lease keeps the lease, so finished runs do not count as overdue.
    unfinished = Run.finished_at.is_(None)
    overdue = {
        "chain": _seconds_since(session, OAuthToken.lease_until, now),
        "run": _seconds_since(session, Run.lease_until, now, unfinished),
    }
    portals = _by_state(session, Portal.state, PortalState, Portal.generation != FORMER_GENERATION)
    yield _gauge("portals", "Portals by state.", portals, label="state")
    yield _gauge("chains", "OAuth tokens by state.", _by_state(session, OAuthToken.state, TokenState), label="state")
    yield _gauge("runs", "Runs of the last 30 days by state.", _by_state(session, Run.state, RunState), label="state")
    yield _gauge("runs_due", "Runs that wait for a worker.", _count(session, *due))
    yield _gauge(
        "runs_due_oldest_seconds",
        "How long the first of these runs has waited.",
        _seconds_since(session, Run.next_slice_at, now, *due) or 0,
    )
    yield _gauge("runs_waiting_for_limit", "Runs that wait for their portal's rate limit.", _count(session, *waiting))
    yield _gauge(
        "lease_overdue_seconds",
        "How long ago the oldest unreleased lease expired.",
        {name: seconds or 0 for name, seconds in overdue.items()},
        label="of",
    )
    late = _seconds_since(session, PeriodicTask.next_at, now, PeriodicTask.name == HEARTBEAT)
    if late is not None:
        yield _gauge("worker_late_seconds", "How long a worker's heartbeat has been due.", late)


def _gauge(name: str, text: str, value: float | Mapping[str, float], *, label: str = "") -> Metric:
    """Return a gauge with one value, or with a value per label."""
    family = GaugeMetricFamily(f"dashboard_{name}", text, labels=[label] if label else [])
    for key, number in value.items() if isinstance(value, Mapping) else [("", value)]:
        family.add_metric([key] if label else [], number)
    return family


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Run).where(*conditions)) or 0


def _by_state(
    session: Session,
    column: InstrumentedAttribute[str],
    states: type[PortalState | TokenState | RunState],
    *conditions: ColumnElement[bool],
) -> dict[str, float]:
    query = select(column, func.count()).where(*conditions).group_by(column)
    counts = {row[0]: row[1] for row in session.execute(query)}
    return {state: counts.get(state, 0) for state in states}


def _seconds_since(
    session: Session,
    column: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    now: datetime,
    *conditions: ColumnElement[bool],
) -> float | None:
    """Return how long ago the column's earliest time was, 0 if it is in the future, None without rows."""
    earliest = session.scalar(select(func.min(column)).where(*conditions))
    return max(0.0, (now - earliest).total_seconds()) if earliest is not None else None
