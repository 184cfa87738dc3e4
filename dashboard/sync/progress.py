"""How a run stands, and what it still needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from dashboard.models import ApiCall, OAuthToken, Person, Run, RunState, TokenState
from dashboard.portals import rate_limits

MIN_PACE = 2.0  # seconds a person; slower was a rest, and says nothing about the rest of the way
MAX_ETA = 10  # calls, for how long an answer takes now


@dataclass(frozen=True)
class RunProgress:
    """How a run stands; ``eta_seconds`` is what the bucket still needs, None when nobody can tell."""

    state: str
    total: int
    done: int
    failed: int
    eta_seconds: int | None
    error: str | None
    next_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


def progress_of(session: Session, run: Run, *, now: datetime) -> RunProgress:
    """Return how the run stands."""
    postponed = run.state == RunState.POSTPONED
    return RunProgress(
        state=run.state,
        total=run.total,
        done=run.done,
        failed=run.failed,
        eta_seconds=_eta(session, run, now) if run.finished_at is None else 0,
        error=run.error,
        next_at=run.next_slice_at if postponed else None,
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def _eta(session: Session, run: Run, now: datetime) -> int | None:
    """Return the seconds the rest will take: by the bucket, the pace so far, or the portal's answers."""
    if not run.directory_read or run.started_at is None:
        return None
    people, requests = _left(session, run, now=now)
    by_bucket = rate_limits.seconds_until(session, run.portal_id, now=now.timestamp(), requests=requests)
    dealt = run.done + run.failed
    pace = (now - run.started_at).total_seconds() / dealt if dealt else 0.0
    waits = max(0.0, (run.next_slice_at - now).total_seconds()) if run.state == RunState.POSTPONED else 0.0
    answers = _seconds_per_person(session, run) * requests
    return round(waits + max(by_bucket, min(pace, MIN_PACE) * people, answers))


def _seconds_per_person(session: Session, run: Run) -> float:
    """Return how long the portal took of late: one person is asked for after another."""
    newest = (
        select(ApiCall.milliseconds)
        .where(ApiCall.portal_id == run.portal_id)
        .order_by(ApiCall.at.desc())
        .limit(MAX_ETA)
        .subquery()
    )
    return float(session.scalar(select(func.avg(newest.c.milliseconds))) or 0) / 1000


def _left(session: Session, run: Run, *, now: datetime) -> tuple[int, int]:
    """Return how many people are left, and about how many requests that is."""
    requests = func.sum(case((OAuthToken.expires_at <= now, 2), else_=1))
    left = (
        select(func.count(), requests)
        .select_from(Person)
        .join(OAuthToken, OAuthToken.person_id == Person.id)
        .where(Person.portal_id == run.portal_id, Person.id > run.cursor, Person.id <= run.last)
        .where(Person.chain_state == TokenState.VALID)
    )
    people, total = session.execute(left).one()
    return people, int(total or 0)
