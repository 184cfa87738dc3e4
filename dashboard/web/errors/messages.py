"""Define the texts of errors. To add a code, add its class in bitrix24/errors.py and its text here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dashboard.bitrix24 import errors
from dashboard.bitrix24.inbound import BadField, TooManyFields
from dashboard.calendar.edits import InvalidEdit
from dashboard.calendar.parser import EMPTY_CODE, NOT_AN_OBJECT
from dashboard.people.directory import INCOMPLETE
from dashboard.people.settings_writer import ChangeUnconfirmed
from dashboard.portals.installations import VerificationFailed
from dashboard.web.i18n.translations import N_

SOON_SECONDS = 5
LATER_SECONDS = 600

# Headings of the advice; they say who has to act.
HEADING_YOU = N_("What to do:")
HEADING_NOBODY = N_("This resolves itself.")
HEADING_NOBODY_SOON = N_("This usually resolves itself soon.")
HEADING_BITRIX24 = N_("Bitrix24 has to fix this.")
HEADING_OPERATOR = N_("The operator of the app has to fix this.")

OPEN_FROM_MENU = N_("Open the app from your portal's menu.")
TRY_IN_A_MINUTE = N_("Try again in a minute.")
TRY_IN_SECONDS = N_("Try again in a few seconds.")
TRY_IN_MINUTES = N_("Try again in a few minutes.")
CONFIRM_PERMISSIONS = N_("Ask an administrator to open the app in the Market and confirm its permissions.")
SEND_CODE = N_("Send them the code below.")


@dataclass(frozen=True)
class ErrorText:
    """What to say about an error; the strings are translated when they are shown."""

    title: str = ""
    explanation: str = ""
    action: str = ""
    action_heading: str = HEADING_YOU
    status: int = 403
    retry_after: int | None = None  # seconds
    label: str = ""  # where there is room for a few words only
    settings: ErrorText | None = None  # above settings that could not be read
    code: str = ""  # shown instead of the error's own
    is_neutral: bool = False  # says what is not there for this person, which is no error


NO_USABLE_RESPONSE = N_("Bitrix24 didn't return a usable response")
NOT_REACHED = N_("We couldn't reach Bitrix24")
NOT_VERIFIED = N_("We couldn't verify who opened the app")
NOT_FROM_PORTAL = ErrorText(
    N_("The app wasn't opened from a portal"),
    N_("The request isn't what Bitrix24 sends. The problem is in the field %(field)s."),
    OPEN_FROM_MENU,
    status=400,
    code="invalid_request",
)
RECONNECT = ErrorText(
    N_("You need to reconnect to Bitrix24"),
    N_("Bitrix24 no longer renews your access. What you see was read before that."),
    N_("Open the app from your portal's menu to reconnect."),
    label=N_("The access has ended. It is renewed when the person opens the app"),
)
TOKEN_NOT_ACCEPTED = ErrorText(
    N_("Your access has expired"),
    N_("Each time you open the app, you get access for one hour. It has run out."),
    N_("Reload the portal page, or open the app from the portal's menu again."),
    label=N_("Bitrix24 no longer accepts the access token"),
)
NOT_INSTALLED = ErrorText(
    N_("The app isn't installed in this portal"),
    N_("Bitrix24 says that it was removed."),
    N_("Ask an administrator to install it again from the Market."),
    label=N_("Bitrix24 says that the app isn't installed"),
)
LIMIT_USED_UP = N_("This portal's request limit is used up. All its apps share it.")
BUSY = ErrorText(
    N_("Bitrix24 is busy"),
    LIMIT_USED_UP,
    TRY_IN_MINUTES,
    HEADING_NOBODY,
    status=503,
    retry_after=SOON_SECONDS,
    label=N_("The portal's apps sent too many requests"),
    settings=ErrorText(
        explanation=LIMIT_USED_UP,
        action=N_("Update in a few minutes."),
        action_heading=HEADING_NOBODY,
    ),
)
FORBIDDEN_SETTINGS = ErrorText(
    settings=ErrorText("", N_("Bitrix24 doesn't let this app read your calendar settings."), CONFIRM_PERMISSIONS)
)
UNKNOWN_SETTINGS = ErrorText(
    "",
    N_("Bitrix24 returned an error instead of your calendar settings."),
    N_("Update in a few minutes. If the problem persists, show this page to your administrator."),
    HEADING_BITRIX24,
)
LIST_INCOMPLETE = ErrorText(label=N_("Bitrix24 didn't return the whole list"))


def _unreachable(explanation: str, action: str, action_heading: str, label: str = NO_USABLE_RESPONSE) -> ErrorText:
    return ErrorText(NOT_REACHED, explanation, action, action_heading, status=502, label=label)


NO_CONNECTION = _unreachable(
    N_("Your portal's server doesn't accept connections from this app."),
    N_(
        "Try again in a minute. If the problem persists, ask an administrator to check that "
        "the server is running and that its firewall allows this app."
    ),
    HEADING_NOBODY_SOON,
    N_("The server does not accept connections"),
)
NOT_TRUSTED = _unreachable(
    N_(
        "Your portal's server could not prove its identity: its certificate has expired, "
        "names another server, or its issuer is not trusted."
    ),
    N_(
        "Ask an administrator to renew the certificate of the portal's server "
        "and install it with its intermediate certificates."
    ),
    HEADING_YOU,
    N_("The server's certificate is not trusted"),
)


def _http(explanation: str) -> ErrorText:
    return ErrorText(N_("This page can't be shown"), explanation, OPEN_FROM_MENU)


NOT_FOR_YOU = ErrorText(
    explanation=N_("Ask an administrator for access. You can always see your own settings."),
    code="team_not_allowed",
    is_neutral=True,
)
PORTAL_FULL = ErrorText(
    N_("This portal has reached its storage limit"),
    N_("The app can store only a limited amount of data per portal. People who already use it can keep using it."),
    SEND_CODE,
    HEADING_OPERATOR,
    label=N_("The portal's storage limit is reached"),
    settings=ErrorText(
        "",
        N_("The app's storage limit for this portal is reached, so your newer settings weren't stored."),
        SEND_CODE,
        HEADING_OPERATOR,
    ),
)


# Keys: Bitrix24's codes in lower case, codes of ours, and error classes, which stand for their subclasses too.
ERRORS: dict[str | type[Exception], ErrorText] = {
    # What was posted, and who opened the application.
    BadField: NOT_FROM_PORTAL,
    TooManyFields: replace(NOT_FROM_PORTAL, explanation=N_("The request has too many fields.")),
    VerificationFailed: ErrorText(
        NOT_VERIFIED, N_("The access token used to open this page belongs to another portal or app."), OPEN_FROM_MENU
    ),
    "not_an_administrator": ErrorText(
        NOT_VERIFIED,
        N_("Only a portal administrator can install the app."),
        N_("Ask a portal administrator to open the app once."),
    ),
    "uninstalled_meanwhile": ErrorText(
        NOT_VERIFIED,
        N_("The app was just removed from this portal."),
        N_("Ask an administrator to install it again from the Market."),
    ),
    "too_many_failed_proofs": ErrorText(
        N_("Too many failed attempts"),
        N_("Several attempts to open the app from your network were just refused, so new ones have to wait."),
        N_("Wait a moment, then open the app from your portal's menu again."),
        HEADING_NOBODY,
        status=429,
    ),
    "too_many_openings": ErrorText(
        N_("Too many requests at once"),
        N_("The app limits how often it sends requests to your portal. Nothing was changed."),
        TRY_IN_SECONDS,
        HEADING_NOBODY,
        status=429,
    ),
    # Access of the person.
    errors.TokenRejected: TOKEN_NOT_ACCEPTED,
    errors.CredentialsRefused: TOKEN_NOT_ACCEPTED,  # the user's credentials: the token
    errors.GrantRejected: RECONNECT,
    "reconnect": replace(
        RECONNECT,
        explanation=N_("Bitrix24 no longer renews your access, so nothing newer can be read. Nothing is lost."),
    ),
    errors.PersonDismissed: ErrorText(
        N_("Bitrix24 denied access"),
        N_("Bitrix24 says that your account is not active in this portal."),
        N_("Ask an administrator whether your account should be active."),
        label=N_("Bitrix24 says that the account is not active"),
    ),
    errors.PersonRefused: ErrorText(
        N_("You don't have access to the app"),
        N_("Your administrator has made it available only to some people."),
        N_("Ask an administrator to give you access to the app."),
        label=N_("This person doesn't have access to the app"),
    ),
    "allowed_only_intranet_user": FORBIDDEN_SETTINGS,
    "foreign_profile": ErrorText(label=N_("Bitrix24 returned another person's data")),
    # Rights inside the application.
    "team_not_allowed": replace(NOT_FOR_YOU, title=N_("The team is visible to administrators")),
    "heads_only": replace(NOT_FOR_YOU, title=N_("The team is visible to department heads")),
    "employees_only": replace(
        NOT_FOR_YOU,
        title=N_("The team is visible to employees"),
        explanation=N_("You aren't in this portal's list of employees. You can always see your own settings."),
        action=N_("If you have just joined, try again tomorrow. The list is updated every night."),
    ),
    "insights_not_allowed": replace(
        NOT_FOR_YOU,
        title=N_("Insights are visible to administrators"),
        explanation=N_("They count everyone in the portal. You can see the people of your departments on Team."),
    ),
    "not_in_departments": replace(
        NOT_FOR_YOU,
        title=N_("This person isn't in your departments"),
        explanation=N_("You can see the people in and below the departments you head."),
    ),
    "not_on_team": replace(
        NOT_FOR_YOU,
        title=N_("This person isn't on the team"),
        explanation=N_("The team has the employees whom Bitrix24 lists, without guests and people who have left."),
        code="not_on_team",
    ),
    "nobody_named": replace(
        NOT_FOR_YOU,
        title=N_("Choose a colleague first"),
        explanation=N_("Open this from an employee's card, or beside a private chat with a colleague."),
        code="nobody_named",
    ),
    "admin_only": ErrorText(
        N_("This page is for administrators"),
        N_("Decisions made here apply to everyone in the portal."),
        N_("If you were just made an administrator, open the app again from your portal's menu."),
        is_neutral=True,
    ),
    # State of the portal.
    errors.ApplicationUnknown: NOT_INSTALLED,
    errors.ApplicationGone: NOT_INSTALLED,
    "installation_ended": ErrorText(label=N_("The app was removed or reinstalled")),
    errors.PaymentRequired: ErrorText(
        N_("The paid period has ended"),
        N_("Bitrix24 will respond again once the app or the portal is paid for. Your data is kept."),
        N_("Ask an administrator to renew the subscription, then open the app again."),
        label=N_("The paid period has ended"),
    ),
    errors.PortalClosed: ErrorText(
        N_("The portal is temporarily closed"),
        N_("Bitrix24 will respond again once the portal is open. Your data is kept."),
        N_("Try again when the portal is open."),
        status=503,
        retry_after=LATER_SECONDS,
        label=N_("The portal is temporarily closed"),
    ),
    errors.ScopeMissing: ErrorText(
        N_("The app is missing a permission"),
        N_("It wasn't granted the permission to read calendar settings."),
        CONFIRM_PERMISSIONS,
        label=N_("A permission is missing"),
    ),
    "insufficient_scope": FORBIDDEN_SETTINGS,
    errors.AccessDenied: ErrorText(
        N_("Bitrix24 doesn't allow this"),
        N_("The portal's plan or your account's rights don't allow the app."),
        N_("Ask an administrator whether the plan includes Market apps."),
        label=N_("Bitrix24 doesn't allow it"),
    ),
    "access_denied": FORBIDDEN_SETTINGS,
    errors.KeysRejected: ErrorText(  # the application's credentials: client_id and client_secret
        N_("Bitrix24 rejected the app's credentials"),
        N_("Bitrix24 doesn't accept the keys this app is registered with."),
        SEND_CODE,
        HEADING_OPERATOR,
        status=502,
        label=N_("Bitrix24 rejected the app's credentials. The operator of the app has to fix this"),
    ),
    # Limits.
    errors.Limited: BUSY,
    errors.Overloaded: replace(BUSY, retry_after=LATER_SECONDS),
    errors.OwnLimit: ErrorText(
        N_("Too many requests at once"),
        N_("The app limits how often it sends requests to your portal. Nothing was changed."),
        TRY_IN_MINUTES,
        HEADING_NOBODY,
        status=503,
        retry_after=SOON_SECONDS,
    ),
    errors.PortalFull: PORTAL_FULL,
    errors.PortalFull.CODE: PORTAL_FULL,
    "too_many_requests_at_once": ErrorText(
        N_("Too many requests at once"), HEADING_NOBODY_SOON, TRY_IN_SECONDS, status=503, retry_after=SOON_SECONDS
    ),
    # Connections.
    errors.UNKNOWN_HOST: _unreachable(
        N_("Your portal's server name was not found on the internet."),
        N_("Ask an administrator to check the portal's domain name and its DNS records."),
        HEADING_YOU,
        N_("The server's name was not found"),
    ),
    errors.NAME_LOOKUP_FAILED: _unreachable(
        N_("This app couldn't look up the address of your portal's server."),
        TRY_IN_A_MINUTE,
        HEADING_NOBODY_SOON,
        N_("The server's name could not be looked up"),
    ),
    errors.ADDRESS_NOT_ALLOWED: _unreachable(
        N_("Your portal's server has a private address, and this app only connects to public ones."),
        N_(
            "Ask an administrator to give the portal a public address, or ask the operator of the"
            " app to allow private ones."
        ),
        HEADING_YOU,
        N_("The server has a private address"),
    ),
    errors.CONNECTION_REFUSED: NO_CONNECTION,
    errors.CONNECT_TIMEOUT: NO_CONNECTION,
    errors.CERTIFICATE_UNTRUSTED: NOT_TRUSTED,
    errors.TLS_FAILED: NOT_TRUSTED,
    errors.TIMEOUT: _unreachable(
        N_("Your portal's server took too long to answer. Nothing was changed or lost."),
        N_(
            "Try again in a minute. If the problem persists, ask an administrator to check how busy "
            "the portal's server is."
        ),
        HEADING_NOBODY_SOON,
        N_("The server took too long to answer"),
    ),
    errors.Unreachable: _unreachable(
        N_("The connection failed or took too long. Nothing was changed or lost."), TRY_IN_A_MINUTE, HEADING_NOBODY_SOON
    ),
    "authorization_server_unreachable": _unreachable(
        N_("This app can't connect to Bitrix24's authorization server."), SEND_CODE, HEADING_OPERATOR
    ),
    # Responses that cannot be used.
    errors.Bitrix24Error: ErrorText(
        NO_USABLE_RESPONSE,
        N_("Bitrix24 returned an internal error. Nothing was changed or lost."),
        TRY_IN_MINUTES,
        HEADING_BITRIX24,
        status=502,
    ),
    errors.ServerFailed: ErrorText(label=N_("Bitrix24 had an internal error")),
    errors.MethodMissing: ErrorText(label=N_("This portal's version is too old")),
    **dict.fromkeys(
        ("unreachable", "renewal_failed", "renewal_busy", "bad_answer", "answer_too_large", "command_not_answered"),
        ErrorText(label=NO_USABLE_RESPONSE),
    ),
    "error_argument": ErrorText(
        label=N_("A stored setting is corrupted, so Bitrix24 returns none of them"),
        settings=ErrorText(
            "",
            N_("Bitrix24 can't return your settings because one of them is corrupted."),
            N_("Reset them to Bitrix24's defaults. There is no other way to make them readable again."),
        ),
    ),
    EMPTY_CODE: ErrorText(
        label=N_("Bitrix24 refused without giving a reason"),
        settings=ErrorText(
            "",
            N_(
                "Bitrix24 refused to return your calendar settings and gave no reason. This often "
                "happens to guests of a portal."
            ),
            N_("Ask an administrator whether you may use the calendar in this portal."),
        ),
    ),
    NOT_AN_OBJECT: ErrorText(
        label=N_("Bitrix24 returned something that isn't settings"),
        settings=ErrorText(
            "",
            N_("Bitrix24 returned something that isn't settings. It is shown below as received."),
            N_("Update later. If the problem persists, show this page to your administrator."),
            HEADING_BITRIX24,
        ),
    ),
    # The list of employees.
    "nobody_connected": ErrorText(label=N_("Nobody who may read the list is connected")),
    "directory_without_reader": LIST_INCOMPLETE,
    INCOMPLETE: LIST_INCOMPLETE,
    # Our own database and URLs.
    "database_unavailable": ErrorText(
        N_("The database is unavailable"),
        N_("The app's database isn't responding. Nothing was changed or lost."),
        TRY_IN_A_MINUTE,
        N_("We're working on it."),
        status=503,
        retry_after=SOON_SECONDS,
    ),
    "http_404": _http(N_("This page doesn't exist.")),
    "http_405": _http(N_("This address doesn't accept this kind of request.")),
    "http_413": _http(N_("The request is too large.")),
    "http_415": _http(N_("This address only accepts forms, as Bitrix24 sends them.")),
    "http_error": _http(N_("The request couldn't be understood.")),
    "internal_error": ErrorText(
        N_("This page can't be shown"), N_("An error in the app prevented it."), SEND_CODE, HEADING_OPERATOR
    ),
    # Forms of ours.
    InvalidEdit: ErrorText(
        N_("Something was wrong with that request"),
        N_("The field %(field)s has a value that can't be used. Nothing was changed."),
        N_("Choose another value and try again."),
        status=400,
        code="invalid_request",
    ),
    "change_not_found": ErrorText(
        N_("This change can't be undone"),
        N_("It is too old, or it isn't one of yours. Nothing was changed."),
        N_("Change the setting itself."),
        status=404,
    ),
    "reset_not_needed": ErrorText(
        N_("Your settings need no reset"),
        N_("Bitrix24 returns them. Nothing was changed."),
        N_("Change the setting itself."),
        status=409,
    ),
    ChangeUnconfirmed: _unreachable(
        N_("The change was sent, but no answer came, so it may have been saved or not."),
        N_("Update your settings to see."),
        HEADING_YOU,
    ),
    "recommendation_changed": ErrorText(
        N_("The recommended settings have changed"),
        N_("An administrator has changed them since you opened this page. Nothing was adopted."),
        N_("Look at the new ones below and adopt what you like."),
        status=409,
    ),
    "invalid_choice": ErrorText(
        N_("Something was wrong with that request"),
        N_("The choice of who may see the team was not valid. Nothing was changed."),
        N_("Choose one of the options and try again."),
        status=400,
        code="invalid_request",
    ),
    "invalid_value": ErrorText(
        N_("Something was wrong with that request"),
        N_("The value of “%(field)s” is not valid."),
        N_("Go back and choose another value."),
        status=400,
        code="invalid_request",
    ),
    "too_many_groups": ErrorText(
        N_("You have too many saved groups"),
        N_("You can save up to %(count)s groups. The new one was not saved."),
        N_("Delete a group that you no longer need."),
        status=400,
        code="too_many_groups",
    ),
    "wrong_address": ErrorText(
        N_("That is not this portal's address"),
        N_("Nothing was deleted."),
        N_("Type the address exactly as shown above the field."),
        status=400,
        code="invalid_request",
    ),
}
