"""What to say for each cause why a host could not be reached: who must act, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

from dashboard.bitrix24 import errors
from dashboard.bitrix24.errors import Unreachable
from dashboard.web.errors.notices import Notice
from dashboard.web.i18n.translations import N_, _


@dataclass(frozen=True)
class _Cause:
    """Messages to translate; ``short`` stands where there is room for a few words alone."""

    what: str
    move: str
    action: str
    short: str


_ADMINISTRATOR = N_("What to do:")
_NOBODY = N_("This usually resolves itself soon.")
_NO_CONNECTION = _Cause(
    N_("Your portal's server doesn't accept connections from this app."),
    _NOBODY,
    N_(
        "Try again in a minute. If the problem persists, ask an administrator to check that "
        "the server is running and that its firewall allows this app."
    ),
    N_("The server does not accept connections"),
)
_NOT_TRUSTED = _Cause(
    N_(
        "Your portal's server could not prove its identity: its certificate has expired, "
        "names another server, or its issuer is not trusted."
    ),
    _ADMINISTRATOR,
    N_(
        "An administrator renews the certificate of the portal's server "
        "and installs it with its intermediate certificates."
    ),
    N_("The server's certificate is not trusted"),
)
_CAUSES = {
    errors.UNKNOWN_HOST: _Cause(
        N_("Your portal's server name was not found on the internet."),
        _ADMINISTRATOR,
        N_("An administrator checks the portal's domain name and its DNS records."),
        N_("The server's name was not found"),
    ),
    errors.NAME_LOOKUP_FAILED: _Cause(
        N_("This app couldn't look up the address of your portal's server."),
        _NOBODY,
        N_("Try again in a minute."),
        N_("The server's name could not be looked up"),
    ),
    errors.ADDRESS_NOT_ALLOWED: _Cause(
        N_("Your portal's server has a private address, and this app only connects to public ones."),
        _ADMINISTRATOR,
        N_(
            "Ask an administrator to give the portal a public address, or ask the operator of the"
            " app to allow private ones."
        ),
        N_("The server has a private address"),
    ),
    errors.CONNECTION_REFUSED: _NO_CONNECTION,
    errors.CONNECT_TIMEOUT: _NO_CONNECTION,
    errors.CERTIFICATE_UNTRUSTED: _NOT_TRUSTED,
    errors.TLS_FAILED: _NOT_TRUSTED,
    errors.TIMEOUT: _Cause(
        N_("Your portal's server took too long to answer. Nothing was changed or lost."),
        _NOBODY,
        N_("Try again in a minute. If it stays, an administrator checks how busy the portal's server is."),
        N_("The server took too long to answer"),
    ),
}
# An authorization server's trouble of these kinds passes; any other is between it and this application.
_PASSING = (errors.TIMEOUT, errors.NAME_LOOKUP_FAILED, errors.UNREACHABLE)


def unreachable_notice(error: Unreachable) -> Notice:
    """Return what to say to whoever waited for the answer."""
    title, cause = _("We couldn't reach Bitrix24"), _CAUSES.get(error.code)
    if cause is not None and error.at_portal:
        return Notice(error.code, title, _(cause.what), _(cause.move), _(cause.action))
    if error.at_portal or error.code in _PASSING:
        what = _("The connection failed or took too long. Nothing was changed or lost.")
        return Notice(error.code, title, what, _(_NOBODY), _("Try again in a minute."))
    return Notice(
        error.code,
        title,
        _("This app can't connect to Bitrix24's authorization server."),
        _("The operator of the app has to fix this."),
        _("Send them the code below."),
    )


def short_reason(code: str) -> str:
    """Return the cause in a few words, empty for a code that is none of these."""
    cause = _CAUSES.get(code)
    return _(cause.short) if cause is not None else ""
