"""Store each portal's leaky bucket in the database, shared by all processes.

Interactive requests are recorded after they are sent and never wait. Background work takes its requests
beforehand and leaves INTERACTIVE_HEADROOM. The row also stores the call log's fill level, saving one query.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import accumulate

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24.leaky_bucket import INTERACTIVE_HEADROOM, LeakyBucket
from dashboard.core.database import insert_or_ignore
from dashboard.core.stored_times import is_ahead_seconds
from dashboard.models import RateLimit
from dashboard.portals import call_log_space
from dashboard.portals.call_log_space import LogDetail

# The period in which a method's operating time is counted (Bitrix24 REST docs, settings/performance/limits.md).
OPERATING_WINDOW = timedelta(minutes=10)

# Every opening and every person of a run uses these, so they are built once and bypass the ORM.
_OF_PORTAL = RateLimit.portal_id == bindparam("portal")
_FIND = select(RateLimit.level, RateLimit.at, RateLimit.rate, RateLimit.pauses, RateLimit.log_empty_at).where(
    _OF_PORTAL
)
_LOCK = _FIND.with_for_update()
_UPDATE = update(RateLimit).where(_OF_PORTAL)

_Row = Row[float, float, float, dict[str, float], float]  # level, at, rate, pauses, log_empty_at


def find(session: Session, portal_id: int, *, now: float) -> LeakyBucket:
    """Return the stored bucket, or an empty one."""
    row = _find(session, portal_id)
    return _bucket(row, now) if row else LeakyBucket()


def record(
    session: Session,
    portal_id: int,
    *,
    at: float,
    requests: int,
    refused: bool = False,
    full: int = 0,
    summary: int = 0,
) -> LogDetail:
    """Count requests that were sent (``at`` in Unix seconds); ``refused``: the portal's own bucket was full.

    Their records need ``full`` bytes in the call log, or ``summary`` bytes without details.

    :return: how much of the records has room there.
    """
    row = _lock(session, portal_id)
    bucket = _stored_bucket(row).take(at, requests=requests)
    log_empty_at, detail = call_log_space.allocate_bytes(row.log_empty_at, at, full=full, summary=summary)
    _save(session, portal_id, bucket.slow_down(at) if refused else bucket, log_empty_at=log_empty_at)
    return detail


def take_for_tasks(session: Session, portal_id: int, *, now: float, costs: list[int]) -> int:
    """Take the requests of as many of these tasks as fit now, in order; return how many tasks."""
    row = _lock(session, portal_id)
    bucket = _bucket(row, now)
    available = bucket.available(now, headroom=INTERACTIVE_HEADROOM)
    totals = [total for total in accumulate(costs) if total <= available]
    if totals or bucket != _stored_bucket(row):
        _save(session, portal_id, bucket.take(now, requests=totals[-1] if totals else 0))
    return len(totals)


def seconds_until(session: Session, portal_id: int, *, now: float, requests: int) -> float:
    """Return the seconds until that many background requests can have been sent."""
    return find(session, portal_id, now=now).seconds_until(now, requests=requests, headroom=INTERACTIVE_HEADROOM)


def pause(session: Session, portal_id: int, method: str, *, until: float) -> None:
    """Pause a method that has used up its operating time (OPERATION_TIME_LIMIT)."""
    pauses = _lock(session, portal_id).pauses
    previous = pauses.get(method, 0.0)
    # A clock that was ahead wrote a pause longer than any we write.
    later = until if is_ahead_seconds(previous, until) else max(until, previous)
    session.connection().execute(_UPDATE, {"portal": portal_id, "pauses": {**pauses, method: later}})


def paused_until(session: Session, portal_id: int, method: str, *, now: float) -> float:
    """Return when the method's pause ends; 0.0 if it has none."""
    row = _find(session, portal_id)
    until = row.pauses.get(method, 0.0) if row else 0.0
    return 0.0 if is_ahead_seconds(until, now, max_wait=OPERATING_WINDOW) else until


def _find(session: Session, portal_id: int) -> _Row | None:
    return session.connection().execute(_FIND, {"portal": portal_id}).one_or_none()


def _lock(session: Session, portal_id: int) -> _Row:
    """Return the row, locked until the transaction ends; of two who insert it at once, one does nothing."""
    connection = session.connection()
    row = connection.execute(_LOCK, {"portal": portal_id}).one_or_none()
    if row is None:
        empty = LeakyBucket()
        new = {"portal_id": portal_id, "level": empty.level, "at": empty.updated_at, "rate": empty.rate, "pauses": {}}
        insert_or_ignore(session, RateLimit, [new])
        row = connection.execute(_LOCK, {"portal": portal_id}).one()
    return row


def _stored_bucket(row: _Row) -> LeakyBucket:
    return LeakyBucket(level=row.level, updated_at=row.at, rate=row.rate)


def _bucket(row: _Row, now: float) -> LeakyBucket:
    """Return the bucket; one that was stored by a clock that was ahead starts to drain now."""
    bucket = _stored_bucket(row)
    return replace(bucket, updated_at=now) if is_ahead_seconds(bucket.updated_at, now) else bucket


def _save(session: Session, portal_id: int, bucket: LeakyBucket, **columns: float) -> None:
    columns |= {"level": bucket.level, "at": bucket.updated_at, "rate": bucket.rate}
    session.connection().execute(_UPDATE, {"portal": portal_id, **columns})
