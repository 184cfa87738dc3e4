"""Migrate the schema with Alembic, and compare it with what this version of the code needs.

Alembic is imported only where a migration runs: it takes a tenth of the memory of a web process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import structlog
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from dashboard.core.database import Base, Database, extend_time_limits
from dashboard.core.database_errors import sqlstate
from dashboard.core.missing_indexes import build_missing_indexes

log = structlog.get_logger()

MIGRATIONS = Path(__file__).parents[2] / "migrations"
# Two releases that migrate at the same time take this lock one after the other.
ADVISORY_LOCK = 5_201_314
# For each statement, such as an index on a million people, or waiting for another release's migration.
MAX_SECONDS = 900
# While a migration waits for a table's lock, every later statement on that table queues behind it. So it waits only
# briefly, and tries again after a pause in which the others continue.
LOCK_SECONDS = 2.0
LOCK_PAUSE_SECONDS = 3.0
MAX_LOCK_WAIT_SECONDS = 300.0
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
# lock_not_available and deadlock_detected: the transaction was rolled back, so the migration can run again.
LOCK_ERRORS = ("55P03", "40P01")
# insufficient_privilege, and invalid_schema_name if the role may use no schema of its search path.
PRIVILEGE_ERRORS = ("42501", "3F000")


class CannotMigrate(Exception):
    """A step was rolled back; the message tells the operator why."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate to a later revision. A second process that does the same waits, then finds nothing to do.

    At the newest one, build the indexes that are still missing. A schema of a later version is left as it is.

    :raise CannotMigrate: the revision is unknown, a later version's schema or the role lacks something, or another
        session holds a lock for too long.
    :raise OSError: SQLite's file cannot be created.
    """
    database.create_file()
    with _name_missing_privileges(database):
        if revision != "head" or not is_newer(database):
            _upgrade_step_by_step(database, revision)
            if revision == "head":
                build_missing_indexes(database)
        # The code was rolled back: this version ignores what later versions add to the schema.
        elif missing := missing_columns(database):
            raise CannotMigrate(f"The schema is a later version's, and lacks {', '.join(missing)}.")


def downgrade(database: Database, revision: str) -> None:
    """Migrate to an earlier revision, dropping what later ones added, with its data.

    :raise CannotMigrate: the revision, or the one in the database, is unknown, the role lacks something, or another
        session holds a lock for too long.
    """
    with _name_missing_privileges(database):
        _migrate(database, "downgrade", revision)


@contextmanager
def _name_missing_privileges(database: Database) -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if sqlstate(error) not in PRIVILEGE_ERRORS or not (missing := missing_privileges(database)):
            raise
        raise CannotMigrate(f"The role in DATABASE_URL lacks {', '.join(missing)}.") from None


def _upgrade_step_by_step(database: Database, target: str) -> None:
    """Migrate to each revision in a transaction of its own, so that none keeps the locks of those before it.

    SQLite has one lock for everything, so one transaction leaves nothing half done there.
    """
    revisions = known_revisions()
    if database.engine.dialect.name == "sqlite" or target not in ("head", *revisions):
        _migrate(database, "upgrade", target)
        return
    current = revision(database) or ""
    for step in reversed(revisions):
        # If another process has migrated meanwhile, this does nothing.
        if step > current:
            _migrate(database, "upgrade", step)
        if step == target:
            return


def _migrate(database: Database, step: Literal["upgrade", "downgrade"], revision: str) -> None:
    """Migrate in one transaction; retry while another session's lock prevents it."""
    deadline = time.monotonic() + MAX_LOCK_WAIT_SECONDS
    is_logged = False
    while True:
        try:
            return _try_to_migrate(database, step, revision)
        except OperationalError as error:
            if sqlstate(error) not in LOCK_ERRORS:
                raise
            statement = " ".join((error.statement or "").split())
        if time.monotonic() > deadline:
            raise CannotMigrate(
                f"Another session holds a lock that this statement needs: {statement}. "
                "End that session (pg_stat_activity lists it), then migrate again."
            )
        if not is_logged:
            log.warning("migration_waits_for_lock", statement=statement, max_seconds=MAX_LOCK_WAIT_SECONDS)
            is_logged = True
        time.sleep(LOCK_PAUSE_SECONDS)


