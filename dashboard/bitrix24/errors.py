"""Errors of Bitrix24, one class per decision of the caller.

Bitrix24Error
├── NotAnswered             no usable response: try later, change nothing
│   ├── Unreachable         no connection, a timeout, a reset, a forbidden address; `code` is the cause
│   ├── Unreadable          HTML, truncated JSON, an unexpected shape
│   └── ServerFailed        an internal error of the server
├── Limited                 wait; the call was not executed
│   ├── QueryLimit          the portal's bucket is full: wait seconds
│   │   └── OwnLimit        one of our limits: no request was sent
│   ├── MethodPaused        the method's operating time is used up: wait until ``resets_at``
│   └── Overloaded          Bitrix24 blocked the portal: wait hours
├── PortalMoved             a redirect; verify the new address before sending a token there
├── TokenRejected           refresh once, then call again
│   └── ApplicationUnknown  the portal does not know the application; the refresh must confirm it
├── CredentialsRefused      a missing token, or one that a refresh does not help
├── GrantRejected           the refresh token is invalid until the user opens the application again
├── PersonRefused           this user, not the portal
│   ├── PersonDismissed
│   └── PersonNotAllowed    an administrator did not give this user access
├── PortalRefused           the portal as a whole
│   ├── PaymentRequired     suspended: keep all data
│   ├── PortalClosed        closed for some time: keep all data
│   └── ApplicationGone     the authorization server says that the application is not installed
├── KeysRejected            our client_id or client_secret; the operator must act
├── ScopeMissing            the application was not granted this scope
├── AccessDenied            the method needs an administrator or another plan
└── CallRejected            the request or its data; do not repeat it
    └── MethodMissing       the portal has no such method

Codes are compared without case. The HTTP status does not matter: the server, its documentation and the
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
    """No usable response came; the request may have been executed."""

    @property
    def suggests_move(self) -> bool:
        """Tell whether the portal may have moved, because nothing answers at this address."""
        return False


class Unreachable(NotAnswered):
    """No connection or no response in time.

    ``host`` is for the log. ``at_portal`` is False if an authorization server did not respond.
    """

    def __init__(self, code: str, *, host: str | None = None, at_portal: bool = True) -> None:
        super().__init__(code)
        self.host = host
        self.at_portal = at_portal

    @property
    def suggests_move(self) -> bool:
        is_cause = self.code in UNREACHABLE_CODES and self.code not in (NAME_LOOKUP_FAILED, TIMEOUT)
        return self.at_portal and is_cause


class Unreadable(NotAnswered):
    @property
    def suggests_move(self) -> bool:
        return self.code == BAD_RESPONSE


class ServerFailed(NotAnswered):
    pass


class Limited(Bitrix24Error):
    """The request was refused before it was executed; ``resets_at`` is Unix seconds or None."""

    def __init__(self, code: str, *, resets_at: float | None = None) -> None:
        super().__init__(code)
        self.resets_at = resets_at


class QueryLimit(Limited):
    pass


class OwnLimit(QueryLimit):
    pass


class MethodPaused(Limited):
    pass


class Overloaded(Limited):
    pass


class PortalMoved(Bitrix24Error):
    pass


class TokenRejected(Bitrix24Error):
    pass


class ApplicationUnknown(TokenRejected):
    pass


class CredentialsRefused(Bitrix24Error):
    pass


class GrantRejected(Bitrix24Error):
    pass


class PersonRefused(Bitrix24Error):
    pass


class PersonDismissed(PersonRefused):
    pass


class PersonNotAllowed(PersonRefused):
    pass


class PortalRefused(Bitrix24Error):
    pass


class PaymentRequired(PortalRefused):
    pass


class PortalClosed(PortalRefused):
    pass


class ApplicationGone(PortalRefused):
    pass


class KeysRejected(Bitrix24Error):
    pass


class ScopeMissing(Bitrix24Error):
    pass


class AccessDenied(Bitrix24Error):
    pass


class CallRejected(Bitrix24Error):
    pass


class MethodMissing(CallRejected):
    pass


Codes = dict[str, type[Bitrix24Error]]


def _by_code(codes: Mapping[type[Bitrix24Error], str]) -> Codes:
    return {code: kind for kind, text in codes.items() for code in text.split()}


# Codes of a portal's REST server: docs/_includes/system-errors.md, widgets, scopes/confirmation, and the
# portal's source code.
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
# Codes of an authorization server: oauth/error-codes.md and the official clients. Some mean something else
# here: `expired_token` is an invalid refresh token.
AUTHORIZATION_CODES = PORTAL_CODES | _by_code(
    {
        GrantRejected: "invalid_grant bad_verification_code",
        KeysRejected: "invalid_client wrong_client unauthorized_client",
        ApplicationGone: "not_installed error_oauth application_not_found",
        CallRejected: "unsupported_grant_type",
    }
)


def from_code(codes: Codes, code: str, *, status: int | None = None, resets_at: float | None = None) -> Bitrix24Error:
    """Return the error of a code; an unknown one is the server's from HTTP 500, else the call's."""
    unknown: type[Bitrix24Error] = ServerFailed if status is not None and status >= 500 else CallRejected
    kind = codes.get(code.strip().lower(), unknown)
    return kind(code, resets_at=resets_at) if issubclass(kind, Limited) else kind(code)
