"""What an administrator is told of their installation: what is granted and bound, and what was read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from dashboard.models import Person, Portal, Run
from dashboard.portals.bindings import EVENTS, PLACEMENTS

LAST_RUNS = 5
NO_SCOPE = "insufficient_scope"

State = Literal["ok", "missing", "unknown"]

# What we ask for → what gives it, the narrowest first.
SCOPES = {
    "calendar": ("calendar",),
    "user_brief": ("user_brief", "user_basic", "user"),
    "placement": ("placement",),
}


@dataclass(frozen=True)
class Requirement:
    """One thing the application needs in the portal; ``code`` says why it is missing where that was told."""

    name: str
    state: State
    code: str | None = None


@dataclass(frozen=True)
class PastRun:
    """A run as the list of the last ones tells it. ``asked_by`` is a name, None where nobody is known."""

    daily: bool
    asked_by: str | None
    state: str
    total: int
    done: int
    failed: int
    error: str | None
    at: datetime
    took: timedelta | None  # None: not over


def scopes(portal: Portal) -> list[Requirement]:
    """Return the permissions that are needed, as the portal last told them."""
    granted = portal.scopes
    if granted is None:
        return [Requirement(name, "unknown") for name in SCOPES]
    return [
        Requirement(name, "ok" if any(one in granted for one in enough) else "missing")
        for name, enough in SCOPES.items()
    ]


def events(portal: Portal) -> list[Requirement]:
    """Return the events the portal must send us, as last looked at."""
    return [_bound(portal, name) for name in EVENTS]


def placements(portal: Portal) -> list[Requirement]:
    """Return where the portal shows the application besides its menu, as last looked at."""
    if portal.scopes is not None and "placement" not in portal.scopes:
        # Then the portal does not even tell what is bound.
        return [Requirement(name, "missing", NO_SCOPE) for name in PLACEMENTS]
    return [_bound(portal, name) for name in PLACEMENTS]


def _bound(portal: Portal, name: str) -> Requirement:
    if portal.unbound is None or portal.bindings_at is None:
        return Requirement(name, "unknown")
    code = portal.unbound.get(name)
    return Requirement(name, "ok") if code is None else Requirement(name, "missing", code)


def last_runs(session: Session, portal: Portal) -> list[PastRun]:
    """Return the newest runs of this installation, the last one first."""
    asker = and_(Person.portal_id == Run.portal_id, Person.user_id == Run.asked_by)
    newest = (
        select(Run, Person.name)
        .outerjoin(Person, asker)
        .where(Run.portal_id == portal.id, Run.generation == portal.generation)
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(LAST_RUNS)
    )
    return [_past(run, name) for run, name in session.execute(newest)]


def _past(run: Run, name: str | None) -> PastRun:
    began = run.started_at or run.created_at
    return PastRun(
        daily=run.asked_by is None,
        asked_by=name,
        state=run.state,
        total=run.total,
        done=run.done,
        failed=run.failed,
        error=run.error,
        at=run.created_at,
        took=run.finished_at - began if run.finished_at else None,
    )
