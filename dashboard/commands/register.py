"""Add the operator's commands to the application: `flask --app app …`."""

from __future__ import annotations

from flask import Flask

from dashboard.commands import config, db, doctor, log, people, portals, runs, settings, tokens, worker

COMMANDS = (
    db.group,
    portals.group,
    people.group,
    runs.group,
    runs.sync_group,
    tokens.group,
    log.group,
    settings.group,
    config.group,
    doctor.command,
    worker.command,
)


def install(app: Flask) -> None:
    """Add every command."""
    for command in COMMANDS:
        app.cli.add_command(command)
