"""Check what the application needs in a portal: scopes, events and placements; and list its last runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from dashboard.models import Person, Portal, Run
from dashboard.portals.bindings import EVENTS, PLACEMENTS

LAST_RUNS = 5
NO_SCOPE = "insufficient_scope"

RequirementState = Literal["ok", "missing", "unknown"]

# The scopes we request, and those that satisfy each of them, the narrowest first.
SCOPES = {
    "calendar": ("calendar",),
    "user_brief": ("user_brief", "user_basic", "user"),
    "placement": ("placement",),
}


@dataclass(frozen=True)
class Requirement:
    """One thing the application needs in the portal; ``code`` is the error that explains why it is missing."""

    name: str
    state: RequirementState
    code: str | None = None


class LastRun(NamedTuple):
    """A run and the name of who requested it, None for a daily run or somebody who has left."""

    run: Run
    requested_by: str | None


def scopes(portal: Portal) -> list[Requirement]:
    """Return the scopes the application needs, as the portal last returned them."""
    granted = portal.scopes
    if granted is None:
        return [Requirement(name, "unknown") for name in SCOPES]
    return [
        Requirement(name, "missing" if set(granted).isdisjoint(sufficient) else "ok")
        for name, sufficient in SCOPES.items()
    ]


def events(portal: Portal) -> list[Requirement]:
    """Return the events the portal must send, as last checked."""
    return [_binding(portal, name) for name in EVENTS]


def placements(portal: Portal) -> list[Requirement]:
    """Return where the portal shows the application besides its menu, as last checked."""
    if portal.scopes is not None and "placement" not in portal.scopes:
        # Without this scope the portal does not return what is bound.
        return [Requirement(name, "missing", NO_SCOPE) for name in PLACEMENTS]
    return [_binding(portal, name) for name in PLACEMENTS]


def _binding(portal: Portal, name: str) -> Requirement:
    if portal.unbound is None or portal.bindings_at is None:
        return Requirement(name, "unknown")
    code = portal.unbound.get(name)
    return Requirement(name, "ok" if code is None else "missing", code)


def last_runs(session: Session, portal: Portal) -> list[LastRun]:
    """Return this installation's last runs, the newest first."""
    requester = and_(Person.portal_id == Run.portal_id, Person.user_id == Run.asked_by)
    query = (
        select(Run, Person.name)
        .outerjoin(Person, requester)
        .where(Run.portal_id == portal.id, Run.generation == portal.generation)
        .order_by(Run.id.desc())
        .limit(LAST_RUNS)
    )
    return [LastRun(run, name) for run, name in session.execute(query)]
