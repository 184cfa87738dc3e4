"""Every known failure as a status and a notice: what happened, whose move it is, what to do."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dashboard.bitrix24 import errors as bitrix24
from dashboard.bitrix24.inbound import BadField
from dashboard.calendar.parser import EMPTY_CODE
from dashboard.portals.installations import VerificationFailed
from dashboard.web.errors.notices import Notice
from dashboard.web.errors.unreachable import unreachable_notice
from dashboard.web.i18n.translations import _

SOON_SECONDS = 5
LATER_SECONDS = 600


@dataclass(frozen=True)
class ErrorResponse:
    """What to answer; ``retry_after`` in seconds where waiting helps."""

    status: int
    notice: Notice
    retry_after: int | None = None


def error_response(error: bitrix24.Bitrix24Error | VerificationFailed | BadField) -> ErrorResponse:
    """Return what to answer to an error of Bitrix24, of a proof, or of a form."""
    match error:
        case BadField():
            return _bad_field(error)
        case VerificationFailed():
            return _verification_failed(error)
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


def database_error() -> ErrorResponse:
    return ErrorResponse(
        503,
        Notice(
            "database_unavailable",
            _("The database is unavailable"),
            _("The app's database isn't responding. Nothing was changed or lost."),
            _("We're working on it."),
            _("Try again in a minute."),
        ),
        retry_after=SOON_SECONDS,
    )


def too_many_requests(seconds: int) -> ErrorResponse:
    """Return what to say to an address that has tried too often to be what it is not."""
    notice = Notice(
        "too_many_failed_proofs",
        _("Too many failed attempts"),
        _("Several attempts to open the app from your network were just refused, so new ones have to wait."),
        _("This resolves itself."),
        _("Wait a moment, then open the app from your portal's menu again."),
    )
    return ErrorResponse(429, notice, retry_after=seconds)


def http_error(status: int) -> ErrorResponse:
    """Return what to say about a request this address does not take."""
    what = {
        404: _("This page doesn't exist."),
        405: _("This address doesn't accept this kind of request."),
        413: _("The request is too large."),
        415: _("This address only accepts forms, as Bitrix24 sends them."),
    }.get(status, _("The request couldn't be understood."))
    notice = Notice(
        f"http_{status}",
        _("This page can't be shown"),
        what,
        _("What to do:"),
        _("Open the app from your portal's menu."),
    )
    return ErrorResponse(status, notice)


def _bad_field(error: BadField) -> ErrorResponse:
    notice = Notice(
        "invalid_request",
        _("The app wasn't opened from a portal"),
        _("The request isn't what Bitrix24 sends. The problem is in the field %(field)s.") % {"field": error.field},
        _("What to do:"),
        _("Open the app from your portal's menu."),
    )
    return ErrorResponse(400, notice)


def _verification_failed(error: VerificationFailed) -> ErrorResponse:
    if error.code == "not_an_administrator":
        what = _("Only a portal administrator can install the app.")
        move, action = (
            _("What to do:"),
            _("Ask a portal administrator to open the app once."),
        )
    elif error.code == "uninstalled_meanwhile":
        what = _("The app was just removed from this portal.")
        move, action = _("What to do:"), _("Ask an administrator to install it again from the Market.")
    else:
        what = _("The access token used to open this page belongs to another portal or app.")
        move, action = _("What to do:"), _("Open the app from your portal's menu.")
    return ErrorResponse(403, Notice(error.code, _("We couldn't verify who opened the app"), what, move, action))


def _person(error: bitrix24.Bitrix24Error) -> ErrorResponse:
    code = error.code or EMPTY_CODE
    if isinstance(error, bitrix24.ApplicationUnknown):
        return _not_installed(code)
    if isinstance(error, bitrix24.GrantRejected):
        title = _("You need to reconnect to Bitrix24")
        what = _("Bitrix24 no longer renews your access. What you see was read before that.")
        move, action = (
            _("What to do:"),
            _("Open the app from your portal's menu to reconnect."),
        )
    elif isinstance(error, bitrix24.TokenRejected | bitrix24.CredentialsRefused):
        title = _("Your access has expired")
        what = _("Access lasts one hour each time you open the app, and Bitrix24 no longer accepts it.")
        move, action = (
            _("What to do:"),
            _("Reload the portal page, or open the app from the portal's menu again."),
        )
    elif isinstance(error, bitrix24.PersonDismissed):
        title = _("Bitrix24 denied access")
        what = _("Bitrix24 says that your account is not active in this portal.")
        move, action = (
            _("What to do:"),
            _("Ask an administrator whether your account should be active."),
        )
    else:
        title = _("You don't have access to the app")
        what = _("Your administrator has made it available only to some people.")
        move, action = (
            _("What to do:"),
            _("Ask an administrator to give you access to the app."),
        )
    return ErrorResponse(403, Notice(code, title, what, move, action))


def _not_installed(code: str) -> ErrorResponse:
    notice = Notice(
        code,
        _("The app isn't installed in this portal"),
        _("Bitrix24 says that it was removed."),
        _("What to do:"),
        _("Ask an administrator to install it again from the Market."),
    )
    return ErrorResponse(403, notice)


def _portal(error: bitrix24.Bitrix24Error) -> ErrorResponse:
    code = error.code or EMPTY_CODE
    administrator = _("What to do:")
    if isinstance(error, bitrix24.ApplicationGone):
        return _not_installed(code)
    if isinstance(error, bitrix24.PaymentRequired):
        title = _("The paid period has ended")
        what = _("Bitrix24 will respond again once the app or the portal is paid for. Your data is kept.")
        action = _("Ask an administrator to renew the subscription, then open the app again.")
    elif isinstance(error, bitrix24.PortalClosed):
        closed = Notice(
            code,
            _("The portal is temporarily closed"),
            _("Bitrix24 will respond again once the portal is open. Your data is kept."),
            administrator,
            _("Try again when the portal is open."),
        )
        return ErrorResponse(503, closed, retry_after=LATER_SECONDS)
    elif isinstance(error, bitrix24.ScopeMissing):
        title = _("The app is missing a permission")
        what = _("It wasn't granted the permission to read calendar settings.")
        action = _("Ask an administrator to open the app in the Market and confirm its permissions.")
    else:
        title = _("Bitrix24 doesn't allow this")
        what = _("The portal's plan or your account's rights don't allow the app.")
        action = _("Ask an administrator whether the plan includes Market apps.")
    return ErrorResponse(403, Notice(code, title, what, administrator, action))


def _limited(error: bitrix24.Limited) -> ErrorResponse:
    blocked = isinstance(error, bitrix24.Overloaded)
    wait = LATER_SECONDS if blocked else SOON_SECONDS
    if error.resets_at is not None:
        wait = min(LATER_SECONDS, max(1, round(error.resets_at - time.time())))
    if isinstance(error, bitrix24.OwnLimit):
        title = _("Too many requests at once")
        what = _("The app limits how often it sends requests to your portal. Nothing was changed.")
    else:
        title = _("Bitrix24 is busy")
        what = _("This portal's request limit is used up. All its apps share it.")
    notice = Notice(
        error.code,
        title,
        what,
        _("This resolves itself."),
        _("Try again in a few minutes.") if wait > 60 else _("Try again in a few seconds."),
    )
    return ErrorResponse(503, notice, retry_after=wait)


def _upstream(error: bitrix24.Bitrix24Error) -> ErrorResponse:
    code = error.code or EMPTY_CODE
    if isinstance(error, bitrix24.Unreachable):
        return ErrorResponse(502, unreachable_notice(error))
    if isinstance(error, bitrix24.KeysRejected):
        title = _("Bitrix24 rejected the app's credentials")
        what = _("Bitrix24 doesn't accept the keys this app is registered with.")
        move, action = _("The operator of the app has to fix this."), _("Send them the code below.")
    else:
        title = _("Bitrix24 didn't return a usable response")
        what = _("Bitrix24 returned an internal error. Nothing was changed or lost.")
        move, action = _("Bitrix24 has to fix this."), _("Try again in a few minutes.")
    return ErrorResponse(502, Notice(code, title, what, move, action))
