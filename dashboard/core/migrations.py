"""The schema's versions: forwards, back, and where it stands.

Only who migrates loads Alembic: it takes a tenth of the memory of a process that serves or works.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from dashboard.core.database import Base, Database, allow_time

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

MIGRATIONS = Path(__file__).parents[2] / "migrations"
# Any number, the same in every process: two releases at once migrate one after the other.
_ADVISORY_LOCK = 5_201_314
MIGRATION_SECONDS = 900  # an index on a million people, or another release's turn


class CannotMigrate(Exception):
    """Nothing was changed; the message says why, in words for an operator."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate forwards. A second process doing the same waits, then finds nothing to do.

    A schema that a later release made is left as it is.

    :raise CannotMigrate: the revision is none this code knows, or it cannot work with the schema.
    :raise OSError: SQLite's file is missing and cannot be made.
    """
    from alembic import command

    database.create_file()
    if revision == "head" and is_newer(database):
        # As after a roll-back. A later release adds to the schema, which does not disturb this code.
        if lacks := missing_columns(database):
            raise CannotMigrate(f"The schema is a later version's, and lacks {', '.join(lacks)}.")
        return
    _migrate(database, command.upgrade, revision)


def downgrade(database: Database, revision: str) -> None:
    """Migrate back to a revision, ``base`` for an empty schema.

    :raise CannotMigrate: the revision, or the one the database stands at, is none this code knows.
    """
    from alembic import command

    _migrate(database, command.downgrade, revision)


def _migrate(database: Database, step: Callable[[AlembicConfig, str], None], revision: str) -> None:
    from alembic.util import CommandError

    try:
        with database.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            step(_alembic(_migration_lock(connection)), revision)
    except CommandError as error:
        newest, oldest = known_revisions()[0], known_revisions()[-1]
        raise CannotMigrate(f"{error}; this version knows {oldest} to {newest}.") from None


def is_current(database: Database) -> bool:
    """Tell whether the schema is the one this code was written for."""
    return revision(database) == known_revisions()[0]


def is_newer(database: Database) -> bool:
    """Tell whether a later release made the schema: it stands at a revision this code does not know."""
    present = revision(database)
    return present is not None and present not in known_revisions()


def is_compatible(database: Database) -> bool:
    """Tell whether this code can work: the schema is its own, or a later release's, and nothing is missing.

    A release migrates while the version before it still serves; what it adds does not disturb that one.
    """
    return (is_current(database) or is_newer(database)) and not missing_columns(database)


def missing_columns(database: Database) -> tuple[str, ...]:
    """Return what the models define and the database lacks, as ``table`` or ``table.column``.

    The caller has imported the models. The revision alone does not tell: early migrations were edited after
    they had been released.
    """
    found = inspect(database.engine).get_multi_columns(filter_names=list(Base.metadata.tables))
    columns = {table: {column["name"] for column in rows} for (_, table), rows in found.items()}
    lacks = [
        column.table.name if column.table.name not in columns else f"{column.table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name not in columns.get(table.name, ())
    ]
    return tuple(dict.fromkeys(lacks))


def revision(database: Database) -> str | None:
    """Return where the schema stands, None where there is none yet."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        present: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return present


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions this code knows, the newest first; they do not change while it runs.

    They are numbered one after another, and their files begin with the number.
    """
    files = sorted(MIGRATIONS.glob("versions/[0-9]*_*.py"), reverse=True)
    return tuple(file.name.partition("_")[0] for file in files)


def _migration_lock(connection: Connection) -> Connection:
    if connection.dialect.name == "postgresql":
        allow_time(connection, seconds=MIGRATION_SECONDS)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    return connection


def _alembic(connection: Connection) -> AlembicConfig:
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
