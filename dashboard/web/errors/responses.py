"""Turn an error into a notice: on a page of its own, above stored settings, or as a short label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import Environment

from dashboard.bitrix24 import errors
from dashboard.bitrix24.inbound import BadField
from dashboard.calendar.edits import InvalidEdit
from dashboard.calendar.parser import EMPTY_CODE, CalendarSettings
from dashboard.core.json_values import strip_control_characters
from dashboard.models import Person, TokenState
from dashboard.portals.installations import VerificationFailed
from dashboard.web.errors.messages import (
    ERRORS,
    LATER_SECONDS,
    NO_USABLE_RESPONSE,
    TRY_IN_A_MINUTE,
    TRY_IN_SECONDS,
    UNKNOWN_SETTINGS,
    ErrorText,
)
from dashboard.web.http.context import services
from dashboard.web.i18n.translations import N_, _

# Temporary failures of an authorization server; after any other, the operator has to act.
TRANSIENT_FAILURES = (errors.TIMEOUT, errors.NAME_LOOKUP_FAILED, errors.UNREACHABLE)
# The longest waits that texts call a few seconds, and a minute.
MAX_FEW_SECONDS, MAX_MINUTE = 15, 60
UNKNOWN_LABEL = N_("Bitrix24 returned an error: %(code)s")


@dataclass(frozen=True)
class Notice:
    """An error in words; the code is Bitrix24's own or one of ours."""

    code: str
    title: str
    explanation: str
    action_heading: str  # says who has to act
    action: str | None = None
    is_neutral: bool = False  # no error: it says what is not there for this person
    request: str = ""  # a text to send to whoever can change that


@dataclass(frozen=True)
class ErrorResponse:
    """The response to a failed request; ``retry_after`` is in seconds."""

    status: int
    notice: Notice
    retry_after: int | None = None


def response_for_error(error: errors.Bitrix24Error | VerificationFailed | BadField | InvalidEdit) -> ErrorResponse:
    """Return the response to an error of Bitrix24, of the verification, or of a form."""
    if isinstance(error, BadField | InvalidEdit):
        return _error_response(_page_text(None, type(error)), "", field=error.field)
    code = error.code or EMPTY_CODE
    if isinstance(error, errors.Limited):
        return _limited(error)
    if isinstance(error, errors.Unreachable) and not error.at_portal:
        is_transient = code in TRANSIENT_FAILURES
        return _error_response(ERRORS[errors.Unreachable if is_transient else "authorization_server_unreachable"], code)
    # Other errors have a code that a portal has sent and that may equal one of ours.
    own_code = code if isinstance(error, errors.Unreachable | VerificationFailed) else None
    return _error_response(_page_text(own_code, type(error)), code)


def response_for_code(code: str, *, retry_after: int | None = None, **values: str) -> ErrorResponse:
    """Return the response to an error of ours, by its code in the table; its text names the values."""
    return _error_response(ERRORS[code], code, retry_after=retry_after, **values)


def response_for_status(status: int) -> ErrorResponse:
    """Return the response to a request that this URL does not accept, or in which the app has failed."""
    code = f"http_{status}"
    text = ERRORS.get(code, ERRORS["http_error" if status < 500 else "internal_error"])
    return ErrorResponse(status, _notice(text, code))


def settings_notice(settings: CalendarSettings) -> Notice | None:
    """Return why the settings could not be read last time, None if they could."""
    if settings.error is None:
        return None
    texts = _texts(settings.error.lower(), errors.PORTAL_CODES.get(settings.error.lower()))
    text = next((text.settings for text in texts if text.settings), UNKNOWN_SETTINGS)
    title = (
        _("Newer settings couldn't be read") if settings.is_readable else _("Your calendar settings couldn't be read")
    )
    return Notice(settings.error, title, _(text.explanation), _(text.action_heading), _(text.action))


def token_notice(person: Person) -> Notice | None:
    """Return the notice for a person whose token is revoked, None for others."""
    return _notice(ERRORS["reconnect"], "reconnect") if person.chain_state == TokenState.REVOKED else None


def error_label(code: str) -> str:
    """Return a few words without a full stop; an unknown code is quoted."""
    # These characters isolate text like <bdi>, but also work in JSON, which scripts show.
    isolated = f"\N{FIRST STRONG ISOLATE}{strip_control_characters(code)}\N{POP DIRECTIONAL ISOLATE}"
    return known_label(code) or _(UNKNOWN_LABEL) % {"code": isolated}


def known_label(code: str) -> str:
    """Return a few words about a code, or an empty string for an unknown one."""
    lower = code.strip().lower() or EMPTY_CODE
    for text in _texts(lower, errors.AUTHORIZATION_CODES.get(lower)):
        if text.label:
            return _(text.label)
    return _(NO_USABLE_RESPONSE) if lower.startswith("http_") else ""


def _limited(error: errors.Limited) -> ErrorResponse:
    text = _page_text(None, type(error))
    wait = text.retry_after
    if error.resets_at is not None:
        wait = min(LATER_SECONDS, max(1, round(error.resets_at - services().now().timestamp())))
    return _error_response(text, error.code, retry_after=wait, action=_advice(wait))


def _advice(wait: int | None) -> str | None:
    """Return when to try again, None for a longer or unknown time."""
    if wait is None or wait > MAX_MINUTE:
        return None
    return _(TRY_IN_SECONDS) if wait <= MAX_FEW_SECONDS else _(TRY_IN_A_MINUTE)


def _page_text(code: str | None, kind: type[Exception]) -> ErrorText:
    return next(text for text in _texts(code, kind) if text.title)


def _texts(code: str | None, kind: type[Exception] | None) -> Iterator[ErrorText]:
    """Yield what the table says about a code, then about an error's class and its bases."""
    for key in (code, *(kind.__mro__ if kind else ())):
        if key in ERRORS:
            yield ERRORS[key]


def _error_response(
    text: ErrorText, code: str, *, retry_after: int | None = None, action: str | None = None, **values: str
) -> ErrorResponse:
    return ErrorResponse(text.status, _notice(text, code, action=action, **values), retry_after or text.retry_after)


def _notice(text: ErrorText, code: str, *, action: str | None = None, **values: str) -> Notice:
    explanation = _(text.explanation) % values if values else _(text.explanation)
    action = action or (_(text.action) if text.action else None)
    return Notice(text.code or code, _(text.title), explanation, _(text.action_heading), action, text.is_neutral)


def install(env: Environment) -> None:
    """Add the filters for errors to the templates."""
    env.filters.update(reason=error_label, settings_notice=settings_notice)
