"""The portals' buckets in the store: one row each, shared by all processes.

Whoever answers people spends without asking and never waits. Background work takes what the bucket allows
now, beforehand, and leaves KEPT_FOR_PEOPLE. The same row bounds the portal's call log, so that the
bound costs no statement of its own.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session

from dashboard.bitrix24 import leaky_bucket
from dashboard.bitrix24.leaky_bucket import INTERACTIVE_RESERVE
from dashboard.core.database import insert_or_ignore
from dashboard.core.stored_times import is_ahead_seconds
from dashboard.models import RateLimit
from dashboard.portals.call_log_space import LogDetail, LogSpace

OPERATING_WINDOW = timedelta(minutes=10)  # what a method's time is counted over (performance/limits.md)

# Each opening and each person read goes through these, so they are made once and map no objects.
_SAME = RateLimit.portal_id == bindparam("portal")
_FIND = select(RateLimit.level, RateLimit.at, RateLimit.rate, RateLimit.pauses, RateLimit.log_empty_at).where(_SAME)
_LOCK = _FIND.with_for_update()
_CHANGE = update(RateLimit).where(_SAME)

Found = Row[float, float, float, dict[str, float], float]  # level, at, rate, pauses, log_empty_at


def find(session: Session, portal_id: int, *, now: float) -> leaky_bucket.LeakyBucket:
    """Return the bucket as it was last stored; a portal nobody has called yet has an empty one."""
    row = session.connection().execute(_FIND, {"portal": portal_id}).one_or_none()
    return _believed(_read(row), now) if row else leaky_bucket.LeakyBucket()


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
    """Note requests that have been sent (Unix seconds); ``refused``: the portal's own bucket was full.

    Their records take ``full`` bytes in the call log, or ``summary`` without details. Return which of it
    has room there.
    """
    row = _locked(session, portal_id)
    bucket = _read(row).take(at, requests=requests)
    space, detail = LogSpace(row.log_empty_at).reserve(at, full=full, summary=summary)
    _write(session, portal_id, bucket.slow_down(at) if refused else bucket, log_empty_at=space.empty_at)
    return detail


def reserve(session: Session, portal_id: int, *, now: float, costs: list[int]) -> int:
    """Take the requests of as many of these errands as fit now, in order; return how many errands."""
    stored = _read(_locked(session, portal_id))
    bucket = _believed(stored, now)
    room = bucket.available(now, reserve=INTERACTIVE_RESERVE)
    errands, taken = 0, 0
    for cost in costs:
        if taken + cost > room:
            break
        errands, taken = errands + 1, taken + cost
    if taken or bucket is not stored:
        _write(session, portal_id, bucket.take(now, requests=taken))
    return errands


def seconds_until(session: Session, portal_id: int, *, now: float, requests: int) -> float:
    """Return when so many more background requests will have fitted."""
    return find(session, portal_id, now=now).seconds_until(now, requests=requests, reserve=INTERACTIVE_RESERVE)


def pause(session: Session, portal_id: int, method: str, *, until: float) -> None:
    """Let the method rest until then: it has used up its time (OPERATION_TIME_LIMIT)."""
    pauses = _locked(session, portal_id).pauses
    known = pauses.get(method, 0.0)
    # One beyond any that is written was written by a clock that was ahead.
    rests = {**pauses, method: until if is_ahead_seconds(known, until) else max(until, known)}
    session.connection().execute(_CHANGE, {"portal": portal_id, "pauses": rests})


def paused_until(session: Session, portal_id: int, method: str, *, now: float) -> float:
    """Return until when the method rests, 0.0 where it need not."""
    row = session.connection().execute(_FIND, {"portal": portal_id}).one_or_none()
    until = row.pauses.get(method, 0.0) if row else 0.0
    return 0.0 if is_ahead_seconds(until, now, max_wait=OPERATING_WINDOW) else until


def _locked(session: Session, portal_id: int) -> Found:
    """Return the row, locked until the transaction ends; two who make it at once make one."""
    connection = session.connection()
    row = connection.execute(_LOCK, {"portal": portal_id}).one_or_none()
    if row is None:
        empty = leaky_bucket.LeakyBucket()
        new = {"portal_id": portal_id, "level": empty.level, "at": empty.updated_at, "rate": empty.rate, "pauses": {}}
        insert_or_ignore(session, RateLimit, [new])
        row = connection.execute(_LOCK, {"portal": portal_id}).one()
    return row


def _read(row: Found) -> leaky_bucket.LeakyBucket:
    return leaky_bucket.LeakyBucket(level=row.level, updated_at=row.at, rate=row.rate)


def _believed(bucket: leaky_bucket.LeakyBucket, now: float) -> leaky_bucket.LeakyBucket:
    """Return the bucket; one that was written by a clock that was ahead begins to drain now."""
    return replace(bucket, updated_at=now) if is_ahead_seconds(bucket.updated_at, now) else bucket


def _write(
    session: Session, portal_id: int, bucket: leaky_bucket.LeakyBucket, *, log_empty_at: float | None = None
) -> None:
    stored = {"level": bucket.level, "at": bucket.updated_at, "rate": bucket.rate}
    if log_empty_at is not None:
        stored["log_empty_at"] = log_empty_at
    session.connection().execute(_CHANGE, {"portal": portal_id, **stored})
