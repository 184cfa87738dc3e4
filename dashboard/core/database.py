"""Provide sessions and statements that work alike on SQLite and Postgres."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    Float,
    MetaData,
    Update,
    delete,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from dashboard.core import sqlite as sqlite_engine
from dashboard.core.database_errors import LOCK_TIMEOUT, OutageLog, is_conflict, sqlstate

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

log = structlog.get_logger()

POOL_SECONDS = 10  # how long a thread waits for a connection of the pool
VACUUM_SECONDS = 3600.0  # then this process stops waiting, and the server continues beside the next VACUUM

# The database is unreachable, read-only (InternalError on Postgres) or full, or its schema is unusable (see below).
UNAVAILABLE = (OperationalError, InternalError, PoolTimeout)
# insufficient_privilege, invalid_schema_name, undefined_table, undefined_column, and invalid_column_reference for a
# missing key: an incomplete restore causes them. SQLAlchemy raises ProgrammingError, as for a bug in a statement.
UNUSABLE_SCHEMA = ("42501", "3F000", "42P01", "42703", "42P10")
DELETE_BATCH_ROWS = 1000  # takes a tenth of a second on SQLite, where other writers wait for the lock
CONFLICT_PAUSES = (0.05, 0.2, 1.0)  # maximum seconds before each retry
MAX_LOCK_TIMEOUTS = 2  # each one keeps a thread and a connection waiting for LOCK_SECONDS
MAX_BATCH_PAUSE_SECONDS = 0.5

T = TypeVar("T")

# Every constraint has a predictable name, so that a migration can drop it.
CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """A time zone aware datetime in UTC. SQLite stores no zone, so UTC is added when the value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a value to UTC for the database."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime needs its zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a value from the database with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base class of the models."""

    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UTCDateTime, float: Float}


class Database:
    """Open short read and write transactions. Code that calls Bitrix24 must not hold one open."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.engine = _new_engine(url, connections)
        self.outages = OutageLog()
        self._read_options: dict[str, Any] = {}
        is_sqlite = self.engine.dialect.name == "sqlite"
        self._write_lock = sqlite_engine.WriteLock() if is_sqlite else nullcontext
        # A process that was killed may have left deleted rows in the write-ahead log.
        self._is_checkpoint_due = is_sqlite

    def limit_reads(self, *, seconds: float) -> None:
        """Shorten the time limit for statements of read sessions on SQLite; Postgres has one limit for all."""
        self._read_options = {"sqlite_statement_seconds": seconds}

    def create_file(self) -> None:
        """Create a missing SQLite file and its folder; only migrations do this.

        :raise OSError: the file cannot be created.
        """
        if self.engine.dialect.name == "sqlite" and (path := sqlite_engine.file_of(self.engine.url)):
            sqlite_engine.create_file(path)

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        """Yield a session whose changes are rolled back."""
        with self._log_outages(), self._session(self._read_options) as session:
            yield session

    @contextmanager
    def write_session(self, *, durable: bool = True) -> Iterator[Session]:
        """Yield a session that commits at the end, or rolls back on an exception.

        On SQLite the write lock is taken at the start, because a reader that becomes a writer can fail. A second
        writer waits up to BUSY_SECONDS. A transaction that is not ``durable`` is not fsynced, so the lock is free
        sooner; it survives a kill of our process, but not a power cut before the next durable one.
        """
        with (
            self._log_outages(),
            self._write_lock(),
            self._session({"sqlite_begin": "IMMEDIATE", "durable": durable}) as session,
            session.begin(),
        ):
            yield session
        self.outages.record_success()
        for action in session.info.get("after_commit", ()):
            action()
        if self._is_checkpoint_due:
            self.checkpoint_wal()

    def _session(self, transaction: dict[str, Any]) -> Session:
        return Session(self.engine, execution_options=transaction, expire_on_commit=False)

    @contextmanager
    def write_connection(self) -> Iterator[Connection]:
        """Yield a connection whose transaction may write, for what needs no session."""
        with self.engine.connect() as connection:
            connection.execution_options(sqlite_begin="IMMEDIATE")
            with connection.begin():
                yield connection

    @contextmanager
    def _log_outages(self) -> Iterator[None]:
        try:
            yield
        except ProgrammingError as error:
            if sqlstate(error) not in UNUSABLE_SCHEMA or error.orig is None:
                raise
            self.outages.record_failure(error)
            raise OperationalError(error.statement, None, error.orig) from error
        except UNAVAILABLE as error:
            self.outages.record_failure(error)
            raise

    def write(self, work: Callable[[Session], T], *, durable: bool = True) -> T:
        """Run ``work`` in a ``write_session`` and return its result.

        ``work`` runs again after a deadlock or a serialization failure, and once after a lock timeout. So it must
        change nothing but the session and send nothing to Bitrix24.
        """
        lock_timeouts = 0
        for pause in CONFLICT_PAUSES:
            try:
                with self.write_session(durable=durable) as session:
                    return work(session)
            except DBAPIError as error:
                lock_timeouts += sqlstate(error) == LOCK_TIMEOUT
                if not is_conflict(error) or lock_timeouts >= MAX_LOCK_TIMEOUTS:
                    raise
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
        with self.write_session(durable=durable) as session:
            return work(session)

    def checkpoint_wal(self) -> None:
        """Purge deleted rows from SQLite's write-ahead log; Postgres does not need this.

        If a reader prevents it, the next write of this process tries again. A periodic task of the worker does it
        for processes that have ended.
        """
        if self.engine.dialect.name == "sqlite":
            self._is_checkpoint_due = not sqlite_engine.truncate_wal(self.engine)

    def purge_deleted_rows(self, tables: Sequence[str]) -> None:
        """Purge deleted rows from SQLite's write-ahead log, or from the named tables' files on Postgres.

        The server vacuums one table after the other, on one connection. It only warns of tables that the role may
        not vacuum.
        """
        if self.engine.dialect.name == "sqlite":
            self.checkpoint_wal()
        else:
            vacuum = f"VACUUM (SKIP_LOCKED) {', '.join(tables)}"
            self.execute_outside_transaction(vacuum, seconds=VACUUM_SECONDS, on_notice=_log_refused_vacuum)

    def execute_outside_transaction(
        self, *statements: str, seconds: float, on_notice: Callable[[Any], None] = lambda notice: None
    ) -> None:
        """Execute what Postgres refuses in a transaction, each statement for so many seconds at most."""
        # Use the driver's connection, and end the transaction that the pool's ping began.
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.rollback()
            driver.has_unused_transaction = False
            driver.response_seconds = seconds
            driver.add_notice_handler(on_notice)
            try:
                for statement in statements:
                    driver.execute(statement)
            except self.engine.dialect.loaded_dbapi.Error as error:
                # A lost connection cannot be rolled back; trying would log a second stack trace.
                connection.invalidate()
                base = self.engine.dialect.loaded_dbapi.Error
                raise DBAPIError.instance(statement, None, error, base) from None
            finally:
                driver.remove_notice_handler(on_notice)


def _log_refused_vacuum(notice: Any) -> None:
    # A locked table is vacuumed the next time.
    if notice.sqlstate != LOCK_TIMEOUT:
        log.warning("vacuum_refused", reason=notice.message_primary)


def extend_time_limits(connection: Connection, *, seconds: float) -> None:
    """Give this transaction's statements more time than those of a request have."""
    if connection.dialect.name == "sqlite":
        if not connection.in_transaction():
            connection.begin()  # else the first statement would begin it, with the usual time
        sqlite_engine.timer_of(connection).seconds = seconds
        return
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = {round(seconds * 1000)}"))
    # For dashboard.core.postgres.Connection.wait.
    driver: Any = connection.connection.driver_connection
    driver.response_seconds = seconds


