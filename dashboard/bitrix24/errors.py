"""Define the errors of calls to Bitrix24: one class for each way in which a caller must react.

Bitrix24Error
├── NotAnswered         Unreachable, Unreadable, ServerFailed
├── Limited             QueryLimit (OwnLimit), MethodPaused, Overloaded
├── PortalFull
├── PortalMoved
├── TokenRejected       ApplicationUnknown
├── CredentialsRefused
├── GrantRejected
├── PersonRefused       PersonDismissed, PersonNotAllowed
├── PortalRefused       PaymentRequired, PortalClosed, ApplicationGone
├── KeysRejected
├── ScopeMissing
├── AccessDenied
└── CallRejected        MethodMissing

Codes are case-insensitive. The HTTP status does not matter: the server, its documentation and the
official clients disagree about statuses, but seldom about codes.
"""

from __future__ import annotations

from collections.abc import Mapping

# Why a host could not be reached; any other cause is `unreachable`.
UNKNOWN_HOST = "unknown_host"
NAME_LOOKUP_FAILED = "name_lookup_failed"
ADDRESS_NOT_ALLOWED = "address_not_allowed"
CONNECTION_REFUSED = "connection_refused"
CONNECT_TIMEOUT = "connect_timeout"
CERTIFICATE_UNTRUSTED = "certificate_untrusted"
TLS_FAILED = "tls_failed"
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
UNREACHABLE_CODES = (
    *(UNKNOWN_HOST, NAME_LOOKUP_FAILED, ADDRESS_NOT_ALLOWED, CONNECTION_REFUSED, CONNECT_TIMEOUT),
    *(CERTIFICATE_UNTRUSTED, TLS_FAILED, TIMEOUT, UNREACHABLE),
)
TIMEOUT_CODES = frozenset({NAME_LOOKUP_FAILED, CONNECT_TIMEOUT, TIMEOUT})
# Databases contain these codes, so they must not be renamed.
BAD_RESPONSE = "bad_answer"
RESPONSE_TOO_LARGE = "answer_too_large"


class Bitrix24Error(Exception):
    """A call did not succeed.

    ``code`` is Bitrix24's where it sent one (it may be empty), else one of ours. The message contains
    nothing else, because descriptions may contain names and tokens.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"{type(self).__name__}({code!r})")
        self.code = code


class NotAnswered(Bitrix24Error):
    """No usable response: try later and change nothing; the request may have been executed.

    ``suggests_move``: the portal may have moved, because no portal responds at this address.
    """

    suggests_move = False


class Unreachable(NotAnswered):
    """No connection or no response in time; ``code`` is the cause.

    ``host`` is for the log. ``at_portal`` is False if an authorization server did not respond.
    """

    def __init__(self, code: str, *, host: str | None = None, at_portal: bool = True) -> None:
        super().__init__(code)
        self.host = host
        self.at_portal = at_portal
        self.suggests_move = at_portal and code in UNREACHABLE_CODES and code not in (NAME_LOOKUP_FAILED, TIMEOUT)


class Unreadable(NotAnswered):
    """The response is HTML, truncated JSON, too large, or has an unexpected shape."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.suggests_move = code == BAD_RESPONSE


class ServerFailed(NotAnswered):
    """The server reports an internal error."""


class Limited(Bitrix24Error):
    """The request was not executed: wait, until ``resets_at`` (Unix seconds) where it is known."""

    def __init__(self, code: str, *, resets_at: float | None = None) -> None:
        super().__init__(code)
        self.resets_at = resets_at


class QueryLimit(Limited):
    """The portal's request limit is reached: wait for some seconds."""


class OwnLimit(QueryLimit):
    """One of our own limits is reached: no request was sent."""


class PortalFull(Bitrix24Error):
    """A portal has used up its storage in our database; what is stored already stays."""

    CODE = "portal_full"

    def __init__(self) -> None:
        super().__init__(self.CODE)


class MethodPaused(Limited):
    """The method's operating time is used up: wait until ``resets_at``."""


