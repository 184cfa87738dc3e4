"""How things stand at this moment, for the operator's metrics: a few counting queries, no personal data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.core.database import Database
from dashboard.models import OAuthToken, PeriodicTask, Portal, PortalState, Run, RunState, TokenState
from dashboard.monitoring.readiness import HEARTBEAT


@dataclass(frozen=True)
class GaugeValues:
    """Counts by state, and seconds; zero where there is nothing to be late with."""

    portals: dict[str, int]
    tokens: dict[str, int]
    runs: dict[str, int]
    runs_due: int
    oldest_due_seconds: float
    runs_waiting_for_bucket: int
    lease_overdue_seconds: dict[str, float]
    heartbeat_late_seconds: float | None  # None: no worker ever ran


def read_gauges(database: Database, *, now: Callable[[], datetime]) -> GaugeValues:
    """Return how things stand, counted in one transaction."""
    moment = now()
    with database.read_session() as session:
        due = (Run.finished_at.is_(None), Run.next_slice_at <= moment)
        waits = (Run.state == RunState.RUNNING, Run.lease_owner.is_(None), Run.next_slice_at > moment)
        return GaugeValues(
            portals=_by_state(session, Portal.state, PortalState),
            tokens=_by_state(session, OAuthToken.state, TokenState),
            runs=_by_state(session, Run.state, RunState),
            runs_due=session.scalar(select(func.count()).select_from(Run).where(*due)) or 0,
            oldest_due_seconds=_since(session.scalar(select(func.min(Run.next_slice_at)).where(*due)), moment),
            runs_waiting_for_bucket=session.scalar(select(func.count()).select_from(Run).where(*waits)) or 0,
            lease_overdue_seconds={
                "chain": _since(_oldest_lease(session, OAuthToken.lease_until), moment),
                # One that ended with its lease on, being cancelled, waits for nobody.
                "run": _since(_oldest_lease(session, Run.lease_until, Run.finished_at.is_(None)), moment),
            },
            heartbeat_late_seconds=_heartbeat_late(session, moment),
        )


def _by_state(
    session: Session, column: InstrumentedAttribute[str], states: type[PortalState | TokenState | RunState]
) -> dict[str, int]:
    counts = {row[0]: row[1] for row in session.execute(select(column, func.count()).group_by(column))}
    return {state: counts.get(state, 0) for state in states}


def _oldest_lease(
    session: Session, column: InstrumentedAttribute[datetime | None], *conditions: ColumnElement[bool]
) -> datetime | None:
    return session.scalar(select(func.min(column)).where(column.is_not(None), *conditions))


def _since(then: datetime | None, now: datetime) -> float:
    return max(0.0, (now - then).total_seconds()) if then is not None else 0.0


def _heartbeat_late(session: Session, now: datetime) -> float | None:
    due = session.scalar(select(PeriodicTask.next_at).where(PeriodicTask.name == HEARTBEAT))
    return _since(due, now) if due is not None else None
