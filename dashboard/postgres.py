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
# The server ends a statement itself; who hears nothing of that either gives the connection up.
GRACE_SECONDS = 5.0
# How long a thread waits for another one's attempt to connect while the server is away.
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
GIVEN_UP = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P04", "57P05"})
CONNECTION_EXCEPTION = "08"

_Result = TypeVar("_Result")


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer in time."""

    answer_seconds = float(CONNECT_SECONDS)

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's answer, ``answer_seconds`` unless told otherwise.

        :raise psycopg.OperationalError: there was none; the connection is closed.
        """
        try:
            return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from None


class BoundedDialect(PGDialect_psycopg):
    """psycopg with bounded waits, and one statement that begins a transaction and limits its statements."""

    driver = "bounded"
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._attempts = Attempts()

    def create_connect_args(self, url: URL) -> tuple[Any, Any]:
        """Return what the driver connects with: ours, unless the address says otherwise."""
        arguments, given = super().create_connect_args(url)  # type: ignore[no-untyped-call]
        parameters = {**DEFAULTS, **given}
        # Ours is no start-up option: a pooler refuses those.
        self._limits_statements = "statement_timeout" not in str(parameters.get("options", ""))
        return arguments, parameters

    def connect(self, *arguments: Any, **parameters: Any) -> Any:
        """Connect; autocommit is on because ``do_begin`` sends BEGIN itself."""
        return self._attempts.make(lambda: Connection.connect(*arguments, autocommit=True, **parameters))

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction; its limit belongs to it alone, as a pooler in transaction mode asks."""
        connection: Connection = dbapi_connection.driver_connection
        connection.answer_seconds = STATEMENT_SECONDS + GRACE_SECONDS
        limit = f"; SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)}"
        connection.execute(f"BEGIN{limit if self._limits_statements else ''}")

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Tell whether a connection that was idle answers, within PING_SECONDS."""
        connection: Connection = dbapi_connection
        connection.answer_seconds = PING_SECONDS
        connection.execute(";")
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Tell whether the connection is of no more use, and with it the pool's others."""
        code = getattr(e, "sqlstate", None) or ""
        gives_up = code in GIVEN_UP or code.startswith(CONNECTION_EXCEPTION)
        is_closed = connection is not None and (connection.closed or connection.broken)
        return gives_up or (isinstance(e, psycopg.Error) and is_closed)


class Attempts:
    """While the server lets nobody connect, one thread tries; the others fail after a moment.

    Without it every thread of the process waits for the server, and none is left to answer anything else.
    """

    def __init__(self) -> None:
        self._is_away = False
        self._trying = threading.Lock()

    def make(self, connect: Callable[[], _Result]) -> _Result:
        """Return a new connection.

        :raise psycopg.OperationalError: there is none.
        """
        if not self._is_away:
            return self._try(connect)
        if not self._trying.acquire(timeout=ATTEMPT_SECONDS):
            raise psycopg.OperationalError("the server did not answer; another thread tries it again")
        try:
            return self._try(connect)
        finally:
            self._trying.release()

    def _try(self, connect: Callable[[], _Result]) -> _Result:
        try:
            connection = connect()
        except psycopg.Error:
            self._is_away = True
            raise
        self._is_away = False
        return connection


def bounded(url: str) -> URL:
    """Return the address with this module's dialect for driver."""
    registry.register("postgresql.bounded", __name__, BoundedDialect.__name__)
    return make_url(url).set(drivername=DRIVER)