def _try_to_migrate(database: Database, step: Literal["upgrade", "downgrade"], revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    try:
        with database.write_connection() as connection:
            extend_time_limits(connection, seconds=MAX_SECONDS)
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
                connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"))
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(MIGRATIONS))
            getattr(command, step)(config, revision)
    except CommandError as error:
        newest, *_, oldest = known_revisions()
        raise CannotMigrate(f"{error}; this version knows {oldest} to {newest}.") from None


def is_current(database: Database) -> bool:
    """Tell whether the schema is at this version's newest revision."""
    return revision(database) == known_revisions()[0]


def is_newer(database: Database) -> bool:
    """Tell whether a later version migrated the schema: this one does not know its revision."""
    current = revision(database)
    return current is not None and current not in known_revisions()


def is_compatible(database: Database) -> bool:
    """Tell whether this version can work: the schema is its own or a later one, and nothing is missing.

    A release migrates while the previous version still serves requests.
    """
    return (is_current(database) or is_newer(database)) and not missing_columns(database)


def missing_columns(database: Database) -> tuple[str, ...]:
    """Return what the models define and the database lacks, as ``table`` or ``table.column``.

    The caller has imported the models. The revision alone does not tell: early migrations were edited after
    they had been released.
    """
    tables = inspect(database.engine).get_multi_columns(filter_names=list(Base.metadata.tables))
    present = {table: {column["name"] for column in columns} for (_, table), columns in tables.items()}
    missing = [
        f"{table.name}.{column.name}" if table.name in present else table.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name not in present.get(table.name, ())
    ]
    return tuple(dict.fromkeys(missing))


def missing_privileges(database: Database) -> tuple[str, ...]:
    """Return the privileges that the role lacks, as ``INSERT on people``; none on SQLite.

    If the role cannot read the revision, only the privileges for that are returned. If a migration is due, CREATE on
    the schema and ownership of the existing tables are required too. The sequences of serial columns are included, as
    ``USAGE on people_id_seq``, because GRANT … ON ALL TABLES does not cover them. The sequence of an identity column
    needs no privilege.
    """
    if database.engine.dialect.name != "postgresql":
        return ()
    # The current schema is None if the role may not use the one in its search path.
    to_read = text("""
        SELECT 'USAGE on schema public' WHERE current_schema() IS NULL
        UNION ALL
        SELECT 'SELECT on alembic_version' WHERE NOT has_table_privilege(to_regclass('alembic_version'), 'SELECT')
    """)
    with database.engine.connect() as connection:
        if missing := tuple(connection.scalars(to_read)):
            return missing
    query = text("""
        SELECT 'CREATE on schema ' || current_schema()
        WHERE :is_due AND NOT has_schema_privilege(current_schema(), 'CREATE')
        UNION ALL
        SELECT 'ownership of ' || relname
        FROM unnest(CAST(:tables AS text[])) AS table_name JOIN pg_class ON pg_class.oid = to_regclass(table_name)
        WHERE :is_due AND NOT pg_has_role(relowner, 'USAGE')
        UNION ALL
        SELECT right_name || ' on ' || table_name
        FROM unnest(CAST(:tables AS text[])) AS table_name, unnest(CAST(:rights AS text[])) AS right_name
        WHERE NOT has_table_privilege(to_regclass(table_name), right_name)
        UNION ALL
        SELECT 'USAGE on ' || CAST(sequence AS regclass)
        FROM unnest(CAST(:tables AS text[])) AS table_name
        JOIN pg_attribute ON attrelid = to_regclass(table_name) AND attidentity = '' AND NOT attisdropped
        CROSS JOIN pg_get_serial_sequence(table_name, attname) AS sequence
        WHERE NOT has_sequence_privilege(sequence, 'USAGE, UPDATE')
    """)
    values = {
        "tables": list(Base.metadata.tables),
        "rights": list(PRIVILEGES),
        "is_due": not (is_current(database) or is_newer(database)),
    }
    with database.engine.connect() as connection:
        return tuple(connection.scalars(query, values))


def revision(database: Database) -> str | None:
    """Return the schema's revision, None for an empty database."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        current: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return current


def known_revisions() -> tuple[str, ...]:
    """Return the revisions of this version, the newest first; their numbers begin the names of their files."""
    return _revisions_in(MIGRATIONS)


@cache
def _revisions_in(folder: Path) -> tuple[str, ...]:
    files = sorted(folder.glob("versions/[0-9]*_*.py"), reverse=True)
    return tuple(file.name.partition("_")[0] for file in files)
