"""What to say when something went wrong: what happened, whose move it is, what to do."""

from dataclasses import dataclass

from jinja2 import Environment

from dashboard.calendar.parser import EMPTY_CODE, NOT_AN_OBJECT, CalendarSettings
from dashboard.models import Person, TokenState
from dashboard.web.i18n.translations import _

BUSY = ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "OVERLOAD_LIMIT")
FORBIDDEN = ("insufficient_scope", "ACCESS_DENIED", "allowed_only_intranet_user")


@dataclass(frozen=True)
class Notice:
    """A known failure in words; the code is Bitrix24's own or one of ours."""

    code: str
    title: str
    explanation: str
    advice: str
    action: str | None = None


def settings_notice(my: CalendarSettings) -> Notice | None:
    """Return why the last read of the settings failed, None when it did not."""
    if my.error is None:
        return None
    what, move, action = _reason(my.error)
    title = _("Newer settings couldn't be read") if my.readable else _("Your calendar settings couldn't be read")
    return Notice(my.error, title, what, move, action)


def token_notice(person: Person) -> Notice | None:
    """Return what to say to somebody whose chain of tokens has ended, None while it lives."""
    if person.chain_state != TokenState.REVOKED:
        return None
    return Notice(
        "reconnect",
        _("You need to reconnect to Bitrix24"),
        _("Bitrix24 no longer renews your access, so nothing newer can be read. Nothing is lost."),
        _("What to do:"),
        _("Open the app from your portal's menu to reconnect."),
    )


def _reason(code: str) -> tuple[str, str, str]:
    if code == "ERROR_ARGUMENT":
        return (
            _("Bitrix24 can't return your settings because one of them is corrupted."),
            _("What to do:"),
            _(
                "Open your calendar's settings in Bitrix24 and save them again. If that doesn't help,"
                " your administrator can ask Bitrix24 support to reset them."
            ),
        )
    if code in BUSY:
        return (
            _("This portal is sending Bitrix24 too many requests at the moment."),
            _("This resolves itself."),
            _("Update in a few minutes."),
        )
    if code in FORBIDDEN:
        return (
            _("Bitrix24 doesn't let this app read your calendar settings."),
            _("What to do:"),
            _("Ask an administrator to open the app in the Market and confirm its permissions."),
        )
    return _rare_reason(code)


def _rare_reason(code: str) -> tuple[str, str, str]:
    if code == EMPTY_CODE:
        return (
            _(
                "Bitrix24 refused to return your calendar settings and gave no reason. This often "
                "happens to guests of a portal."
            ),
            _("What to do:"),
            _("Ask an administrator whether you may use the calendar in this portal."),
        )
    if code == NOT_AN_OBJECT:
        return (
            _("Bitrix24 returned something that isn't settings. It is shown below as received."),
            _("Bitrix24 has to fix this."),
            _("Update later. If the problem persists, show this page to your administrator."),
        )
    return (
        _("Bitrix24 returned an error instead of your calendar settings."),
        _("Bitrix24 has to fix this."),
        _("Update in a few minutes. If the problem persists, show this page to your administrator."),
    )


def install(env: Environment) -> None:
    """Let templates ask what to say about settings that could not be read."""
    env.filters["settings_notice"] = settings_notice
