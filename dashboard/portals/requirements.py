"""Check what the application needs in a portal: scopes, events and placements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashboard.models import Portal
from dashboard.portals.bindings import EVENTS, NOT_OFFERED, OPTIONAL_PLACEMENTS, PLACEMENTS

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
    """Return where the portal shows the application besides its menu, as last checked.

    Optional placements that the portal does not offer are left out: nobody can do anything about them.
    """
    if portal.scopes is not None and "placement" not in portal.scopes:
        # Without this scope the portal does not return what is bound or offered.
        return [Requirement(name, "missing", NO_SCOPE) for name in PLACEMENTS if name not in OPTIONAL_PLACEMENTS]
    placements = (_binding(portal, name) for name in PLACEMENTS)
    return [placement for placement in placements if placement.code != NOT_OFFERED]


def _binding(portal: Portal, name: str) -> Requirement:
    if portal.unbound is None or portal.bindings_at is None:
        return Requirement(name, "unknown")
    code = portal.unbound.get(name)
    return Requirement(name, "ok" if code is None else "missing", code)
