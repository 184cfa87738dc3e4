"""List a portal's last runs, with the names of the people who requested them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from dashboard.models import Person, Portal, Run

LAST_RUNS = 5


class LastRun(NamedTuple):
    """A run and the name of the user who requested it.

    The name is None if that user has left, or if the application or an operator requested the run.
    """

    run: Run
    requested_by: str | None


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
