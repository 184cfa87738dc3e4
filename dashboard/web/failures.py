"""Every known failure as a status and a notice: what happened, whose move it is, what to do."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dashboard.bitrix24 import errors as bitrix24
from dashboard.bitrix24.inbound import BadField
from dashboard.portals import ProofRefused
from dashboard.settings import EMPTY_CODE
from dashboard.web.language import _
from dashboard.web.notices import Notice
from dashboard.web.unreachable import unreachable_notice

SOON_SECONDS = 5
LATER_SECONDS = 600


@dataclass(frozen=True)
class Failure:
    """What to answer; ``retry_after`` in seconds where waiting helps."""

    status: int
    notice: Notice
    retry_after: int | None = None


def failure_of(error: bitrix24.Bitrix24Error | ProofRefused | BadField) -> Failure:
    """Return what to answer to an error of Bitrix24, of a proof, or of a form."""
    match error:
        case BadField():
            return _bad_field(error)
        case ProofRefused():
            return _proof_refused(error)
        case (
            bitrix24.TokenRejected()
            | bitrix24.CredentialsRefused()
            | bitrix24.GrantRejected()
            | bitrix24.PersonRefused()
        ):
            return _person(error)
        case bitrix24.PortalRefused() | bitrix24.ScopeMissing() | bitrix24.AccessDenied():
            return _portal(error)
        case bitrix24.Limited():
            return _limited(error)
    return _upstream(error)


def database_failure() -> Failure:
    return Failure(
        503,
        Notice(
            "database_unavailable",
            _("We cannot reach our own data"),
            _("The application's database does not answer. Nothing was changed or lost."),
            _("The application's operator is at it."),
            _("Try again in a minute."),
        ),
        retry_after=SOON_SECONDS,
    )


def too_many_failure(seconds: int) -> Failure:
    """Return what to say to an address that has tried too often to be what it is not."""
    notice = Notice(
        "too_many_failed_proofs",
        _("Too many openings could not be verified"),
        _("Many openings from your network were refused just now, so each of the next ones has to wait."),
        _("Nobody's move: it passes by itself."),
        _("Wait a moment, then open the application from your portal's menu again."),
    )
    return Failure(429, notice, retry_after=seconds)


def http_failure(status: int) -> Failure:
    """Return what to say about a request this address does not take."""
    what = {
        404: _("There is no such page."),
        405: _("This address does not take such a request."),
        413: _("What was sent is larger than any real opening of the application."),
        415: _("This address takes forms only, as Bitrix24 sends them."),
    }.get(status, _("The request could not be understood."))
    notice = Notice(
        f"http_{status}",
        _("This page cannot be shown"),
        what,
        _("Your move."),
        _("Open the application from your portal's menu."),
    )
    return Failure(status, notice)


def _bad_field(error: BadField) -> Failure:
    notice = Notice(
        "invalid_request",
        _("The application was not opened from a portal"),
        _("What arrived is not what Bitrix24 sends; the field is %(field)s.") % {"field": error.field},
        _("Your move."),
        _("Open the application from your portal's menu."),
    )
    return Failure(400, notice)


def _proof_refused(error: ProofRefused) -> Failure:
    if error.code == "not_an_administrator":
        what = _("Only an administrator of the portal can install the application.")
        move, action = (
            _("An administrator's move."),
            _("An administrator of the portal opens the application once."),
        )
    elif error.code == "uninstalled_meanwhile":
        what = _("The application was removed from this portal at this very moment.")
        move, action = _("An administrator's move."), _("An administrator installs it again from the Market.")
    else:
        what = _("The access this page was opened with belongs to another portal or application.")
        move, action = _("Your move."), _("Open the application from your portal's menu.")
    return Failure(403, Notice(error.code, _("This opening could not be verified"), what, move, action))


def _person(error: bitrix24.Bitrix24Error) -> Failure:
    code = error.code or EMPTY_CODE
    if isinstance(error, bitrix24.ApplicationUnknown):
        return _not_installed(code)
    if isinstance(error, bitrix24.GrantRejected):
        title = _("Your connection to Bitrix24 has ended")
        what = _("Bitrix24 no longer renews the access you gave. What you see was read before that.")
        move, action = (
            _("Your move."),
            _("Open the application from your portal's menu; it reconnects by itself."),
        )
    elif isinstance(error, bitrix24.TokenRejected | bitrix24.CredentialsRefused):
        title = _("This page was opened with an old key")
        what = _("Bitrix24 gives a key for an hour at each opening, and no longer takes this one.")
        move, action = (
            _("Your move."),
            _("Reload the portal's page, or open the application from its menu again."),
        )
    elif isinstance(error, bitrix24.PersonDismissed):
        title = _("Bitrix24 does not know you here any more")
        what = _("It says that this account is not active in the portal.")
        move, action = (
            _("An administrator's move."),
            _("An administrator can tell whether your account should be active."),
        )
    else:
        title = _("The application is not open to you")
        what = _("Your administrator has given it to some people of the portal only.")
        move, action = (
            _("An administrator's move."),
            _("An administrator can give you access to the application."),
        )
    return Failure(403, Notice(code, title, what, move, action))


def _not_installed(code: str) -> Failure:
    notice = Notice(
        code,
        _("The application is not installed in this portal"),
        _("Bitrix24 says that it was removed."),
        _("An administrator's move."),
        _("An administrator installs it again from the Market."),
    )
    return Failure(403, notice)


def _portal(error: bitrix24.Bitrix24Error) -> Failure:
    code = error.code or EMPTY_CODE
    administrator = _("An administrator's move.")
    if isinstance(error, bitrix24.ApplicationGone):
        return _not_installed(code)
    if isinstance(error, bitrix24.PaymentRequired):
        title = _("The paid period is over")
        what = _("Bitrix24 answers again when the application, or the portal, is paid for. All is kept.")
        action = _("An administrator renews the subscription; then open the application again.")
    elif isinstance(error, bitrix24.PortalClosed):
        closed = Notice(
            code,
            _("The portal is closed for the moment"),
            _("Bitrix24 says so; everything here is kept."),
            administrator,
            _("Try again when the portal is open."),
        )
        return Failure(503, closed, retry_after=LATER_SECONDS)
    elif isinstance(error, bitrix24.ScopeMissing):
        title = _("The application lacks a permission")
        what = _("It was not granted what it needs to read calendar settings.")
        action = _("An administrator opens the application in the Market and confirms its permissions.")
    else:
        title = _("Bitrix24 does not allow this")
        what = _("The portal's plan, or the rights of your account, do not let the application in.")
        action = _("An administrator can tell whether the plan includes applications from the Market.")
    return Failure(403, Notice(code, title, what, administrator, action))


def _limited(error: bitrix24.Limited) -> Failure:
    blocked = isinstance(error, bitrix24.Overloaded)
    wait = LATER_SECONDS if blocked else SOON_SECONDS
    if error.resets_at is not None:
        wait = min(LATER_SECONDS, max(1, round(error.resets_at - time.time())))
    if isinstance(error, bitrix24.OwnLimit):
        title = _("Too many requests at once")
        what = _("The application limits how often it asks your portal. Nothing was changed.")
    else:
        title = _("Bitrix24 is busy")
        what = _("This portal's limit of requests is used up for the moment; other applications share it.")
    notice = Notice(
        error.code,
        title,
        what,
        _("Nobody's move: it passes by itself."),
        _("Try again in a few minutes.") if wait > 60 else _("Try again in a few seconds."),
    )
    return Failure(503, notice, retry_after=wait)


def _upstream(error: bitrix24.Bitrix24Error) -> Failure:
    code = error.code or EMPTY_CODE
    if isinstance(error, bitrix24.Unreachable):
        return Failure(502, unreachable_notice(error))
    if isinstance(error, bitrix24.KeysRejected):
        title = _("The application's own keys are refused")
        what = _("Bitrix24 does not accept the keys this application was registered with.")
        move, action = _("The application's operator must mend it."), _("Tell them what stands below.")
    else:
        title = _("Bitrix24 gave no usable answer")
        what = _("It answered, but with an error of its own. Nothing was changed or lost.")
        move, action = _("Bitrix24's move."), _("Try again in a few minutes.")
    return Failure(502, Notice(code, title, what, move, action))
