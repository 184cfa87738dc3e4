"""An installation's health in words: what the application needs, whether it has it, what to do if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.models import Portal, PortalState
from dashboard.portals import requirements
from dashboard.portals.bindings import CALENDAR_VIEW, LINK
from dashboard.portals.requirements import Requirement
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters.filters import join_words

# Bitrix24's own name → what it is for.
SCOPES = {
    "calendar": N_("Reads each person's calendar settings."),
    "user_brief": N_("Lists the employees, so you can see who is missing."),
    "placement": N_("Shows the app inside the calendar."),
}
PLACEMENTS = {
    CALENDAR_VIEW: (N_("Tab in the calendar"), N_("Opens Team on the days shown in the calendar.")),
    LINK: (N_("Links in messages"), N_("Lets the link in the invitation open the app.")),
}
# What app.info calls the application's status.
STATUSES = {
    "F": N_("Free"),
    "D": N_("Demo version"),
    "T": N_("Trial period"),
    "P": N_("Paid"),
    "L": N_("Local app"),
    "S": N_("Subscription"),
}


@dataclass(frozen=True)
class ChecklistItem:
    """One line; ``action`` is there where something can be done, ``code`` where the portal told one."""

    name: str
    state: str
    title: str
    explanation: str
    action: str | None = None
    code: str | None = None


def checklist(portal: Portal) -> list[ChecklistItem]:
    """Return everything the application needs in the portal."""
    return [
        *_paid(portal),
        *(_scope(need) for need in requirements.scopes(portal)),
        _events(requirements.events(portal)),
        *(_placement(need) for need in requirements.placements(portal)),
    ]


def missing(found: Sequence[ChecklistItem]) -> int:
    """Return how many things are missing."""
    return sum(check.state == "missing" for check in found)


def status(portal: Portal) -> str:
    """Return what kind of installation it is, empty where the portal does not say."""
    return _(STATUSES[portal.app_status]) if portal.app_status in STATUSES else ""


def _paid(portal: Portal) -> list[ChecklistItem]:
    if portal.state != PortalState.SUSPENDED:
        return []
    return [
        ChecklistItem(
            "paid",
            "missing",
            _("The paid period has ended"),
            _("Bitrix24 will respond again once the app or the portal is paid for. Your data is kept."),
            _("Renew the subscription, then open the app again."),
        )
    ]


def _scope(need: Requirement) -> ChecklistItem:
    action = _("Open the app in the Market and confirm its permissions.")
    return ChecklistItem(
        need.name,
        need.state,
        _("Permission “%(name)s”") % {"name": need.name},
        _(SCOPES[need.name]),
        _action(need.state, action),
    )


def _events(needs: Sequence[Requirement]) -> ChecklistItem:
    """Return one line for all four: nobody but us cares which."""
    lacking = [need for need in needs if need.state != "ok"]
    state = lacking[0].state if lacking else "ok"
    what = _("Bitrix24 notifies the app about updates, payments and removal.")
    names = join_words(need.name for need in lacking) if state == "missing" else None
    return ChecklistItem("events", state, _("Notifications from the portal"), what, _action(state, _again()), names)


def _placement(need: Requirement) -> ChecklistItem:
    title, what = PLACEMENTS[need.name]
    if need.code == requirements.NO_SCOPE:
        return ChecklistItem(
            need.name, need.state, _(title), _(what), _("It returns once the permission above is granted.")
        )
    return ChecklistItem(need.name, need.state, _(title), _(what), _action(need.state, _again()), need.code)


def _again() -> str:
    return _("The app tries again once a day, when an administrator opens it.")


def _action(state: str, missing: str) -> str | None:
    if state == "unknown":
        return _("The app checks this the next time an administrator opens it.")
    return missing if state == "missing" else None
