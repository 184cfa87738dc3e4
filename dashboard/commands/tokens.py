"""`tokens`: the sealed ones, sealed again."""

from __future__ import annotations

import click
from flask.cli import AppGroup
from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute

from dashboard.db import Database
from dashboard.models import Chain, Portal
from dashboard.vault import Unsealable, Vault

SEALED: tuple[InstrumentedAttribute[str | None], ...] = (
    Portal.application_token,
    Chain.access_token,
    Chain.refresh_token,
)


def group(database: Database, vault: Vault) -> AppGroup:
    """Return the group."""
    commands = AppGroup("tokens", help="The sealed tokens.")

    @commands.command("rotate-keys")
    def rotate_keys() -> None:
        """Seal everything again with the first of TOKEN_KEYS; the others can be taken away afterwards."""
        unreadable = sum(_rotate(database, vault, column) for column in SEALED)
        if unreadable:
            raise click.ClickException(
                f"{unreadable} values open with none of TOKEN_KEYS and were left alone."
            )
        click.echo("Every sealed value opens with the first key.")

    return commands


def _rotate(database: Database, vault: Vault, column: InstrumentedAttribute[str | None]) -> int:
    """Seal a column again row by row; return how many values no key opens.

    Each row is compared and set, so a pair that was renewed meanwhile stays the renewed one, and an
    interrupted rotation is simply run again.
    """
    table, unreadable = column.class_, 0
    (key,) = table.__mapper__.primary_key
    with database.reading() as session:
        sealed = session.execute(select(key, column).where(column.is_not(None))).all()
    for row_key, ciphertext in sealed:
        try:
            rotated = vault.rotated(ciphertext)
        except Unsealable:
            unreadable += 1
            continue
        with database.writing() as session:
            session.execute(
                update(table).where(key == row_key, column == ciphertext).values({column: rotated})
            )
    return unreadable
