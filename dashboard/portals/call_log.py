"""Collect the API calls of one unit of work and store them as the portal's call log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, event, insert, or_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.bitrix24.masking import MASK, CallRecord
from dashboard.core.database import UNAVAILABLE, Database, rows_changed
from dashboard.core.stored_times import ahead
from dashboard.models import ApiCall, Portal, PortalState
from dashboard.portals import rate_limits
from dashboard.portals.call_log_space import RETENTION_SECONDS, LogDetail
from dashboard.portals.portal_lock import lock_portal
from dashboard.portals.throttle import Limit, Throttle, TooManyFailures

log = structlog.get_logger()

RETENTION = timedelta(seconds=RETENTION_SECONDS)
OVERFLOW = "QUERY_LIMIT_EXCEEDED"
# Anyone can make us ask about what they posted; what becomes of that must not fill the store.
UNPROVEN_CALLS = Limit(depth=200, seconds=30)
# A longer answer to an unproven request is not stored: whoever posts, makes their own portal answer.
MAX_UNPROVEN_ANSWER = 4 * 1024
ROW_BYTES = 300  # of a record besides its parameters and answer, with its part of the indexes
_INSERT = insert(ApiCall)  # made once: each request comes by here
_NO_DETAILS = {"parameters": MASK, "answer": MASK}

Row = dict[str, Any]


class CallRecords:
    """The calls of one unit of work and the portal they belong to, until a transaction has stored them.

    A unit is one opening, event, refresh, slice of a run, or periodic task's work on one portal.
    """

    def __init__(self, portal: Portal | None, *, proven: bool) -> None:
        self.portal = portal  # as an id and a generation; None: no portal known yet
        self.proven = proven
        self._calls: list[CallRecord] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: CallRecord) -> None:
        """Take the record of a call that has just ended."""
        self._calls.append(call)

    def clear(self) -> None:
        """Forget what is not stored."""
        self._calls.clear()

    def write(self, session: Session, *, portal: Portal | None = None, taken: int = 0, store: bool = True) -> None:
        """Store the calls in the session's transaction. They stay here until it commits.

        ``portal`` is the one the unit has proven meanwhile: from the commit on it owns these calls and the
        unit's later ones. What the calls took of the portal's rate limit is noted with them, but for the
        requests that were ``taken`` beforehand. Calls of an installation that has ended are dropped:
        nothing of it may come back. Without ``store`` they are only counted.
        """
        calls, owner, proven = list(self._calls), portal or self.portal, self.proven or portal is not None
        if not calls:
            return

        def committed(_session: Session) -> None:
            del self._calls[: len(calls)]
            self.portal, self.proven = owner, proven

        event.listen(session, "after_commit", committed, once=True)
        if owner is not None and not lock_portal(session, owner):
            return
        rows = [_row(call, owner, proven=proven) for call in calls] if store else []
        if owner is not None:
            rows = _record_usage(session, owner, calls, rows, taken=taken)
        if rows:
            session.connection().execute(_INSERT, rows)


class CallLog:
    """Stores the calls of units of work. Nothing is kept between units."""

    def __init__(self, *, database: Database, throttle: Throttle) -> None:
        self._database = database
        self._throttle = throttle

    @contextmanager
    def unit(self, portal: Portal | None, *, proven: bool = True) -> Iterator[CallRecords]:
        """Yield the records of one unit of work, and store at its end what was not stored with its result.

        ``portal`` is the one the calls belong to, None where no installation is known. What is not
        ``proven`` is a visitor's claim: only so much of it is stored. While the store is away the records
        are dropped, with one line in the log.
        """
        installed = portal is not None and portal.state != PortalState.UNINSTALLED
        calls = CallRecords(portal if installed else None, proven=proven)
        try:
            yield calls
        except UNAVAILABLE as error:
            # It was waited for already; whoever asks has been told, and the next one wants the thread.
            _drop(calls, error)
            raise
        finally:
            if calls:
                self._write_rest(calls)

    def _write_rest(self, calls: CallRecords) -> None:
        try:
            store = calls.proven or self._has_room(calls.portal)
            self._database.write(lambda session: calls.write(session, store=store))
        except SQLAlchemyError as error:
            _drop(calls, error)

    def _has_room(self, portal: Portal | None) -> bool:
        """Tell whether the calls of one more unproven unit are stored, and count it if so."""
        name = f"calls {portal.id if portal else ''}"
        try:
            self._throttle.check(name, UNPROVEN_CALLS)
        except TooManyFailures:
            return False
        self._throttle.record_failure(name, UNPROVEN_CALLS)
        return True


def _drop(calls: CallRecords, error: SQLAlchemyError) -> None:
    if calls:
        portal = calls.portal.id if calls.portal else None
        log.error("calls_dropped", count=len(calls), portal=portal, reason=type(error).__name__)
    calls.clear()


def _record_usage(
    session: Session, portal: Portal, calls: list[CallRecord], rows: list[Row], *, taken: int
) -> list[Row]:
    """Note in the portal's bucket what was sent to it, and whether it overflowed.

    Return the rows as its call log has room for them.
    """
    sent = [call for call in calls if call.origin == portal.origin]
    refused = any((call.error or "").upper() == OVERFLOW for call in sent)
    beyond = max(0, len(sent) - taken)
    if not (rows or beyond or refused):
        return rows
    detail = rate_limits.record(
        session,
        portal.id,
        at=max(call.at for call in sent or calls).timestamp(),
        requests=beyond,
        refused=refused,
        full=sum(_size(row) for row in rows),
        summary=ROW_BYTES * len(rows),
    )
    if detail is LogDetail.NONE:
        return []
    return rows if detail is LogDetail.FULL else [{**row, **_NO_DETAILS} for row in rows]


def _row(call: CallRecord, portal: Portal | None, *, proven: bool) -> Row:
    error = call.error[:64] if call.error is not None else None
    row = {**vars(call), "error": error, "portal_id": portal.id if portal else None}
    if not proven and len(json.dumps(call.answer)) > MAX_UNPROVEN_ANSWER:
        row["answer"] = MASK
    return row


def _size(row: Row) -> int:
    return ROW_BYTES + len(json.dumps([row["parameters"], row["answer"]]))


def purge(session: Session, *, now: datetime) -> int:
    """Delete the calls older than the three days the Market asks for; return how many."""
    is_old = or_(ApiCall.at < now - RETENTION, ahead(ApiCall.at, now, max_wait=RETENTION))
    return rows_changed(session, delete(ApiCall).where(is_old))
