"""Define a SQLAlchemy dialect for Postgres in which every wait has a timeout, also behind firewalls and poolers.

Only a process that uses Postgres imports this module, because psycopg takes a tenth of a worker's memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.errors import _WaitTimeout
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import URL, make_url

DRIVER = "postgresql+bounded"
CONNECT_SECONDS = 5
PING_SECONDS = 3.0
STATEMENT_SECONDS = 15.0
# How long a statement waits for another transaction's lock. Our transactions hold locks for milliseconds. A longer
# wait would occupy a thread and, with a pooler, one of a few server connections.
LOCK_SECONDS = 2.0
# BEGIN waits for no lock, only for a pooler that has no free server connection.
BEGIN_SECONDS = 5.0
# When a client vanishes, the server keeps its locks until TCP notices, which takes two hours. Our processes never
# pause this long between two statements.
IDLE_SECONDS = 10.0
# After STATEMENT_SECONDS the server cancels a statement; after so many more the connection counts as lost.
GRACE_SECONDS = 5.0
# How long a thread waits while another thread tries a server that is down.
RETRY_LOCK_SECONDS = 0.5

# The database URL may override them (https://www.postgresql.org/docs/current/libpq-connect.html).
DEFAULTS: Mapping[str, object] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    # A pooler in transaction mode may run the next transaction on a server without the prepared statement.
    "prepare_threshold": None,
}
# The server is now a standby, shuts down or restarts, or has ended the session
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
FAILOVER_CODES = frozenset({"25006", "25P03", "57P01", "57P02", "57P03", "57P04", "57P05"})
CONNECTION_EXCEPTION = "08"

_Result = TypeVar("_Result")


class ResponseTimeout(psycopg.OperationalError):
    """The server accepted the connection but did not respond in time."""


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer in time."""

    response_seconds = float(CONNECT_SECONDS)
    has_unused_transaction = False  # the ping began it
    is_durable = True  # whether the transaction's commit waits for the disk

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server's answer, ``response_seconds`` by default.

        :raise ResponseTimeout: none arrived; the connection is closed.
        """
        try:
            return super().wait(gen, interval, self.response_seconds if timeout is None else timeout)
        except _WaitTimeout:
            self.pgconn.finish()
            raise ResponseTimeout("the server did not answer in time") from None


class BoundedPostgresDialect(PGDialect_psycopg):
    """psycopg with bounded waits; one statement begins a transaction and limits its statements."""

    driver = "bounded"
    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # SQLAlchemy has no types for it
        self._connect_breaker = CircuitBreaker(psycopg.Error)
        # A pooler accepts connections while its server is down, so a timeout means an outage too. Other errors
        # concern one connection only.
        self._response_breaker = CircuitBreaker(ResponseTimeout)

    def create_connect_args(self, url: URL) -> tuple[Any, Any]:
        """Return the driver's parameters: those of the URL, else DEFAULTS.

        The client encoding is always UTF8, because no other can encode every name.
        """
        arguments, url_parameters = super().create_connect_args(url)  # type: ignore[no-untyped-call]
        parameters = {**DEFAULTS, **url_parameters, "client_encoding": "UTF8"}
        # Poolers refuse start-up options, so ``_begin`` sets what the URL does not.
        options = str(parameters.get("options", ""))
        self._limits_statements = "statement_timeout" not in options
        self._resets_search_path = "search_path" not in options
        return arguments, parameters

    def connect(self, *arguments: Any, **parameters: Any) -> Any:
        """Connect; autocommit is on because ``do_begin`` sends BEGIN itself."""
        return self._connect_breaker.call(lambda: _connect(*arguments, autocommit=True, **parameters))

    def set_connection_execution_options(self, connection: Any, opts: Mapping[str, Any]) -> None:
        """Keep whether the connection's next transaction is durable."""
        super().set_connection_execution_options(connection, opts)
        connection.connection.driver_connection.is_durable = opts.get("durable", True)

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction, unless the ping has begun one."""
        connection: Connection = dbapi_connection.driver_connection
        if not connection.has_unused_transaction:
            self._begin(connection, BEGIN_SECONDS)
        connection.has_unused_transaction = False
        connection.response_seconds = STATEMENT_SECONDS + GRACE_SECONDS

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Return True if an idle connection begins a transaction within PING_SECONDS.

        What takes a connection from the pool begins a transaction next, so this saves a round trip.
        """
        connection: Connection = dbapi_connection
        self._begin(connection, PING_SECONDS)
        connection.has_unused_transaction = True
        connection.is_durable = True  # unless the options say otherwise
        return True

    def _begin(self, connection: Connection, seconds: float) -> None:
        """Begin a transaction; what it sets ends with it, as a pooler in transaction mode requires.

        A pooler's server keeps what its other clients set. Of that only the search path matters here: pg_dump empties
        it, and no table would be found. Compiling a statement (``jit``) takes longer than ours run.
        """
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL jit = off"  # others refuse what waited for a lock
        begin += f"; SET LOCAL idle_in_transaction_session_timeout = {round(IDLE_SECONDS * 1000)}"
        begin += f"; SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"
        if self._limits_statements:
            begin += f"; SET LOCAL statement_timeout = {round(STATEMENT_SECONDS * 1000)}"
        if self._resets_search_path:
            begin += "; SET LOCAL search_path TO DEFAULT"
        connection.response_seconds = seconds
        self._response_breaker.call(lambda: connection.execute(begin))

    def do_commit(self, dbapi_connection: Any) -> None:
        """Commit; one that need not be durable does not wait for the disk, so it releases its locks sooner."""
        connection: Connection = dbapi_connection.driver_connection
        if connection.is_durable:
            connection.commit()
        else:
            connection.execute("SET LOCAL synchronous_commit = off; COMMIT")

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Tell whether the pool must drop this connection and its others."""
        code = getattr(e, "sqlstate", None) or ""
        is_closed = connection is not None and (connection.closed or connection.broken)
        is_down = code in FAILOVER_CODES or code.startswith(CONNECTION_EXCEPTION)
        return is_down or (isinstance(e, psycopg.Error) and is_closed)


def _connect(*arguments: Any, **parameters: Any) -> Connection:
    """Return a new connection.

    :raise psycopg.OperationalError: there is none, or the database cannot store every character.
    """
    connection = Connection.connect(*arguments, **parameters)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        connection.close()
        raise psycopg.OperationalError("the server encoding is not UTF8")
    return connection


class CircuitBreaker:
    """Lets one thread at a time try a server that is down; the others fail quickly.

    Otherwise all threads of the process would wait for the server, and none would be left for other requests.
    An error of the class ``outage`` opens the circuit, the next success closes it.
    """

    def __init__(self, outage: type[psycopg.Error]) -> None:
        self._outage = outage
        self._is_open = False
        self._retry_lock = threading.Lock()

    def call(self, attempt: Callable[[], _Result]) -> _Result:
        """Return the result of ``attempt``.

        :raise psycopg.OperationalError: the circuit is open, and another thread is trying.
        """
        if not self._is_open:
            return self._try(attempt)
        if not self._retry_lock.acquire(timeout=RETRY_LOCK_SECONDS):
            raise psycopg.OperationalError("the server did not answer; another thread tries it again")
        try:
            return self._try(attempt)
        finally:
            self._retry_lock.release()

    def _try(self, attempt: Callable[[], _Result]) -> _Result:
        try:
            result = attempt()
        except self._outage:
            self._is_open = True
            raise
        self._is_open = False
        return result


def new_engine(url: str, **pool: Any) -> Engine:
    """Return an engine that uses this module's dialect."""
    registry.register("postgresql.bounded", __name__, BoundedPostgresDialect.__name__)
    # hide_parameters: error messages are logged, and must not quote values.
    return create_engine(make_url(url).set(drivername=DRIVER), pool_pre_ping=True, hide_parameters=True, **pool)
