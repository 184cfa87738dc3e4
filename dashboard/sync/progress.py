"""Report the progress of a run and estimate the time it still needs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from dashboard.models import ApiCall, OAuthToken, Person, Run, RunState, TokenState
from dashboard.portals import rate_limits

MAX_SECONDS_PER_PERSON = 2.0  # a slower pace includes pauses, which will not repeat
RECENT_CALLS = 10


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run; ``eta_seconds`` is None while the number of people is unknown."""

    state: str
    total: int
    done: int
    failed: int
    eta_seconds: int | None
    error: str | None
    next_at: datetime | None
    finished_at: datetime | None


def progress_of(session: Session, run: Run, *, now: datetime) -> RunProgress:
    """Return the progress of the run."""
    return RunProgress(
        state=run.state,
        total=run.total,
        done=run.done,
        failed=run.failed,
        eta_seconds=_eta_seconds(session, run, now) if run.finished_at is None else 0,
        error=run.error,
        next_at=run.next_slice_at if run.state == RunState.POSTPONED else None,
        finished_at=run.finished_at,
    )


def _eta_seconds(session: Session, run: Run, now: datetime) -> int | None:
    """Return the longest of three estimates: the rate limit, the pace so far, the portal's response times."""
    if not run.directory_read or run.started_at is None:
        return None
    people, requests = _remaining(session, run, now=now)
    by_limit = rate_limits.seconds_until(session, run.portal_id, now=now.timestamp(), requests=requests)
    pace = (now - run.started_at).total_seconds() / max(1, run.done + run.failed)
    by_pace = min(pace, MAX_SECONDS_PER_PERSON) * people if run.done + run.failed else 0.0
    delay = max(0.0, (run.next_slice_at - now).total_seconds()) if run.state == RunState.POSTPONED else 0.0
    return round(delay + max(by_limit, by_pace, _response_seconds(session, run) * requests))


def _response_seconds(session: Session, run: Run) -> float:
    """Return the average response time of the portal's recent calls."""
    recent = (
        select(ApiCall.milliseconds)
        .where(ApiCall.portal_id == run.portal_id)
        .order_by(ApiCall.at.desc())
        .limit(RECENT_CALLS)
        .subquery()
    )
    return float(session.scalar(select(func.avg(recent.c.milliseconds))) or 0) / 1000


def _remaining(session: Session, run: Run, *, now: datetime) -> tuple[int, int]:
    """Return how many people remain, and about how many requests they need."""
    requests = func.sum(case((OAuthToken.expires_at <= now, 2), else_=1))
    remaining = (
        select(func.count(), requests)
        .select_from(Person)
        .join(OAuthToken, OAuthToken.person_id == Person.id)
        .where(Person.portal_id == run.portal_id, Person.id > run.cursor, Person.id <= run.last)
        .where(Person.chain_state == TokenState.VALID)
    )
    people, total = session.execute(remaining).one()
    return people, int(total or 0)
