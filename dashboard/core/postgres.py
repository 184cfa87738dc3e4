"""SQLAlchemy dialect for Postgres behind firewalls, poolers and failovers: every wait has an end.

Only a process that uses Postgres imports this module: psycopg takes a tenth of the memory of a worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.errors import _WaitTimeout
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url

DRIVER = "postgresql+bounded"
CONNECT_SECONDS = 5
PING_SECONDS = 3.0
STATEMENT_SECONDS = 15.0
# BEGIN waits for no lock: only for a pooler that reaches no server, or has none free.
BEGIN_SECONDS = 5.0
# Who vanishes in the middle of a transaction is noticed by the server's TCP after two hours, and keeps its
# locks until then. A process of ours does nothing for that long between two statements.
IDLE_SECONDS = 20.0
# The server ends a statement itself; who hears nothing of that either gives the connection up.
GRACE_SECONDS = 5.0
# How long a thread waits for another one's attempt while the server is away.
ATTEMPT_SECONDS = 0.5

# What an address may say otherwise (https://www.postgresql.org/docs/current/libpq-connect.html).
DEFAULTS: Mapping[str, object] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # A pooler in transaction mode gives the next transaction another server, without the prepared statement.
    "prepare_threshold": None,
}
# A standby that was the primary, a server that shuts down or restarts, a session that it ended
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
FAILOVER_CODES = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P04", "57P05"})
CONNECTION_EXCEPTION = "08"

_Result = TypeVar("_Result")


class NoAnswer(psycopg.OperationalError):
    """The server took a connection and does not answer on it."""


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer in time."""

    answer_seconds = float(CONNECT_SECONDS)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's answer, ``answer_seconds`` unless told otherwise.

        :raise NoAnswer: there was none; the connection is closed.
        """
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise NoAnswer("the server did not answer in time") from None


class BoundedDialect(PGDialect_psycopg):
    """psycopg with bounded waits, and one statement that begins a transaction and limits its statements."""

    driver = "bounded"
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._to_connect = ConnectionAttempts(psycopg.Error)
        # A pooler lets clients connect whose server is away. What is wrong with one connection alone is told
        # at once; silence is everybody's.
        self._to_be_answered = ConnectionAttempts(NoAnswer)

    def create_connect_args(self, url: URL) -> tuple[Any, Any]:
        """Return what the driver connects with: ours, unless the address says otherwise."""
        arguments, given = super().create_connect_args(url)  # type: ignore[no-untyped-call]
        parameters = {**DEFAULTS, **given}
        # Ours is no start-up option: a pooler refuses those.
        self._limits_statements = "statement_timeout" not in str(parameters.get("options", ""))
        return arguments, parameters

    def connect(self, *arguments: Any, **parameters: Any) -> Any:
        """Connect; autocommit is on because ``do_begin`` sends BEGIN itself."""
        return self._to_connect.make(lambda: Connection.connect(*arguments, autocommit=True, **parameters))

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction; its limits belong to it alone, as a pooler in transaction mode asks."""
        connection: Connection = dbapi_connection.driver_connection
        limits = f"; SET LOCAL idle_in_transaction_session_timeout = {round(IDLE_SECONDS * 1000)}"
        if self._limits_statements:
            limits += f"; SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)}"
        connection.answer_seconds = BEGIN_SECONDS
        self._to_be_answered.make(lambda: connection.execute(f"BEGIN{limits}"))
        connection.answer_seconds = STATEMENT_SECONDS + GRACE_SECONDS

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Tell whether a connection that was idle answers, within PING_SECONDS."""
        connection: Connection = dbapi_connection
        connection.answer_seconds = PING_SECONDS
        self._to_be_answered.make(lambda: connection.execute(";"))
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Tell whether the connection is of no more use, and with it the pool's others."""
        code = getattr(e, "sqlstate", None) or ""
        gives_up = code in FAILOVER_CODES or code.startswith(CONNECTION_EXCEPTION)
        is_closed = connection is not None and (connection.closed or connection.broken)
        return gives_up or (isinstance(e, psycopg.Error) and is_closed)


class ConnectionAttempts:
    """While the server is away, one thread tries it; the others fail after a moment.

    Without it every thread of the process waits for the server, and none is left to answer anything else.
    An error of the kind ``says_away`` says that it is away, the next success that it is back.
    """

    def __init__(self, says_away: type[psycopg.Error]) -> None:
        self._says_away = says_away
        self._is_away = False
        self._trying = threading.Lock()

    def make(self, attempt: Callable[[], _Result]) -> _Result:
        """Return what the attempt returns.

        :raise psycopg.OperationalError: another thread tries it.
        """
        if not self._is_away:
            return self._try(attempt)
        if not self._trying.acquire(timeout=ATTEMPT_SECONDS):
            raise psycopg.OperationalError("the server did not answer; another thread tries it again")
        try:
            return self._try(attempt)
        finally:
            self._trying.release()

    def _try(self, attempt: Callable[[], _Result]) -> _Result:
        try:
            result = attempt()
        except self._says_away:
            self._is_away = True
            raise
        self._is_away = False
        return result


def use_bounded_dialect(url: str) -> URL:
    """Return the address with this module's dialect for driver."""
    registry.register("postgresql.bounded", __name__, BoundedDialect.__name__)
    return make_url(url).set(drivername=DRIVER)