def after_commit(session: Session, action: Callable[[], None]) -> None:
    """Run ``action`` once the ``write_session`` has committed; listening to SQLAlchemy's event takes much longer."""
    session.info.setdefault("after_commit", []).append(action)


def dialect_of(session: Session) -> str:
    """Return ``sqlite`` or ``postgresql``."""
    return session.get_bind().dialect.name


def insert_into(dialect: str, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that supports ON CONFLICT."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    # A process that uses SQLite need not load what SQLAlchemy knows of Postgres: two megabytes.
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def insert_or_ignore(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that do not exist yet. Of two processes that insert the same row, one does nothing."""
    session.execute(insert_into(dialect_of(session), table).on_conflict_do_nothing(), rows)


def upsert(session: Session, table: type[Base], row: Mapping[str, Any]) -> None:
    """Insert the row, or update the one with its key. Of two processes the later one wins.

    Objects loaded in the session do not change.
    """
    session.connection().execute(_upsert_statement(dialect_of(session), table, tuple(row)), row)


@cache  # building the statement takes longer than running it
def _upsert_statement(dialect: str, table: type[Base], columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    insert = insert_into(dialect, table)
    key = [column.name for column in inspect(table).primary_key]
    changes = {name: insert.excluded[name] for name in columns if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def execute_and_count(session: Session, statement: Update | Delete) -> int:
    """Execute an UPDATE or DELETE and return how many rows it matched. Objects in the session do not change."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0


def delete_in_batches(
    database: Database,
    table: type[Base],
    condition: ColumnElement[bool],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> int:
    """Delete the rows in short transactions and return how many there were.

    If ``should_stop`` returns True after one of them, the rest is left for the next call. After each transaction it
    sleeps as long as the transaction took, so that other writers get SQLite's lock.
    """
    (key,) = inspect(table).primary_key
    statement = delete(table).where(key.in_(select(key).where(condition).limit(DELETE_BATCH_ROWS)))
    total = 0
    while True:
        began = time.monotonic()
        count = database.write(lambda session: execute_and_count(session, statement))
        total += count
        if count < DELETE_BATCH_ROWS or should_stop():
            return total
        time.sleep(min(time.monotonic() - began, MAX_BATCH_PAUSE_SECONDS))


def time_limit(seconds: float) -> Callable[[], bool]:
    """Return a function that returns True once so much time has passed since this call."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline


def _new_engine(url: str, connections: int) -> Engine:
    # With overflow, a thread that reads need not wait until the writers return their connections.
    pool = {"pool_size": connections, "max_overflow": connections, "pool_timeout": POOL_SECONDS}
    if make_url(url).get_backend_name() == "sqlite":
        return sqlite_engine.new_engine(url, **pool)
    from dashboard.core import postgres

    return postgres.new_engine(url, **pool)
