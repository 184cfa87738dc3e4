"""`config`: what can be configured, told by the code itself."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from dashboard import config


def group() -> AppGroup:
    """Return the group."""
    commands = AppGroup("config", help="What the environment decides.")

    @commands.command()
    def table() -> None:
        """Print the table of variables, as the documents show it."""
        click.echo(markdown())

    return commands


def markdown() -> str:
    """Return the table of variables; a value is never part of it."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {means} |" for name, default, means in config.variables()]
    return "\n".join(lines)
