"""Give commands the application's services, the portal an argument names, and one-line errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dashboard.core.database_errors import describe
from dashboard.core.json_values import escape_invisible
from dashboard.models import Portal
from dashboard.portals.deletion import FORMER_GENERATION
from dashboard.services import Services

# The log names portals by number.
portal_argument = click.argument("portal", metavar="MEMBER_OR_NUMBER")
portal_option = click.option("--portal", metavar="MEMBER_OR_NUMBER", help="Only those of this portal.")


class OperatorCommand(click.Command):
    """A command that prints one line if the database is unavailable or has another schema."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _one_line_errors():
            return super().invoke(ctx)


class OperatorGroup(AppGroup):
    """A group of `OperatorCommand`s that run in the application's context."""

    command_class = OperatorCommand


def services() -> Services:
    """Return the services of the current application."""
    current: Services = current_app.extensions["services"]
    return current


def find_portal(text: str) -> Portal:
    """Return the portal with this member id, or with this number from the log.

    :raise ClickException: no portal has it.
    """
    portal = services().installations.find(text)
    if portal is None and text.isascii() and text.isdecimal() and len(text) < 10:
        with services().database.read_session() as session:
            portal = session.get(Portal, int(text))
    if portal is None or portal.generation == FORMER_GENERATION:
        message = "No portal has this member id or number. `portals list` shows them all."
        raise click.ClickException(message)
    return portal


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except click.UsageError:
        raise  # quotes only what the operator typed
    except click.ClickException as error:
        # The message may quote an error code from Bitrix24 or from any other server.
        raise click.ClickException(escape_invisible(error.message)) from None
    except (IntegrityError, DataError):
        raise  # a defect in our statement, not in the database
    except (DBAPIError, PoolTimeout) as error:
        raise SystemExit(describe(error)) from None
