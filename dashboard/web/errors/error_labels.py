"""Why something could not be done in the background, in a few words, by Bitrix24's code or one of ours."""

from __future__ import annotations

from jinja2 import Environment

from dashboard.bitrix24 import errors as bitrix24
from dashboard.bitrix24.errors import AUTHORIZATION_CODES, Bitrix24Error
from dashboard.calendar.parser import EMPTY_CODE, NOT_AN_OBJECT
from dashboard.core.json_values import without_controls
from dashboard.people.directory import INCOMPLETE
from dashboard.web.errors.unreachable import short_reason
from dashboard.web.i18n.translations import N_, _

UNKNOWN = N_("Bitrix24 returned an error: %(code)s")

# What means the same whichever way it was met; the codes of ours are all here.
CODE_LABELS = {
    "error_argument": N_("A stored setting is corrupted, so Bitrix24 returns none of them"),
    EMPTY_CODE: N_("Bitrix24 refused without giving a reason"),
    NOT_AN_OBJECT: N_("Bitrix24 returned something that isn't settings"),
    "reconnect": N_("The access has ended. It is renewed when the person opens the app"),
    "nobody_connected": N_("Nobody who may read the list is connected"),
    "directory_without_reader": N_("Bitrix24 didn't return the whole list"),
    INCOMPLETE: N_("Bitrix24 didn't return the whole list"),
    "installation_ended": N_("The app was reinstalled in the meantime"),
    "foreign_profile": N_("Bitrix24 returned another person's data"),
}
KIND_LABELS: dict[type[Bitrix24Error], str] = {
    bitrix24.PersonDismissed: N_("Bitrix24 says that the account is not active"),
    bitrix24.PersonNotAllowed: N_("This person doesn't have access to the app"),
    bitrix24.GrantRejected: N_("The access has ended. It is renewed when the person opens the app"),
    bitrix24.TokenRejected: N_("Bitrix24 no longer accepts the access token"),
    bitrix24.CredentialsRefused: N_("Bitrix24 no longer accepts the access token"),
    bitrix24.PaymentRequired: N_("The paid period has ended"),
    bitrix24.PortalClosed: N_("The portal is temporarily closed"),
    bitrix24.ApplicationGone: N_("Bitrix24 says that the app isn't installed"),
    bitrix24.ScopeMissing: N_("A permission is missing"),
    bitrix24.AccessDenied: N_("Bitrix24 doesn't allow it"),
    bitrix24.Limited: N_("The portal sent Bitrix24 too many requests"),
    bitrix24.ServerFailed: N_("Bitrix24 had an internal error"),
    bitrix24.KeysRejected: N_("Bitrix24 rejected the app's credentials. The operator of the app has to fix this"),
    bitrix24.MethodMissing: N_("This portal's version is too old"),
}
NO_ANSWER = N_("Bitrix24 didn't return a usable response")
_OURS_UNANSWERED = (
    *("unreachable", "renewal_failed", "renewal_busy"),
    *("bad_answer", "answer_too_large", "command_not_answered"),
)


def error_label(code: str) -> str:
    """Return a few words without a full stop; a code nobody knows is quoted."""
    # The plain-text form of <bdi>: scripts put these words into pages too.
    isolated = f"\N{FIRST STRONG ISOLATE}{without_controls(code)}\N{POP DIRECTIONAL ISOLATE}"
    return is_known_code(code) or _(UNKNOWN) % {"code": isolated}


def is_known_code(code: str) -> str:
    """Return what the code says, empty where nobody knows."""
    lower = code.strip().lower() or EMPTY_CODE
    if lower in CODE_LABELS:
        return _(CODE_LABELS[lower])
    if words := short_reason(lower):
        return words
    if lower in _OURS_UNANSWERED or lower.startswith("http_"):
        return _(NO_ANSWER)
    leaf = AUTHORIZATION_CODES.get(lower)
    for kind, words in KIND_LABELS.items():
        if leaf is not None and issubclass(leaf, kind):
            return _(words)
    return ""


def install(env: Environment) -> None:
    """Let templates say why."""
    env.filters["reason"] = error_label
