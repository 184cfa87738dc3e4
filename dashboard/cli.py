"""Operator commands: `flask --app app …`. No secret is ever printed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import func, select, update
from sqlalchemy.orm import InstrumentedAttribute

from dashboard import calls, schema
from dashboard.db import Database
from dashboard.models import Chain, ChainState, Person, Portal
from dashboard.portals import Portals
from dashboard.vault import Unsealable, Vault

SEALED: tuple[InstrumentedAttribute[str | None], ...] = (
    Portal.application_token,
    Chain.access_token,
    Chain.refresh_token,
)


def install(
    app: Flask, *, database: Database, vault: Vault, portals: Portals, now: Callable[[], datetime]
) -> None:
    """Add the commands to the application."""
    for group in (
        _db(database),
        _portals(database, portals),
        _tokens(database, vault),
        _log(database, now),
    ):
        app.cli.add_command(group)


def _db(database: Database) -> AppGroup:
    db = AppGroup("db", help="The schema of the database.")

    @db.command()
    @click.argument("revision", default="head")
    def upgrade(revision: str) -> None:
        """Migrate forwards, to the newest revision if none is named."""
        schema.upgrade(database, revision)
        click.echo("The schema is up to date." if schema.is_current(database) else f"Now at {revision}.")

    @db.command()
    @click.argument("revision")
    @click.confirmation_option(prompt="What newer versions added is dropped with its data. Go on?")
    def downgrade(revision: str) -> None:
        """Migrate back to a revision; `base` empties the schema."""
        schema.downgrade(database, revision)
        click.echo(f"Now at {revision}.")

    return db


def _portals(database: Database, portals: Portals) -> AppGroup:
    group = AppGroup("portals", help="The portals that installed the application.")

    @group.command("list")
    def list_() -> None:
        """List portals: member id, state, generation, people, address."""
        people = select(func.count()).where(Person.portal_id == Portal.id).scalar_subquery()
        with database.reading() as session:
            for portal, count in session.execute(select(Portal, people).order_by(Portal.id)):
                click.echo(
                    f"{portal.member_id}  {portal.state:<11} {portal.generation} {count:>6}  {portal.origin}"
                )

    @group.command()
    @click.argument("member_id")
    def show(member_id: str) -> None:
        """Show one portal and its chains by state."""
        portal = _found(portals, member_id)
        by_state = (
            select(Chain.state, func.count())
            .join(Person, Person.id == Chain.person_id)
            .where(Person.portal_id == portal.id)
            .group_by(Chain.state)
        )
        with database.reading() as session:
            chains = {ChainState(state): count for state, count in session.execute(by_state)}
        click.echo(f"member id      {portal.member_id}")
        click.echo(f"address        {portal.origin}")
        click.echo(f"authorization  {portal.authorization_server}")
        click.echo(f"state          {portal.state}, generation {portal.generation}")
        click.echo(f"installed      {portal.installed_at:%Y-%m-%d %H:%M} UTC")
        for state in ChainState:
            click.echo(f"chains         {chains.get(state, 0)} {state}")

    @group.command()
    @click.argument("member_id")
    @click.confirmation_option(prompt="Everything about the people of this portal is deleted. Go on?")
    def forget(member_id: str) -> None:
        """Delete everything about a portal's people, as if it had uninstalled the application."""
        portals.uninstall(_found(portals, member_id))
        click.echo("Forgotten.")

    return group


def _tokens(database: Database, vault: Vault) -> AppGroup:
    tokens = AppGroup("tokens", help="The sealed tokens.")

    @tokens.command("rotate-keys")
    def rotate_keys() -> None:
        """Seal everything again with the first of TOKEN_KEYS; the others can be taken away afterwards."""
        unreadable = sum(_rotate(database, vault, column) for column in SEALED)
        if unreadable:
            raise click.ClickException(
                f"{unreadable} values open with none of TOKEN_KEYS and were left alone."
            )
        click.echo("Every sealed value opens with the first key.")

    return tokens


def _log(database: Database, now: Callable[[], datetime]) -> AppGroup:
    log = AppGroup("log", help="The remembered REST calls.")

    @log.command()
    def purge() -> None:
        """Delete the calls older than three days."""
        with database.writing() as session:
            count = calls.purge(session, now=now())
        click.echo(f"Deleted {count} calls.")

    return log


def _found(portals: Portals, member_id: str) -> Portal:
    portal = portals.known(member_id)
    if portal is None:
        raise click.ClickException("No portal has this member id.")
    return portal


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
