"""The operator's commands put together: `flask --app app …`. No secret is ever printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click
from flask import Flask

from dashboard.bitrix24.exchange import Exchange
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.commands import config as variables
from dashboard.commands import db, doctor, log, people, runs, settings, tokens
from dashboard.commands import portals as installations
from dashboard.config import Config
from dashboard.db import Database
from dashboard.portals import Portals
from dashboard.readiness import Probe
from dashboard.runs import Runs
from dashboard.vault import Vault


def install(
    app: Flask,
    config: Config,
    *,
    database: Database,
    vault: Vault,
    portals: Portals,
    synchronisations: Runs,
    exchange: Exchange,
    servers: AuthorizationServers,
    probe: Probe,
    now: Callable[[], datetime],
) -> None:
    """Add the commands to the application."""
    commands: list[click.Command] = [
        db.group(database),
        installations.group(database, portals),
        people.group(database, now),
        runs.group(database),
        runs.sync(database, portals, synchronisations),
        tokens.group(database, vault),
        log.group(database, now),
        settings.group(config, exchange, now),
        variables.group(),
        doctor.command(config, database=database, probe=probe, servers=servers),
    ]
    for command in commands:
        app.cli.add_command(command)
