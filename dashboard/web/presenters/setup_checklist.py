"""Describe what the application needs in a portal, what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.models import Portal, PortalState
from dashboard.portals import requirements
from dashboard.portals.bindings import CALENDAR_VIEW, CHAT_SIDEBAR, EMPLOYEE_CARD, LINK
from dashboard.portals.requirements import Requirement
from dashboard.web.i18n.translations import N_, _
from dashboard.web.presenters.filters import join_words

# Bitrix24's name of each scope, and its use.
SCOPES = {
    "calendar": N_("Reads each person's calendar settings."),
    "user_brief": N_("Lists the employees, so you can see who is missing."),
    "placement": N_("Shows the app inside the calendar."),
}
PLACEMENTS = {
    CALENDAR_VIEW: (N_("Tab in the calendar"), N_("Opens Team on the days shown in the calendar.")),
    LINK: (N_("Links in messages"), N_("Lets the link in the invitation open the app.")),
    EMPLOYEE_CARD: (N_("Menu of an employee's card"), N_("Shows when the person is at work, in the reader's time.")),
    CHAT_SIDEBAR: (N_("Beside private chats"), N_("Shows when the other person is at work, in the reader's time.")),
}
# The statuses of `app.info`.
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
    """One line of the checklist, with advice and Bitrix24's error code if there are any."""

    name: str
    state: str
    title: str
    explanation: str
    action: str | None = None
    code: str | None = None


def checklist(portal: Portal) -> list[ChecklistItem]:
    """Return everything the application needs in the portal."""
    suspended = [_payment()] if portal.state == PortalState.SUSPENDED else []
    return [
        *suspended,
        *map(_scope, requirements.scopes(portal)),
        _events(requirements.events(portal)),
        *map(_placement, requirements.placements(portal)),
    ]


def status(portal: Portal) -> str:
    """Return the kind of installation, empty where it is unknown."""
    return _(STATUSES[portal.app_status]) if portal.app_status in STATUSES else ""


def _payment() -> ChecklistItem:
    return ChecklistItem(
        "paid",
        "missing",
        _("The paid period has ended"),
        _("Bitrix24 will respond again once the app or the portal is paid for. Your data is kept."),
        _("Renew the subscription, then open the app again."),
    )


def _scope(scope: Requirement) -> ChecklistItem:
    title = _("Permission “%(name)s”") % {"name": scope.name}
    action = _action(scope.state, _("Open the app in the Market and confirm its permissions."))
    return ChecklistItem(scope.name, scope.state, title, _(SCOPES[scope.name]), action)


def _events(events: Sequence[Requirement]) -> ChecklistItem:
    """Return one item for all events, because the remedy is the same."""
    failed = [event for event in events if event.state != "ok"]
    state = failed[0].state if failed else "ok"
    explanation = _("Bitrix24 notifies the app about updates, payments and removal.")
    names = join_words(event.name for event in failed) if state == "missing" else None
    return ChecklistItem(
        "events", state, _("Notifications from the portal"), explanation, _action(state, _retry()), names
    )


def _placement(placement: Requirement) -> ChecklistItem:
    title, explanation = map(_, PLACEMENTS[placement.name])
    action, code = _action(placement.state, _retry()), placement.code
    if code == requirements.NO_SCOPE:
        action, code = _("It returns once the permission above is granted."), None
    return ChecklistItem(placement.name, placement.state, title, explanation, action, code)


def _retry() -> str:
    return _("The app tries again once a day, when an administrator opens it.")


def _action(state: str, if_missing: str) -> str | None:
    if state == "unknown":
        return _("The app checks this the next time an administrator opens it.")
    return if_missing if state == "missing" else None
