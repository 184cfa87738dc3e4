"""Write a consistent copy of the database into a file while the application runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from dashboard.core import migrations
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.core.sqlite import file_of


class CannotBackUp(Exception):
    """There is no backup; the message tells the operator why."""


def back_up(database: Database, file: Path) -> None:
    """Write a new file that only its owner can read: a database of SQLite, or an archive for ``pg_restore``.

    The file has its name only when it is complete. Openings and runs go on meanwhile. Of two backups into one file at
    once, the second to end is refused.

    :raise CannotBackUp: there is such a file already, or the database or the folder cannot be used.
    """
    partial: Path | None = None
    try:
        _require_new(file)
        # Its mode is 0600.
        descriptor, name = mkstemp(prefix=f"{file.name}.", suffix=".partial", dir=file.parent)
        os.close(descriptor)
        partial = Path(name)
        url = database.engine.url
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(file_of(url), partial)
        else:
            _require_direct_connection(database)
            if migrations.revision(database) is None:
                raise CannotBackUp("The database at that address has no tables of this application.")
            _dump_postgres(url, partial)
        with partial.open("rb") as complete:
            os.fsync(complete.fileno())
        _require_new(file)
        partial.rename(file)
    except OSError as error:
        raise CannotBackUp(f"The file cannot be written ({error.strerror}).") from None
    except DBAPIError as error:
        raise CannotBackUp(f"The database refused: {_reason(error)}.") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _require_new(file: Path) -> None:
    if file.exists():
        raise CannotBackUp("There is a file of that name already; nothing was changed.")


def _copy_sqlite(source: Path | None, target: Path) -> None:
    """Copy all rows; the copy has no deleted ones, which the file of the database may still have."""
    try:
        with closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise CannotBackUp(f"The copy failed: {_reason(error)}.") from None


def _require_direct_connection(database: Database) -> None:
    """Refuse to run pg_dump through a pooler.

    In transaction mode it may set its search path on one server and read from another, and the archive names tables
    that `pg_restore` cannot find. A pooler invents the process ids that it reports.
    """
    with database.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if driver.info.backend_pid != connection.scalar(text("SELECT pg_backend_pid()")):
            message = "The address leads to a pooler, through which pg_dump may write a damaged backup."
            raise CannotBackUp(f"{message} Set BACKUP_DATABASE_URL to the server's own address.")


def _dump_postgres(url: URL, target: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise CannotBackUp("pg_dump is not installed; Debian's package is postgresql-client.")
    command = [program, "--format=custom", "--no-owner", f"--file={target}"]
    dump = subprocess.run(  # noqa: S603  # no part of the command is input
        command, env={**os.environ, **_connection_variables(url)}, capture_output=True, text=True, check=False
    )
    if dump.returncode:
        raise CannotBackUp(f"pg_dump failed: {_reason(RuntimeError(dump.stderr))}.")


def _connection_variables(url: URL) -> dict[str, str]:
    """Return the address as libpq's environment variables: everybody on the machine can read arguments."""
    # SQLite needs no Postgres driver, which takes some megabytes.
    from psycopg.pq import Conninfo

    variables = {option.keyword.decode(): option.envvar for option in Conninfo.get_defaults()}
    values = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    return {
        variable.decode(): ",".join(value) if isinstance(value, tuple) else str(value)
        for name, value in values.items()
        if (variable := variables.get(name))
    }


def _reason(error: Exception) -> str:
    return describe(error).removeprefix("DATABASE_URL: ")
