"""The error tree of Bitrix24: one leaf per thing a caller decides on.

Bitrix24Error
├── NotAnswered             nothing is known: try later, change nothing
│   ├── Unreachable         no connection, a time-out, a reset, an address we may not call: a code for each
│   ├── Unreadable          HTML, cut-off JSON, a shape that is no answer
│   └── ServerFailed        the server's own fault, said in its words
├── Limited                 wait; the call was not executed
│   ├── QueryLimit          the portal's bucket is full: seconds
│   │   └── OwnLimit        a limit of ours: nothing was asked
│   ├── MethodPaused        one method has used up its time: until ``operating_reset_at``
│   └── Overloaded          the portal is blocked by hand: hours
├── PortalMoved             a redirect; the address must be proven before a token goes there
├── TokenRejected           renew once, then call again
│   └── ApplicationUnknown  the portal does not know the application; believed only if the renewal says so too
├── CredentialsRefused      no token at all, or one that renewing does not help
├── GrantRejected           the refresh token is void: the person's next open heals it
├── PersonRefused           this person, not the portal
│   ├── PersonDismissed
│   └── PersonNotAllowed    the administrator did not give the application to them
├── PortalRefused           the portal as a whole
│   ├── PaymentRequired     suspended: keep everything
│   ├── PortalClosed        closed for a while: keep everything
│   └── ApplicationGone     the authorization server says it is not installed
├── KeysRejected            our client_id or client_secret: the operator's move
├── ScopeMissing            a right the application was not granted
├── AccessDenied            the method wants an administrator or another plan
└── CallRejected            the request itself, or the data behind it; repeating changes nothing
    └── MethodMissing       this portal has no such method

Codes are compared without regard to case and never judged by the HTTP status: the server, its
documentation and the official clients disagree about statuses, seldom about codes.
"""

from __future__ import annotations


class Bitrix24Error(Exception):
    """An answer that is no success.

    ``code`` is Bitrix24's own where it sent one (it may be the empty string), else one of ours.
    The text carries the code alone: descriptions may hold names and tokens.
    """

    def __init__(self, code: str, *, status: int | None = None) -> None:
        super().__init__(f"{type(self).__name__}({code!r})")
        self.code = code
        self.status = status


class NotAnswered(Bitrix24Error):
    """Nothing is known about the request: it may have been executed."""

    @property
    def suggests_move(self) -> bool:
        """Tell whether the portal may have another address by now, because at this one is none."""
        return False


# Why a host could not be reached, a code for each cause. One that is not among them is `unreachable`.
UNKNOWN_HOST = "unknown_host"
NAME_LOOKUP_FAILED = "name_lookup_failed"
ADDRESS_NOT_ALLOWED = "address_not_allowed"
CONNECTION_REFUSED = "connection_refused"
CONNECT_TIMEOUT = "connect_timeout"
CERTIFICATE_UNTRUSTED = "certificate_untrusted"
TLS_FAILED = "tls_failed"
TIMEOUT = "timeout"
UNREACHABLE = "unreachable"
RESPONSE_TOO_LARGE = "answer_too_large"
UNREACHABLE_CODES = (
    *(UNKNOWN_HOST, NAME_LOOKUP_FAILED, ADDRESS_NOT_ALLOWED, CONNECTION_REFUSED, CONNECT_TIMEOUT),
    *(CERTIFICATE_UNTRUSTED, TLS_FAILED, TIMEOUT, UNREACHABLE),
)
# The host, or a name server, kept us waiting.
LATE_CODES = frozenset({NAME_LOOKUP_FAILED, CONNECT_TIMEOUT, TIMEOUT})
_STILL_THERE = frozenset({NAME_LOOKUP_FAILED, TIMEOUT})


class Unreachable(NotAnswered):
    """No connection, or no answer in time.

    ``host`` is for the log. ``at_portal`` is false where it was an authorization server that did not answer.
    """

    def __init__(
        self, code: str, *, status: int | None = None, host: str | None = None, at_portal: bool = True
    ) -> None:
        super().__init__(code, status=status)
        self.host = host
        self.at_portal = at_portal

    @property
    def suggests_move(self) -> bool:
        return self.at_portal and self.code in UNREACHABLE_CODES and self.code not in _STILL_THERE


class Unreadable(NotAnswered):
    @property
    def suggests_move(self) -> bool:
        return self.code == "bad_answer"


class ServerFailed(NotAnswered):
    pass


class Limited(Bitrix24Error):
    """The request was refused before it was executed; ``resets_at`` is Unix time where it is known."""

    def __init__(self, code: str, *, status: int | None = None, resets_at: float | None = None) -> None:
        super().__init__(code, status=status)
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

# What a portal's REST server says: docs/_includes/system-errors.md, widgets, scopes/confirmation,
# and what the portal's source adds to them.
PORTAL_CODES: Codes = {
    "expired_token": TokenRejected,
    "invalid_token": TokenRejected,
    "application_not_found": ApplicationUnknown,
    "error_oauth": ApplicationUnknown,
    "not_installed": ApplicationUnknown,
    "no_auth_found": CredentialsRefused,
    "invalid_credentials": CredentialsRefused,
    "authorization_error": PersonDismissed,
    "user_access_error": PersonNotAllowed,
    "allowed_only_intranet_user": PersonNotAllowed,
    "payment_required": PaymentRequired,
    "portal_deleted": PortalClosed,
    "insufficient_scope": ScopeMissing,
    "invalid_scope": ScopeMissing,
    "access_denied": AccessDenied,
    "method_confirm_waiting": AccessDenied,
    "method_confirm_denied": AccessDenied,
    "query_limit_exceeded": QueryLimit,
    "operation_time_limit": MethodPaused,
    "overload_limit": Overloaded,
    "internal_server_error": ServerFailed,
    "error_unexpected_answer": ServerFailed,
    "connection_error": ServerFailed,
    "error_method_not_found": MethodMissing,
    "error_manifest_is_not_available": MethodMissing,
    "invalid_request": CallRejected,
    "wrong_auth_type": CallRejected,
    "error_batch_method_not_allowed": CallRejected,
    "error_batch_length_exceeded": CallRejected,
    "error_argument": CallRejected,
    "error_core": CallRejected,
    "error_not_found": CallRejected,
}

# What an authorization server says: oauth/error-codes.md and the official clients. The same word can
# mean another thing here: `expired_token` is a dead code or refresh token, not one to renew.
AUTHORIZATION_CODES: Codes = {
    **PORTAL_CODES,
    "invalid_grant": GrantRejected,
    "bad_verification_code": GrantRejected,
    "invalid_client": KeysRejected,
    "wrong_client": KeysRejected,
    "unauthorized_client": KeysRejected,
    "not_installed": ApplicationGone,
    "error_oauth": ApplicationGone,
    "application_not_found": ApplicationGone,
    "unsupported_grant_type": CallRejected,
}


def from_code(codes: Codes, code: str, *, status: int | None, resets_at: float | None = None) -> Bitrix24Error:
    """Return the leaf for a code; an unknown one is the server's fault from 500 up, else the call's."""
    unknown: type[Bitrix24Error] = ServerFailed if status is not None and status >= 500 else CallRejected
    leaf = codes.get(code.strip().lower(), unknown)
    if issubclass(leaf, Limited):
        return leaf(code, status=status, resets_at=resets_at)
    return leaf(code, status=status)
