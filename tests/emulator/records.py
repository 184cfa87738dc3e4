"""What the servers saw: one record a request, never a token, and the counts tests ask for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

WRITES = {"calendar.user.settings.set"}


@dataclass(frozen=True)
class RequestRecord:
    """One request as an operator's log would have it."""

    at: float
    where: str
    portal: str
    verb: str
    method: str
    inner: tuple[str, ...]
    user: int | None
    person: str
    status: int
    error: str
    grant: str
    # New tokens were issued, whether or not the answer arrived.
    granted: bool
    had_cookie: bool
    secret_in_url: bool
    token_in_url: bool
    agent: str
    # The keys of the settings that it writes; the values are nobody's business.
    written: tuple[str, ...]
    # The client went where a 302 of this portal pointed without first asking the
    # authorization server whose address that is.
    followed: bool


class RequestLog:
    """All records since the last `clear`, safe to read while servers run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        self._writes: list[RequestRecord] = []

    def add(self, record: RequestRecord) -> None:
        """Remember one request."""
        with self._lock:
            self._records.append(record)
            if WRITES & {record.method, *record.inner}:
                self._writes.append(record)

    def all(self) -> list[RequestRecord]:
        """Return the records, oldest first."""
        with self._lock:
            return list(self._records)

    def writes(self) -> list[RequestRecord]:
        """Return the requests that write somebody's settings, even those before a `clear`."""
        with self._lock:
            return list(self._writes)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._records.clear()

    def count(self, keep: Callable[[RequestRecord], bool]) -> int:
        """Return how many records the test is interested in."""
        return sum(1 for record in self.all() if keep(record))
