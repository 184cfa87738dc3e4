"""Write the invitation to open the application, in any language: it says who will see the settings."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.models import Portal
from dashboard.people import access
from dashboard.people.access import TeamAccess
from dashboard.web.i18n import translations
from dashboard.web.i18n.translations import N_

FROM_LINK = N_("Please open “Team Hours” once, so that your working hours and time zone are up to date: %(link)s")
FROM_MENU = N_(
    "Please open “Team Hours” once from the portal's menu, so that your working hours and time zone are up to date."
)
WHO_SEES = {
    TeamAccess.ADMINISTRATORS: N_("Only our portal's administrators will see them. Events are never read."),
    TeamAccess.HEADS: N_(
        "Our portal's administrators and the heads of your departments will see them. Events are never read."
    ),
    TeamAccess.EVERYONE: N_("All colleagues will see them, and you will see theirs. Events are never read."),
}


@dataclass(frozen=True)
class Invitation:
    """A text to send, with the tag and the direction of its language."""

    text: str
    tag: str
    direction: str


def invitation(portal: Portal, language: translations.Language) -> Invitation:
    """Return the invitation in a language."""
    translate = language.catalog.gettext
    link = f"{portal.origin}/marketplace/view/{portal.app_code}/" if portal.app_code else ""
    first = translate(FROM_LINK) % {"link": link} if link else translate(FROM_MENU)
    return Invitation(f"{first}\n{translate(WHO_SEES[access.team_access(portal)])}", language.tag, language.direction)
