"""`tokens`: encrypt stored secrets with a new key."""

from __future__ import annotations

import click

from dashboard.commands import output
from dashboard.commands.context import OperatorGroup, services
from dashboard.tokens import key_rotation

group = OperatorGroup("tokens", help="The encrypted tokens.")


@group.command("rotate-keys")
def rotate_keys() -> None:
    """Encrypt everything with the first of TOKEN_KEYS; the other keys can be removed afterwards.

    The application keeps running. If the command is interrupted, run it again: it continues.
    """
    unreadable = 0
    for progress in key_rotation.rotate(services().database, services().encryption):
        output.print_text(f"{progress.done} of {progress.total}", err=True)
        unreadable = progress.unreadable
    if unreadable:
        raise click.ClickException(f"{unreadable} values cannot be decrypted by any of TOKEN_KEYS and are unchanged.")
    output.print_text("Every value is encrypted with the first key.")
