"""The operator's commands put together: `flask --app app …`. No secret is ever printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

import click
from flask import Flask
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.commands import config as variables
from dashboard.commands import db, doctor, log, people, runs, settings, tokens
from dashboard.commands import portals as installations
from dashboard.core.config import Config
from dashboard.core.database import Database
from dashboard.core.database_errors import describe
from dashboard.core.encryption import TokenEncryption
from dashboard.core.json_values import escape_invisible
from dashboard.monitoring.readiness import ReadinessProbe
from dashboard.portals.installations import Installations
from dashboard.portals.throttle import Throttle
from dashboard.sync.runs import Runs


def install(
    app: Flask,
    config: Config,
    *,
    database: Database,
    encryption: TokenEncryption,
    portals: Installations,
    synchronisations: Runs,
    rest: RestHttp,
    servers: AuthorizationServers,
    probe: ReadinessProbe,
    throttle: Throttle,
    now: Callable[[], datetime],
) -> None:
    """Add the commands to the application."""
    commands: list[click.Command] = [
        db.group(database),
        installations.group(database, portals),
        people.group(database, portals, now),
        runs.group(database, portals),
        runs.sync(database, portals, synchronisations),
        tokens.group(database, encryption),
        log.group(database, now),
        settings.group(config, rest, now),
        variables.group(),
        doctor.command(
            config,
            database=database,
            portals=portals,
            probe=probe,
            servers=servers,
            throttle=throttle,
            now=now,
        ),
    ]
    for command in commands:
        _short_database_errors(command)
        app.cli.add_command(command)


def _short_database_errors(command: click.Command) -> None:
    """Let commands end with one line where the database is away or has another schema, not with a stack."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _short_database_errors(subcommand)
    elif command.callback is not None:
        command.callback = _wrap(command.callback)


def _wrap(callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def told(*arguments: Any, **options: Any) -> Any:
        try:
            return callback(*arguments, **options)
        except click.UsageError:
            raise  # quotes the operator alone
        except click.ClickException as error:
            # It may quote a code that Bitrix24 or whoever answered in its place has sent.
            raise click.ClickException(escape_invisible(error.message)) from None
        except (IntegrityError, DataError):
            raise  # what we asked for is wrong, not the database
        except (DBAPIError, PoolTimeout) as error:
            raise SystemExit(describe(error)) from None

    return told
