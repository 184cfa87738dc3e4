"""What to say when something went wrong: what happened, whose move it is, what to do."""

from dataclasses import dataclass

from jinja2 import Environment

from dashboard.models import ChainState, Person
from dashboard.settings import EMPTY_CODE, NOT_A_MAP, MySettings
from dashboard.web.language import _

BUSY = ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "OVERLOAD_LIMIT")
FORBIDDEN = ("insufficient_scope", "ACCESS_DENIED", "allowed_only_intranet_user")


@dataclass(frozen=True)
class Notice:
    """A known failure in words; the code is Bitrix24's own or one of ours."""

    code: str
    title: str
    what: str
    move: str
    action: str | None = None


def settings_notice(my: MySettings) -> Notice | None:
    """Return why the last read of the settings failed, None when it did not."""
    if my.error is None:
        return None
    what, move, action = _reason(my.error)
    title = (
        _("Newer settings could not be read")
        if my.readable
        else _("Your calendar settings could not be read")
    )
    return Notice(my.error, title, what, move, action)


def chain_notice(person: Person) -> Notice | None:
    """Return what to say to somebody whose chain of tokens has ended, None while it lives."""
    if person.chain_state != ChainState.RECONNECT:
        return None
    return Notice(
        "reconnect",
        _("Your connection to Bitrix24 has ended"),
        _("Bitrix24 no longer renews the access you gave, so nothing newer can be read. Nothing is lost."),
        _("Your move."),
        _("Open the application from your portal's menu; it reconnects by itself."),
    )


def _reason(code: str) -> tuple[str, str, str]:
    if code == "ERROR_ARGUMENT":
        return (
            _("One of your stored settings is damaged, and Bitrix24 then refuses to tell any of them."),
            _("Your move."),
            _(
                "Open the settings of your calendar in Bitrix24 and save them again. "
                "If that does not help, your administrator can ask Bitrix24 support to reset them."
            ),
        )
    if code in BUSY:
        return (
            _("Bitrix24 is answering too many requests of this portal at the moment."),
            _("Nobody's move: it passes by itself."),
            _("Refresh in a few minutes."),
        )
    if code in FORBIDDEN:
        return (
            _("Bitrix24 does not let this application read your calendar settings."),
            _("An administrator's move."),
            _("An administrator opens the application in the Market and confirms its permissions."),
        )
    return _rare_reason(code)


def _rare_reason(code: str) -> tuple[str, str, str]:
    if code == EMPTY_CODE:
        return (
            _(
                "Bitrix24 refused to tell your calendar settings and gave no reason. "
                "Guests of a portal often meet this."
            ),
            _("An administrator's move."),
            _("An administrator can tell whether you may use the calendar in this portal."),
        )
    if code == NOT_A_MAP:
        return (
            _("Bitrix24 answered with something that is not settings. It is shown below as it came."),
            _("Bitrix24's move."),
            _("Refresh later. If it stays, show this page to your administrator."),
        )
    return (
        _("Bitrix24 answered with an error when asked for your calendar settings."),
        _("Bitrix24's move."),
        _("Refresh in a few minutes. If it stays, show this page to your administrator."),
    )


def install(env: Environment) -> None:
    """Let templates ask what to say about settings that could not be read."""
    env.filters["settings_notice"] = settings_notice
