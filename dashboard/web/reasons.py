"""Why something could not be done in the background, in a few words, by Bitrix24's code or one of ours."""

from __future__ import annotations

from jinja2 import Environment

from dashboard.bitrix24 import errors as bitrix24
from dashboard.bitrix24.errors import AUTHORIZATION_CODES, Bitrix24Error
from dashboard.directory import INCOMPLETE
from dashboard.settings import EMPTY_CODE, NOT_A_MAP
from dashboard.shapes import without_controls
from dashboard.web.language import N_, _
from dashboard.web.unreachable import short_reason

UNKNOWN = N_("Bitrix24 answered with an error: %(code)s")

# What means the same whichever way it was met; the codes of ours are all here.
CODES = {
    "error_argument": N_("A stored setting is damaged, so Bitrix24 tells none of them"),
    EMPTY_CODE: N_("Bitrix24 refused without a reason"),
    NOT_A_MAP: N_("Bitrix24 answered with something that is not settings"),
    "reconnect": N_("The access has ended; the person's next opening renews it"),
    "nobody_connected": N_("Nobody who may read the list is connected"),
    "directory_without_reader": N_("Bitrix24 did not tell the whole list"),
    INCOMPLETE: N_("Bitrix24 did not tell the whole list"),
    "installation_ended": N_("The application was installed anew meanwhile"),
    "foreign_profile": N_("Bitrix24 answered for somebody else"),
}
KINDS: dict[type[Bitrix24Error], str] = {
    bitrix24.PersonDismissed: N_("Bitrix24 says that the account is not active"),
    bitrix24.PersonNotAllowed: N_("The application is not given to this person"),
    bitrix24.GrantRejected: N_("The access has ended; the person's next opening renews it"),
    bitrix24.TokenRejected: N_("Bitrix24 does not take the access any more"),
    bitrix24.CredentialsRefused: N_("Bitrix24 does not take the access any more"),
    bitrix24.PaymentRequired: N_("The paid period is over"),
    bitrix24.PortalClosed: N_("The portal is closed for the moment"),
    bitrix24.ApplicationGone: N_("Bitrix24 says that the application is not installed"),
    bitrix24.ScopeMissing: N_("A permission is missing"),
    bitrix24.AccessDenied: N_("Bitrix24 does not allow it"),
    bitrix24.Limited: N_("Bitrix24 answered too many requests of this portal"),
    bitrix24.ServerFailed: N_("Bitrix24 had an error of its own"),
    bitrix24.KeysRejected: N_("Bitrix24 refuses the application's own keys; its operator must mend it"),
    bitrix24.MethodMissing: N_("This portal is too old for it"),
}
UNANSWERED = N_("Bitrix24 gave no usable answer")
_OURS_UNANSWERED = (
    *("unreachable", "renewal_failed", "renewal_busy"),
    *("bad_answer", "answer_too_large", "command_not_answered"),
)


def reason(code: str) -> str:
    """Return a few words without a full stop; a code nobody knows is quoted."""
    # The plain-text form of <bdi>: scripts put these words into pages too.
    isolated = f"\N{FIRST STRONG ISOLATE}{without_controls(code)}\N{POP DIRECTIONAL ISOLATE}"
    return known(code) or _(UNKNOWN) % {"code": isolated}


def known(code: str) -> str:
    """Return what the code says, empty where nobody knows."""
    lower = code.strip().lower() or EMPTY_CODE
    if lower in CODES:
        return _(CODES[lower])
    if words := short_reason(lower):
        return words
    if lower in _OURS_UNANSWERED or lower.startswith("http_"):
        return _(UNANSWERED)
    leaf = AUTHORIZATION_CODES.get(lower)
    for kind, words in KINDS.items():
        if leaf is not None and issubclass(leaf, kind):
            return _(words)
    return ""


def install(env: Environment) -> None:
    """Let templates say why."""
    env.filters["reason"] = reason
