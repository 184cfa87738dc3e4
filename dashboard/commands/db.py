"""`db`: migrate the schema, back the database up, and copy everything into another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, services
from dashboard.core import database_backup, database_copy, migrations
from dashboard.core.config_types import parse_database_url
from dashboard.core.database import Database
from dashboard.core.database_backup import CannotBackUp
from dashboard.core.database_copy import CannotCopy
from dashboard.core.database_errors import describe
from dashboard.core.migrations import CannotMigrate

TARGET_VARIABLE = "COPY_TARGET_URL"
BACKUP_VARIABLE = "BACKUP_DATABASE_URL"

group = OperatorGroup("db", help="Migrate the schema, back the database up, and copy everything into another one.")


@group.command()
@click.argument("revision", default="head")
def upgrade(revision: str) -> None:
    """Migrate forwards, by default to the newest revision."""
    database = services().database
    with _migration_errors():
        migrations.upgrade(database, revision)
    schema = migrations.revision(database)
    if migrations.is_newer(database):
        output.print_text(f"The schema is at {schema}, from a newer version; this version is compatible with it.")
    else:
        output.print_text("The schema is up to date." if migrations.is_current(database) else f"Now at {schema}.")


@group.command()
@click.argument("revision")
@click.confirmation_option(prompt="This drops what newer versions added, with its data. Continue?")
def downgrade(revision: str) -> None:
    """Migrate back to a revision; `base` empties the schema."""
    with _migration_errors():
        migrations.downgrade(services().database, revision)
    output.print_text(f"Now at {revision}.")


@group.command()
def current() -> None:
    """Print the schema's revision; exit with 1 if this version cannot work with it."""
    output.print_text(migrations.revision(services().database) or "empty")
    if not migrations.is_compatible(services().database):
        raise click.ClickException("This version needs another schema; `db upgrade` migrates.")


@group.command()
@click.argument("file", type=click.Path(path_type=Path))
def backup(file: Path) -> None:
    """Write a copy into a new file that only its owner can read, while web and worker run.

    For SQLite it is a database, for Postgres an archive that `pg_restore` reads. If DATABASE_URL leads to a pooler,
    the server's own address is read from the variable BACKUP_DATABASE_URL.
    """
    url = os.environ.get(BACKUP_VARIABLE)
    database = Database(_parse_address(url), connections=1) if url else services().database
    try:
        database_backup.back_up(database, file)
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.engine.dispose()
    output.print_text(f"{file.stat().st_size} bytes.")


@group.command()
@click.option(
    "--target-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that contains the target's address.",
)
@click.confirmation_option(prompt="Are web and worker stopped? What they write during the copy is lost.")
def copy(target_file: Path | None) -> None:
    """Copy everything into another, empty database, and compare both.

    The target's address contains a password, so it is not an argument: it is read from --target-file, else from
    the variable COPY_TARGET_URL, else asked for.
    """
    target = Database(_target_url(target_file), connections=1)
    try:
        counts = database_copy.copy(services().database, target)
    except (CannotCopy, CannotMigrate) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"The target's folder cannot be created ({type(error).__name__}).") from None
    except SQLAlchemyError as error:
        reason = describe(error).removeprefix("DATABASE_URL: ")  # the error's own text names host and user
        raise click.ClickException(f"A database refused: {reason}.") from None
    finally:
        target.engine.dispose()
    for table, count in counts.items():
        output.print_text(f"{table:<12} {count:>9} rows, the same in both")
    output.print_text("Copied. Set DATABASE_URL to the new address and restart; the old database is unchanged.")


@contextmanager
def _migration_errors() -> Iterator[None]:
    try:
        yield
    except CannotMigrate as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise SystemExit(f"DATABASE_URL: its folder cannot be created ({type(error).__name__})") from None


def _target_url(file: Path | None) -> str:
    if file:
        url = file.read_text(encoding="utf-8").strip()
    else:
        url = os.environ.get(TARGET_VARIABLE) or click.prompt("Address of the empty database", hide_input=True)
    return _parse_address(url)


def _parse_address(url: str) -> str:
    try:
        return parse_database_url(SecretStr(url)).get_secret_value()
    except ValueError as error:
        raise click.ClickException(f"The address {error}.") from None
