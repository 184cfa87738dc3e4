"""`people`: who is connected and who is not. Numbers, no names: an operator needs no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import ColumnElement, and_, or_, select

from dashboard.commands import output
from dashboard.commands.found import find_portal
from dashboard.core.database import Database
from dashboard.models import Person, Portal, TokenState
from dashboard.portals.installations import Installations

STALE = timedelta(days=2)
STATES = ("connected", "stale", "reconnect", "never")


def group(database: Database, portals: Installations, now: Callable[[], datetime]) -> AppGroup:
    """Return the group."""
    commands = AppGroup("people", help="The people of the portals.")

    @commands.command("list")
    @click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
    @click.option("--portal", "member_id", help="Only those of this portal.")
    @click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True)
    @output.as_json
    def list_(state: str | None, member_id: str | None, limit: int, as_json: bool) -> None:
        """List people: portal, user id, state, last opening, last reading, what is wrong.

        connected: read within two days. stale: not for longer. reconnect: the person has to open the
        application again. never: listed by the portal, has not opened it yet.
        """
        conditions = [Portal.id == find_portal(portals, member_id).id] if member_id else []
        if state is not None:
            conditions.append(_in_state(now())[state])
        found = list(_listed(database, conditions, now=now(), limit=limit + 1))
        output.print_rows(found[:limit], as_json=as_json, nothing="Nobody.")
        if len(found) > limit:
            output.print_text(f"These are the first {limit}; --limit shows more.", err=True)

    return commands


def _in_state(now: datetime) -> dict[str, ColumnElement[bool]]:
    fresh = and_(Person.settings_at.is_not(None), Person.settings_at >= now - STALE)
    live = Person.chain_state == TokenState.VALID
    return {
        "connected": and_(live, fresh),
        "stale": and_(live, or_(Person.settings_at.is_(None), Person.settings_at < now - STALE)),
        "reconnect": Person.chain_state == TokenState.REVOKED,
        "never": Person.chain_state.is_(None),
    }


def _listed(
    database: Database, conditions: list[ColumnElement[bool]], *, now: datetime, limit: int
) -> Iterator[dict[str, Any]]:
    chosen = (
        select(Person, Portal.member_id)
        .join(Portal)
        .where(*conditions)
        .order_by(Portal.id, Person.user_id)
        .limit(limit)
    )
    with database.read_session() as session:
        for person, member_id in session.execute(chosen):
            yield {
                "portal": member_id,
                "user": person.user_id,
                "state": _state(person, now),
                "opened": person.opened_at,
                "read": person.settings_at,
                "problem": person.problem,
            }


def _state(person: Person, now: datetime) -> str:
    if person.chain_state is None:
        return "never"
    if person.chain_state == TokenState.REVOKED:
        return "reconnect"
    return "connected" if person.settings_at and person.settings_at >= now - STALE else "stale"
