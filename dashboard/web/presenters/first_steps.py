"""Describe an administrator's first steps: choose who sees the team, invite people, watch them confirm."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.models import Person, Portal
from dashboard.people import access
from dashboard.team.statistics import TeamStats

# The share of people whose settings are known from which the steps are done.
DONE = 0.8


@dataclass(frozen=True)
class FirstSteps:
    """The state of each step."""

    who: str  # may see the team: a `TeamAccess`
    is_chosen: bool  # by an administrator; the invitation says who sees the settings, so this comes first
    to_invite: int
    confirmed: int
    total: int


def first_steps(portal: Portal, person: Person, stats: TeamStats) -> FirstSteps | None:
    """Return the first steps, None for others than administrators and when they are done or hidden.

    An outage makes settings old but not unknown, so it does not bring the steps back.
    """
    is_done = stats.with_settings >= DONE * stats.total
    if not person.is_admin or portal.steps_hidden_at is not None or is_done:
        return None
    return FirstSteps(
        who=str(access.team_access(portal)),
        is_chosen=portal.team_switched_at is not None,
        to_invite=stats.states["never"],
        confirmed=stats.states["connected"],
        total=stats.total,
    )