class Overloaded(Limited):
    """Bitrix24 blocked the portal for its load: wait for some hours."""


class PortalMoved(Bitrix24Error):
    """The portal redirects: verify the new address before sending a token there."""


class TokenRejected(Bitrix24Error):
    """Refresh the token once, then call again."""


class ApplicationUnknown(TokenRejected):
    """The portal does not know the application; only a refresh can confirm it."""


class CredentialsRefused(Bitrix24Error):
    """The token is missing, or is rejected in a way that a refresh does not cure."""


class GrantRejected(Bitrix24Error):
    """The refresh token is invalid until the user opens the application again."""


class PersonRefused(Bitrix24Error):
    """This user is refused, not the portal."""


class PersonDismissed(PersonRefused):
    """The user is not active in the portal."""


class PersonNotAllowed(PersonRefused):
    """An administrator did not give this user access to the application."""


class PortalRefused(Bitrix24Error):
    """The portal as a whole is refused."""


class PaymentRequired(PortalRefused):
    """The portal is suspended until it is paid for: keep all data."""


class PortalClosed(PortalRefused):
    """The portal is closed for some time: keep all data."""


class ApplicationGone(PortalRefused):
    """The authorization server says that the application is not installed."""


class KeysRejected(Bitrix24Error):
    """Our client_id or client_secret is wrong: the operator must act."""


class ScopeMissing(Bitrix24Error):
    """The application was not granted this scope."""


class AccessDenied(Bitrix24Error):
    """The method needs an administrator or another plan."""


class CallRejected(Bitrix24Error):
    """The request or its data is wrong: do not repeat it."""


class MethodMissing(CallRejected):
    """The portal has no such method."""


Codes = dict[str, type[Bitrix24Error]]


def _by_code(codes: Mapping[type[Bitrix24Error], str]) -> Codes:
    return {code: kind for kind, text in codes.items() for code in text.split()}


# Codes of a portal's REST server: Bitrix24 REST docs (_includes/system-errors.md, widgets, scopes/confirmation)
# and the portal's source code.
PORTAL_CODES = _by_code(
    {
        TokenRejected: "expired_token invalid_token",
        ApplicationUnknown: "application_not_found error_oauth not_installed",
        CredentialsRefused: "no_auth_found invalid_credentials",
        PersonDismissed: "authorization_error",
        PersonNotAllowed: "user_access_error allowed_only_intranet_user",
        PaymentRequired: "payment_required",
        PortalClosed: "portal_deleted",
        ScopeMissing: "insufficient_scope invalid_scope",
        AccessDenied: "access_denied method_confirm_waiting method_confirm_denied",
        QueryLimit: "query_limit_exceeded",
        MethodPaused: "operation_time_limit",
        Overloaded: "overload_limit",
        ServerFailed: "internal_server_error error_unexpected_answer connection_error",
        MethodMissing: "error_method_not_found error_manifest_is_not_available",
        CallRejected: "invalid_request wrong_auth_type error_batch_method_not_allowed error_batch_length_exceeded"
        " error_argument error_core error_not_found",
    }
)
# Codes of an authorization server: Bitrix24 REST docs, oauth/error-codes.md, and the official clients. Some mean
# something else here: `expired_token` is an invalid refresh token.
AUTHORIZATION_CODES = PORTAL_CODES | _by_code(
    {
        GrantRejected: "invalid_grant bad_verification_code",
        KeysRejected: "invalid_client wrong_client unauthorized_client",
        ApplicationGone: "not_installed error_oauth application_not_found",
        CallRejected: "unsupported_grant_type",
    }
)


def from_code(codes: Codes, code: str, *, status: int | None = None, resets_at: float | None = None) -> Bitrix24Error:
    """Return the error of a code; an unknown code is a `ServerFailed` with HTTP 5xx, else a `CallRejected`."""
    unknown: type[Bitrix24Error] = ServerFailed if status is not None and status >= 500 else CallRejected
    kind = codes.get(code.strip().lower(), unknown)
    return kind(code, resets_at=resets_at) if issubclass(kind, Limited) else kind(code)
