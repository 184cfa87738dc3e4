"""`db`: the schema of the database, and its move to another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
from flask.cli import AppGroup
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.commands import output
from dashboard.core import database_copy, migrations
from dashboard.core.config_types import parse_database_url
from dashboard.core.database import Database
from dashboard.core.database_copy import CannotCopy
from dashboard.core.migrations import CannotMigrate

TARGET = "COPY_TARGET_URL"


def group(database: Database) -> AppGroup:
    """Return the group."""
    commands = AppGroup("db", help="The schema of the database, and its move to another one.")

    @commands.command()
    @click.argument("revision", default="head")
    def upgrade(revision: str) -> None:
        """Migrate forwards, to the newest revision if none is named."""
        _migrate(migrations.upgrade, database, revision)
        if migrations.is_newer(database):
            present = migrations.revision(database)
            output.print_text(f"The schema stands at {present}, a later version's; this one works with it.")
        else:
            output.print_text("The schema is up to date." if migrations.is_current(database) else f"Now at {revision}.")

    @commands.command()
    @click.argument("revision")
    @click.confirmation_option(prompt="What newer versions added is dropped with its data. Go on?")
    def downgrade(revision: str) -> None:
        """Migrate back to a revision; `base` empties the schema."""
        _migrate(migrations.downgrade, database, revision)
        output.print_text(f"Now at {revision}.")

    @commands.command()
    def current() -> None:
        """Say where the schema stands; exit with 1 where it is not what this version needs."""
        output.print_text(migrations.revision(database) or "empty")
        if not migrations.is_compatible(database):
            raise click.ClickException("The schema is not this version's; `db upgrade` migrates.")

    @commands.command()
    @click.option(
        "--target-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Holds the address.",
    )
    @click.confirmation_option(prompt="Web and worker must be stopped: what they write meanwhile is lost. Are they?")
    def copy(target_file: Path | None) -> None:
        """Copy everything into another, empty database, and compare both.

        The target's address holds a password, so it is no argument: it is read from --target-file, else
        from the variable COPY_TARGET_URL, else asked for.
        """
        target = Database(_target(target_file).get_secret_value(), connections=1)
        try:
            counts = database_copy.copy(database, target)
        except (CannotCopy, CannotMigrate) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            kind = type(error).__name__
            raise click.ClickException(f"The target's folder cannot be made ({kind}).") from None
        except SQLAlchemyError as error:
            # Its text names host and user; the kind says enough.
            raise click.ClickException(f"A database refused: {type(error).__name__}.") from None
        finally:
            target.engine.dispose()
        for table, count in counts.items():
            output.print_text(f"{table:<12} {count:>9} rows, the same in both")
        output.print_text("Copied. Set DATABASE_URL to the new address and start again; the old database is as it was.")

    return commands


def _migrate(step: Callable[[Database, str], None], database: Database, revision: str) -> None:
    try:
        step(database, revision)
    except CannotMigrate as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise SystemExit(f"DATABASE_URL: its folder cannot be made ({type(error).__name__})") from None


def _target(file: Path | None) -> SecretStr:
    if file:
        address = file.read_text(encoding="utf-8").strip()
    else:
        address = os.environ.get(TARGET) or click.prompt("Address of the empty database", hide_input=True)
    try:
        return parse_database_url(SecretStr(address))
    except ValueError as error:
        raise click.ClickException(f"The address {error}.") from None
