"""Create SQLAlchemy engines for SQLite in WAL mode, with timeouts for locks and statements."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, DisconnectionError

DRIVER = "sqlite+bounded"
BUSY_SECONDS = 10.0
LOCK_POLL_SECONDS = 0.0005
STATEMENT_SECONDS = 15.0  # as on Postgres
# SQLite's virtual machine instructions between two calls of the progress handler: about two milliseconds.
INSTRUCTIONS_PER_CHECK = 50_000
FILE_MODE, FOLDER_MODE = 0o600, 0o750


class StatementTimer:
    """Ends a statement of one connection that takes too long, with the error SQLITE_INTERRUPT."""

    def __init__(self) -> None:
        self.seconds = STATEMENT_SECONDS  # for each statement of the transaction
        self._deadline = math.inf

    def start(self) -> None:
        """Restart the time for the next statement."""
        self._deadline = time.monotonic() + self.seconds

    def is_over(self) -> bool:
        """Tell SQLite whether to end the statement."""
        return time.monotonic() > self._deadline


class _Connection(sqlite3.Connection):
    """A connection that knows the options of its next transaction, and times each statement."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options: Mapping[str, Any] = {}
        self.timer = StatementTimer()
        self.set_progress_handler(self.timer.is_over, INSTRUCTIONS_PER_CHECK)

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(_Cursor)


class _Cursor(sqlite3.Cursor):
    connection: _Connection

    def execute(self, *arguments: Any) -> Self:
        self.connection.timer.start()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> Self:
        self.connection.timer.start()
        return super().executemany(*arguments)


class BoundedSQLiteDialect(SQLiteDialect_pysqlite):
    """SQLite with explicit transactions and bounded waits.

    It registers no SQLAlchemy connection events, because with a single one registered every statement checks for all
    of them.
    """

    supports_statement_cache = True

    def set_connection_execution_options(self, connection: Connection, opts: Mapping[str, Any]) -> None:
        """Keep the options of the connection's next transaction."""
        super().set_connection_execution_options(connection, opts)
        _driver_of(connection).options = opts

    def do_begin(self, dbapi_connection: Any) -> None:
        """Begin a transaction; one with ``sqlite_begin="IMMEDIATE"`` takes the write lock."""
        connection: _Connection = dbapi_connection.driver_connection
        options, connection.options = connection.options, {}
        connection.timer.seconds = options.get("sqlite_statement_seconds", STATEMENT_SECONDS)
        cursor = connection.cursor()
        try:
            if options.get("sqlite_begin") == "IMMEDIATE":
                # FULL: a refreshed token pair must survive a power cut, because the old pair is already invalid.
                cursor.execute(f"PRAGMA synchronous = {'FULL' if options.get('durable', True) else 'NORMAL'}")
                _begin_immediate(cursor)
            else:
                cursor.execute("BEGIN")
        finally:
            cursor.close()


class WriteLock:
    """Lets one thread of the process write at a time.

    SQLite's waiting writers sleep and retry in no order, so one of many threads could wait for seconds. With this
    lock, only one thread of each process waits for SQLite's own lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock.

        :raise DBAPIError: other threads held it for BUSY_SECONDS.
        """
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise _as_dbapi_error(sqlite3.OperationalError("database is locked"))
        try:
            yield
        finally:
            self._lock.release()


def new_engine(url: str, **pool: Any) -> Engine:
    """Return an engine; unlike SQLite itself it never creates a missing file."""
    registry.register("sqlite.bounded", __name__, BoundedSQLiteDialect.__name__)
    path = file_of(url)
    engine = create_engine(
        make_url(url).set(drivername=DRIVER),
        hide_parameters=True,
        connect_args={"timeout": BUSY_SECONDS, "factory": _Connection},
        **(pool if path else {}),
    )
    if path:
        # Without this, SQLite creates a file at a mistyped path, which looks like an empty database.
        event.listen(engine, "do_connect", lambda *_: _require_file(path))
        event.listen(engine, "connect", lambda _, record: record.info.update(file=_file_id(path)))
        event.listen(engine, "checkout", lambda _, record, __: _require_same_file(path, record.info["file"]))
    event.listen(engine, "connect", _set_up_connection)
    return engine


def timer_of(connection: Connection) -> StatementTimer:
    """Return the timer of the driver's connection."""
    return _driver_of(connection).timer


def _driver_of(connection: Connection) -> _Connection:
    return cast("_Connection", connection.connection.driver_connection)


def file_of(url: str | URL) -> Path | None:
    """Return the database file, None for a database in memory."""
    path = make_url(url).database
    return Path(path) if path and path != ":memory:" else None


def create_file(path: Path) -> None:
    """Create a missing file and its folder, readable by the owner only; SQLite copies the mode to its -wal file.

    :raise OSError: the file cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def truncate_wal(engine: Engine) -> bool:
    """Move the write-ahead log into the database file without waiting; return False if that is impossible now.

    A reader may prevent it, or the file may be gone.
    """
    # A checkpoint cannot run in a transaction, which a SQLAlchemy connection begins by itself.
    try:
        with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                (is_busy, _, _) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                _restore_busy_timeout(cursor)
    except sqlite3.OperationalError:
        return False
    return not is_busy


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a file from another one at the same path, None if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _require_file(path: Path) -> None:
    if not path.exists():
        raise sqlite3.OperationalError("unable to open database file: it is not there")


def _require_same_file(path: Path, file_id: tuple[int, int] | None) -> None:
    """Drop a connection to a file that was removed or replaced: what it stores would be lost.

    :raise DisconnectionError: the pool then connects again.
    """
    if _file_id(path) != file_id:
        raise DisconnectionError("the database file was removed or replaced")


def _set_up_connection(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions; `do_begin` does
    # secure_delete overwrites deleted rows: an uninstalled portal leaves no personal data in the file.
    for setting in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin_immediate(cursor: _Cursor) -> None:
    """Take SQLite's write lock, polling for BUSY_SECONDS.

    SQLite's own wait sleeps up to a tenth of a second between tries, while the other processes hold the lock for
    about two milliseconds each.

    :raise sqlite3.OperationalError: another process still holds the lock.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    cursor.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(LOCK_POLL_SECONDS)
    finally:
        _restore_busy_timeout(cursor)


def _restore_busy_timeout(cursor: _Cursor | DBAPICursor) -> None:
    cursor.execute(f"PRAGMA busy_timeout = {round(BUSY_SECONDS * 1000)}")


def _as_dbapi_error(error: sqlite3.Error) -> BaseException:
    """Return SQLAlchemy's error, as it raises for any other statement."""
    return DBAPIError.instance("BEGIN", None, error, sqlite3.Error)
