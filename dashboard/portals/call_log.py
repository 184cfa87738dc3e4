"""Collect the API calls of one unit of work and store them in the portal's call log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.bitrix24.masking import MASK, CallRecord
from dashboard.core.database import UNAVAILABLE, Database, after_commit, delete_in_batches
from dashboard.core.database_errors import describe
from dashboard.core.stored_times import ahead
from dashboard.models import ApiCall, Portal, PortalState
from dashboard.portals import rate_limits
from dashboard.portals.call_log_space import RETENTION_SECONDS, LogDetail
from dashboard.portals.portal_lock import lock_portal
from dashboard.portals.throttle import Limit, Throttle, TooManyAttempts

log = structlog.get_logger()

RETENTION = timedelta(seconds=RETENTION_SECONDS)
QUERY_LIMIT_EXCEEDED = "QUERY_LIMIT_EXCEEDED"
# Anyone can post a form that makes us call Bitrix24; those calls must not fill the database.
UNVERIFIED_CALLS = Limit(depth=200, seconds=30)
# The sender of an unverified request may control the portal, so longer responses to it are not stored.
MAX_UNVERIFIED_ANSWER = 4 * 1024
ROW_BYTES = 300  # of a record and its index entries, without its parameters and response
_INSERT = insert(ApiCall)  # built once, because every request uses it
_NO_DETAILS = {"parameters": MASK, "answer": MASK}

_Row = dict[str, Any]


class CallRecords:
    """The calls of one unit of work and their portal, until a transaction has stored them.

    A unit is one opening, event, refresh, slice of a run, or periodic task's work on one portal.
    """

    def __init__(self, portal: Portal | None, *, verified: bool) -> None:
        self.portal = portal  # only its id and generation are used; None: no portal yet
        self.verified = verified
        self._calls: list[CallRecord] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: CallRecord) -> None:
        """Add the record of a call that has just ended."""
        self._calls.append(call)

    def clear(self) -> None:
        """Drop the records that are not stored."""
        self._calls.clear()

    def write(
        self, session: Session, *, portal: Portal | None = None, already_counted: int = 0, store: bool = True
    ) -> None:
        """Store the calls in the session's transaction; they stay here until it commits.

        If the installation has ended, nothing is stored.

        :param portal: the portal that the unit has verified meanwhile, which owns its calls from then on.
        :param already_counted: how many of the requests the rate limit has counted already.
        :param store: without it, the calls count for the rate limit only.
        """
        calls, owner, verified = list(self._calls), portal or self.portal, self.verified or portal is not None
        if not calls:
            return

        def drop_stored() -> None:
            del self._calls[: len(calls)]
            self.portal, self.verified = owner, verified

        after_commit(session, drop_stored)
        if owner is not None and not lock_portal(session, owner):
            return
        rows = [_row(call, owner, verified=verified) for call in calls] if store else []
        if owner is not None:
            rows = _record_usage(session, owner, calls, rows, already_counted=already_counted)
        if rows:
            session.connection().execute(_INSERT, rows)


@dataclass(frozen=True, kw_only=True)
class CallLog:
    """Store the calls of units of work."""

    database: Database
    throttle: Throttle

    @contextmanager
    def collect(self, portal: Portal | None, *, verified: bool = True) -> Iterator[CallRecords]:
        """Yield the records of one unit of work, and store at its end what was not stored with its result.

        Without ``verified``, ``portal`` is what a visitor claims, and only a limited number of calls is stored.
        If the database is unavailable the records are dropped.
        """
        is_installed = portal is not None and portal.state != PortalState.UNINSTALLED
        calls = CallRecords(portal if is_installed else None, verified=verified)
        try:
            yield calls
        except UNAVAILABLE as error:
            # The request has waited for the database already; do not wait again.
            _drop(calls, error)
            raise
        finally:
            if calls:
                self._write_unstored(calls)

    def _write_unstored(self, calls: CallRecords) -> None:
        try:
            store = calls.verified or self._take_unverified_quota(calls.portal)
            self.database.write(lambda session: calls.write(session, store=store))
        except SQLAlchemyError as error:
            _drop(calls, error)

    def _take_unverified_quota(self, portal: Portal | None) -> bool:
        """Count one more unverified unit; return False if its calls may not be stored."""
        subject = f"calls {portal.member_id if portal else ''}"
        try:
            self.throttle.check(subject, UNVERIFIED_CALLS)  # only reads, so a flood takes no write lock
        except TooManyAttempts:
            return False
        self.throttle.record_failure(subject, UNVERIFIED_CALLS)
        return True


def _drop(calls: CallRecords, error: SQLAlchemyError) -> None:
    if calls:
        portal = calls.portal.id if calls.portal else None
        log.error("calls_dropped", count=len(calls), portal=portal, reason=describe(error))
    calls.clear()


def _record_usage(
    session: Session, portal: Portal, calls: list[CallRecord], rows: list[_Row], *, already_counted: int
) -> list[_Row]:
    """Count the requests to the portal against its rate limit; return the rows that have room in its call log."""
    sent = [call for call in calls if call.origin == portal.origin]
    refused = any((call.error or "").upper() == QUERY_LIMIT_EXCEEDED for call in sent)
    uncounted = max(0, len(sent) - already_counted)
    if not (rows or uncounted or refused):
        return rows
    detail = rate_limits.record(
        session,
        portal.id,
        at=max(call.at for call in sent or calls).timestamp(),
        requests=uncounted,
        refused=refused,
        full=sum(ROW_BYTES + len(json.dumps([row["parameters"], row["answer"]])) for row in rows),
        summary=ROW_BYTES * len(rows),
    )
    if detail is LogDetail.NONE:
        return []
    return rows if detail is LogDetail.FULL else [{**row, **_NO_DETAILS} for row in rows]


def _row(call: CallRecord, portal: Portal | None, *, verified: bool) -> _Row:
    error = call.error[:64] if call.error is not None else None
    row = {**vars(call), "error": error, "portal_id": portal.id if portal else None}
    if not verified and len(json.dumps(call.answer)) > MAX_UNVERIFIED_ANSWER:
        row["answer"] = MASK
    return row


def purge(database: Database, *, now: datetime, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete the calls older than the three days that the Market requires; return how many."""
    # One condition after the other, because the index on the time serves each of them alone.
    conditions = (ApiCall.at < now - RETENTION, ahead(ApiCall.at, now, max_wait=RETENTION))
    return sum(delete_in_batches(database, ApiCall, condition, should_stop=should_stop) for condition in conditions)
