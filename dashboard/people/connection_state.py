"""Define the connection state of a person, and who belongs to a portal's team, as SQL conditions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, and_, case, false, not_, or_

from dashboard.models import Person, Portal, TokenState

STALE_AFTER = timedelta(days=2)  # age of a person's settings from which their state is "stale"

ConnectionState = Literal["connected", "stale", "reconnect", "never"]
STATES: tuple[ConnectionState, ...] = ("connected", "stale", "reconnect", "never")


def colleague_conditions(portal: Portal) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a member of the portal's team: an employee.

    People whom the list of employees has not named may be guests and do not count. Administrators are marked as
    employees when they open the application; until the list has been read once, so are people to whom Bitrix24
    returns what it returns to employees only.
    """
    return (Person.portal_id == portal.id, Person.listed.is_(True))


def state_conditions(now: datetime) -> dict[ConnectionState, ColumnElement[bool]]:
    """Return the condition of each state; "connected" has none, it is everyone else. No two conditions overlap."""
    has_valid_token = Person.chain_state == TokenState.VALID
    return {
        "never": Person.chain_state.is_(None),
        "reconnect": Person.chain_state == TokenState.REVOKED,
        "stale": and_(has_valid_token, or_(Person.settings_at.is_(None), Person.settings_at < now - STALE_AFTER)),
    }


def is_in_state(state: str, now: datetime) -> ColumnElement[bool]:
    """Return the condition for the people in a state, whose number Postgres can estimate."""
    conditions = {str(name): condition for name, condition in state_conditions(now).items()}
    conditions["connected"] = not_(or_(*conditions.values()))
    return conditions.get(state, false())


def state_expression(now: datetime) -> ColumnElement[str]:
    """Return an SQL expression for a person's state."""
    return case(*((condition, name) for name, condition in state_conditions(now).items()), else_="connected")
