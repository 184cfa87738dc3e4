"""Engine and sessions for SQLite and Postgres; what differs between the two lives here."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Connection,
    CursorResult,
    DateTime,
    Delete,
    Dialect,
    Engine,
    MetaData,
    Update,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, DisconnectionError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from dashboard.core.database_errors import OutageLog

BUSY_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.0005
POOL_SECONDS = 10  # to wait for another thread's connection
VACUUM_SECONDS = 300.0  # the server goes on, but nobody waits for it any longer
FILE_MODE, FOLDER_MODE = 0o600, 0o750

# What says that the database is away, is read-only (InternalError on Postgres) or has no room.
UNAVAILABLE = (OperationalError, InternalError, PoolTimeout)
CONFLICTS = ("40001", "40P01")  # serialization_failure, deadlock_detected
CONFLICT_PAUSES = (0.05, 0.2, 1.0)  # seconds at most before the transaction is run again

T = TypeVar("T")

# Every constraint has a name by rule, so that a migration can take it away again.
CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite keeps no zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a moment needs its zone")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """Short transactions, to read or to write; never held while a request to Bitrix24 is under way."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self.engine = _engine(url, connections)
        lasting = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._writing = {True: lasting, False: lasting.execution_options(sqlite_synchronous="NORMAL")}
        # SQLite lets its waiting writers sleep and try again, in no order: among many threads the unlucky
        # one waits for seconds. In here they queue, and at SQLite's own lock stands one of each process.
        is_sqlite = self.engine.dialect.name == "sqlite"
        self._turn = _WriteLock() if is_sqlite else nullcontext
        # A process that died may have left some.
        self._has_traces = is_sqlite
        self.outages = OutageLog()

    def make_file(self) -> None:
        """Make a missing SQLite file and its folder; nothing but a migration does.

        Its owner alone can read it, and SQLite gives the files beside it the same mode.

        :raise OSError: it cannot be made.
        """
        path = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or not path or path == ":memory:":
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        """Yield a session; what it changed is rolled back."""
        with self._logging_outages(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write_session(self, *, lasting: bool = True) -> Iterator[Session]:
        """Yield a session that commits at the end, or rolls back when an error passes through.

        On SQLite the write lock is taken at the start: a reader that becomes a writer half way could only
        fail. Two writers go one after another; the later one waits up to BUSY_SECONDS. What need not be
        ``lasting`` survives a killed process, but not a power cut right after it: nobody waits for the disk
        with the lock in hand, and the next lasting transaction makes it last too.
        """
        engine = self._writing[lasting]
        with (
            self._logging_outages(),
            self._turn(),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
        self.outages.succeeded()
        if self._has_traces:
            self.checkpoint_wal()

    @contextmanager
    def _logging_outages(self) -> Iterator[None]:
        try:
            yield
        except UNAVAILABLE as error:
            if not is_conflict(error):
                self.outages.failed(error)
            raise

    def write(self, work: Callable[[Session], T], *, lasting: bool = True) -> T:
        """Run ``work`` in a transaction of ``writing`` and return what it returns.

        Where Postgres ends the transaction because of another one (a deadlock, a serialization failure),
        it is run again: ``work`` changes nothing but its session, and asks nothing of Bitrix24.
        """
        for pause in CONFLICT_PAUSES:
            try:
                with self.write_session(lasting=lasting) as session:
                    return work(session)
            except DBAPIError as error:
                if not is_conflict(error):
                    raise
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311  # jitter, not a secret
        with self.write_session(lasting=lasting) as session:
            return work(session)

    def checkpoint_wal(self) -> None:
        """Move what was deleted out of SQLite's write-ahead log too; Postgres keeps no such file for us.

        Whoever is reading is not waited for; the next write of this process tries again then, and the
        worker's periodic task does whatever a process that ended has left.
        """
        if self.engine.dialect.name != "sqlite":
            return
        # Straight on the driver: a checkpoint cannot run inside the transaction a session begins.
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout = 0")
            (busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
            self._has_traces = bool(busy)
        except sqlite3.OperationalError:
            self._has_traces = True
        finally:
            connection.close()

    def clear_files(self, tables: Sequence[str]) -> None:
        """Clear what was deleted out of the files: SQLite's log, or the named tables of Postgres."""
        if self.engine.dialect.name == "sqlite":
            return self.checkpoint_wal()
        # Straight on the driver: VACUUM cannot run inside a transaction.
        with self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.answer_seconds = VACUUM_SECONDS
            try:
                driver.execute(f"VACUUM (SKIP_LOCKED) {', '.join(tables)}")
            except self.engine.dialect.loaded_dbapi.Error as error:
                # It may be lost: to roll back on it would fail once more, with a stack trace in the log.
                connection.invalidate()
                base = self.engine.dialect.loaded_dbapi.Error
                raise DBAPIError.instance("VACUUM", None, error, base) from None


def is_conflict(error: SQLAlchemyError) -> bool:
    """Tell whether Postgres ended a transaction because of another one, and would let it pass now."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in CONFLICTS


def allow_time(connection: Connection, *, seconds: float) -> None:
    """Let the statements of this transaction, and the pauses between them, be longer than a request's.

    On SQLite nothing limits them.
    """
    if connection.dialect.name != "postgresql":
        return
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = {round(seconds * 1000)}"))
    # The driver's connection, dashboard.core.postgres.Connection, waits that long too.
    driver: Any = connection.connection.driver_connection
    driver.answer_seconds = seconds


def insert_into(dialect: str, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can say what to do about a row that is there, in the database's own words."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def dialect_of(session: Session) -> str:
    """Return which of the two databases this is: "sqlite" or "postgresql"."""
    return session.get_bind().dialect.name


def insert_or_ignore(session: Session, table: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows that are not there yet; of two who insert the same one at once, one does nothing."""
    session.execute(insert_into(dialect_of(session), table).on_conflict_do_nothing(), rows)


def upsert(session: Session, table: type[Base], row: Mapping[str, Any]) -> None:
    """Insert the row, or have the one with its key say the same: one statement, nothing is read before.

    Of two who put the same row the later one's stands. Objects of the session are not told.
    """
    session.connection().execute(_upsert_statement(dialect_of(session), table, tuple(row)), row)


@cache
def _upsert_statement(dialect: str, table: type[Base], columns: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    """Return the statement, made once for all rows of these columns: making one costs more than its run."""
    insert = insert_into(dialect, table)
    key = [column.name for column in inspect(table).primary_key]
    changes = {name: insert.excluded[name] for name in columns if name not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def rows_changed(session: Session, statement: Update | Delete) -> int:
    """Return how many rows an UPDATE or DELETE has met; objects of the session are not told."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    return result.rowcount if isinstance(result, CursorResult) else 0


class _WriteLock:
    """Lets the threads of a process write one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for the turn, up to BUSY_SECONDS.

        :raise DBAPIError: the others took longer, as when another process holds SQLite's own lock.
        """
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            locked = sqlite3.OperationalError("database is locked")
            raise DBAPIError.instance("BEGIN", None, locked, sqlite3.Error)
        try:
            yield
        finally:
            self._lock.release()


def _engine(url: str, connections: int) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite(url, connections)
    # The driver is heavy, and SQLite does without it.
    from dashboard.core import postgres

    return create_engine(
        postgres.use_bounded_dialect(url),
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=POOL_SECONDS,
        pool_pre_ping=True,
        hide_parameters=True,  # an error text with what was bound ends in a log
    )


def _sqlite(url: str, connections: int) -> Engine:
    # A thread that reads must not wait for a connection until the writers have had their turns.
    sizes: dict[str, int] = {}
    path = make_url(url).database
    is_file = bool(path) and path != ":memory:"
    if is_file:
        sizes = {"pool_size": connections, "max_overflow": connections, "pool_timeout": POOL_SECONDS}
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS}, **sizes)
    if path and is_file:
        event.listen(engine, "do_connect", lambda *_: _refuse_missing(Path(path)))
        event.listen(engine, "connect", lambda _, record: record.info.update(file=_file_at(path)))
        event.listen(engine, "checkout", lambda _, record, __: _give_up_old(path, record.info["file"]))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _refuse_missing(file: Path) -> None:
    """Refuse to connect where no file is: SQLite would make one, and a mistyped path would look empty."""
    if not file.exists():
        raise sqlite3.OperationalError("unable to open database file: it is not there")


def _file_at(path: str) -> tuple[int, int] | None:
    """Return what tells the file at a path from one that took its place; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _give_up_old(path: str, file: tuple[int, int] | None) -> None:
    """Give up a connection whose file was removed or replaced: what it stores, nobody would find again.

    :raise DisconnectionError: the pool then connects anew, or finds that no file is there.
    """
    if _file_at(path) != file:
        raise DisconnectionError("the database file was removed or replaced")


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late; ours is below
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten: an uninstalled portal leaves no personal data in the file.
    cursor.execute("PRAGMA secure_delete = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Straight on the driver: twice an opening, and the engine's own way takes five times as long.
    options = connection.get_execution_options()
    cursor = connection.connection.cursor()
    try:
        if options.get("sqlite_begin") == "IMMEDIATE":
            # FULL: a token pair that is used must survive a power cut, its predecessor is void already.
            cursor.execute(f"PRAGMA synchronous = {options.get('sqlite_synchronous', 'FULL')}")
            _take_write_lock(cursor)
        else:
            cursor.execute("BEGIN")
    except sqlite3.Error as error:
        # In the engine's words again: whoever waits, tries again or answers 503 knows only those.
        raise DBAPIError.instance("BEGIN", None, error, sqlite3.Error) from None
    finally:
        cursor.close()


def _take_write_lock(cursor: DBAPICursor) -> None:
    """Begin a transaction that may write, waiting for another process's up to BUSY_SECONDS.

    SQLite's own wait sleeps longer from try to try, up to a tenth of a second, in which the lock is
    mostly free: among processes that write for two milliseconds each, most of the time would be slept away.

    :raise sqlite3.OperationalError: the other one holds it still.
    """
    until = time.monotonic() + BUSY_SECONDS
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > until:
                    raise
                time.sleep(LOCK_POLL_SECONDS)
            else:
                return
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")
