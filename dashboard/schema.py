"""The schema's versions: forwards, back, and where it stands."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from dashboard.db import Database

MIGRATIONS = Path(__file__).parent.parent / "migrations"
# Any number, the same in every process: two releases at once migrate one after the other.
_ADVISORY_LOCK = 5_201_314


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate forwards. A second process doing the same waits, then finds nothing to do."""
    with database.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        command.upgrade(_alembic(_locked(connection)), revision)


def downgrade(database: Database, revision: str) -> None:
    """Migrate back to a revision, ``base`` for an empty schema."""
    with database.engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
        command.downgrade(_alembic(_locked(connection)), revision)


def is_current(database: Database) -> bool:
    """Tell whether the schema is the one this code was written for."""
    return revision(database) == _known()[0]


def suffices(database: Database) -> bool:
    """Tell whether this code can work: the schema is its own, or one that a later release has made of it.

    A release migrates while the version before it still serves; what it adds does not disturb that one.
    """
    present, known = revision(database), _known()
    return present == known[0] or (present is not None and present not in known)


def revision(database: Database) -> str | None:
    """Return where the schema stands, None where there is none yet."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


@cache
def _known() -> tuple[str, ...]:
    """Return the revisions this code knows, the newest first; they do not change while it runs."""
    return tuple(step.revision for step in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def _locked(connection: Connection) -> Connection:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    return connection


def _alembic(connection: Connection) -> AlembicConfig:
    config = AlembicConfig(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
