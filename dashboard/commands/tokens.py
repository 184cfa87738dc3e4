"""`tokens`: the sealed ones, sealed again."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from dashboard.commands import output
from dashboard.core.database import Database
from dashboard.core.encryption import TokenEncryption
from dashboard.tokens import key_rotation
from dashboard.tokens.key_rotation import RotationProgress


def group(database: Database, encryption: TokenEncryption) -> AppGroup:
    """Return the group."""
    commands = AppGroup("tokens", help="The sealed tokens.")

    @commands.command("rotate-keys")
    def rotate_keys() -> None:
        """Seal everything again with the first of TOKEN_KEYS; the others can be taken away afterwards.

        The application goes on meanwhile. Interrupted, it is simply run again and goes on where it was.
        """
        progress = RotationProgress(0, 0, 0)
        for progress in key_rotation.rotate(database, encryption):
            output.print_text(f"{progress.done} of {progress.total}", err=True)
        if progress.unreadable:
            raise click.ClickException(
                f"{progress.unreadable} values open with none of TOKEN_KEYS and were left alone."
            )
        output.print_text("Every sealed value opens with the first key.")

    return commands
