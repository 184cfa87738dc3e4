"""What happened so far, counted: gathered in each process, summed in the store every few seconds.

In the store and not in files of one machine: web and worker may run on different ones, and an operator asks
any web process for all of it. What a killed process had not written yet, a few seconds' worth, is lost.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from dashboard.bitrix24.errors import AUTHORIZATION_CODES, UNREACHABLE_CODES
from dashboard.bitrix24.masking import CallRecord
from dashboard.core.database import Database, dialect_of, insert_into
from dashboard.models import Tally

log = structlog.get_logger()

FLUSH_SECONDS = 15.0
SLOWER_THAN = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # bounds of the histogram, in seconds
# Our own codes; Bitrix24's are the table's. Anything else is a portal's own word and could be anything.
_OURS = re.compile("|".join(UNREACHABLE_CODES) + r"|moved|bad_answer|answer_too_large|strange_code|http_5\d\d")

CALLS, CALL_SECONDS, REFRESHES = "upstream_calls", "upstream_seconds", "refreshes"
REQUESTS, REQUEST_SECONDS, REQUEST_BUCKETS = "requests", "request_seconds", "request_seconds_bucket"

Labels = tuple[str, ...]


class Tallies:
    """Counts of this process, added to everybody's now and then. Safe to share between threads."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, Labels], float] = {}
        self._flushed_at = clock()
        self._is_away = False  # logged once

    def add(self, series: str, *labels: str, by: float = 1) -> None:
        """Add to one count of a series; its labels always come in the same order."""
        with self._lock:
            self._pending[series, labels] = self._pending.get((series, labels), 0) + by

    def count_call(self, call: CallRecord) -> None:
        """Count one request to Bitrix24."""
        outcome = _outcome(call.error)
        self.add(CALLS, call.method, outcome)
        self.add(CALL_SECONDS, call.method, by=call.milliseconds / 1000)
        if call.method == "oauth/token":
            self.add(REFRESHES, outcome)

    def request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one answer of ours."""
        self.add(REQUESTS, endpoint, method, str(status))
        self.add(REQUEST_SECONDS, endpoint, by=seconds)
        for bound in SLOWER_THAN:
            if seconds <= bound:
                self.add(REQUEST_BUCKETS, endpoint, str(bound))

    def flush_if_due(self) -> None:
        """Write what has gathered, where the last time was long enough ago."""
        if self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> bool:
        """Write what has gathered; False while the database takes nothing, and it gathers on."""
        with self._lock:
            pending, self._pending = self._pending, {}
            self._flushed_at = self._clock()
        if not pending:
            return True
        try:
            self._write(pending)
        except SQLAlchemyError as error:
            if not self._is_away:
                log.warning("tallies_not_written", reason=type(error).__name__)
            self._is_away = True
            for (series, labels), value in pending.items():
                self.add(series, *labels, by=value)
            return False
        self._is_away = False
        return True

    def sums(self) -> dict[str, dict[Labels, float]]:
        """Return everybody's counts by series and labels; up to FLUSH_SECONDS behind other processes."""
        found: dict[str, dict[Labels, float]] = {}
        with self._database.read_session() as session:
            for tally in session.scalars(select(Tally).order_by(Tally.series, Tally.labels)):
                found.setdefault(tally.series, {})[tuple(json.loads(tally.labels))] = tally.value
        return found

    def _write(self, pending: Mapping[tuple[str, Labels], float]) -> None:
        """Add to the rows, always in the same order: two who write at once wait instead of locking up."""
        rows = [
            {"series": series, "labels": json.dumps(labels), "value": value}
            for (series, labels), value in sorted(pending.items())
        ]

        def add(session: Session) -> None:
            insert = insert_into(dialect_of(session), Tally)
            added = insert.on_conflict_do_update(
                index_elements=["series", "labels"], set_={"value": Tally.value + insert.excluded.value}
            )
            session.execute(added, rows)

        self._database.write(add)


def _outcome(error: str | None) -> str:
    """Return "ok" or the error's code; what is no known code is one word, so that series stay few."""
    if error is None:
        return "ok"
    return error if error.lower() in AUTHORIZATION_CODES or _OURS.fullmatch(error) else "other"
