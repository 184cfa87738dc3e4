"""Answer errors with a page, a part of a page, or JSON, depending on the request."""

from __future__ import annotations

import structlog
from flask import Flask, Response, jsonify, make_response, render_template, request
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from dashboard.bitrix24.errors import Bitrix24Error
from dashboard.bitrix24.inbound import BadField
from dashboard.calendar.edits import InvalidEdit
from dashboard.core.database_errors import is_conflict
from dashboard.core.shared_slots import SlotRefused
from dashboard.launch.events import EventRefused
from dashboard.portals.installations import VerificationFailed
from dashboard.portals.throttle import TooManyAttempts
from dashboard.web.errors.responses import ErrorResponse, response_for_code, response_for_error, response_for_status
from dashboard.web.http.query_values import InvalidValue
from dashboard.web.http.request_hooks import logged_path

log = structlog.get_logger()


def install(app: Flask) -> None:
    """Register handlers for every known error; Flask logs any other one and answers 500."""

    @app.errorhandler(Bitrix24Error)
    @app.errorhandler(VerificationFailed)
    @app.errorhandler(BadField)
    @app.errorhandler(InvalidEdit)
    def expected_error(error: Bitrix24Error | VerificationFailed | BadField | InvalidEdit) -> Response:
        log.warning("request_refused", error=str(error), kind=type(error).__name__, path=logged_path())
        return render_error(response_for_error(error))

    @app.errorhandler(InvalidValue)
    def invalid_value(error: InvalidValue) -> Response:
        return render_error(response_for_code("invalid_value", field=error.field))

    @app.errorhandler(EventRefused)
    def event_refused(error: EventRefused) -> Response:
        return _json(403, "invalid_application_token")

    @app.errorhandler(TooManyAttempts)
    def too_many(error: TooManyAttempts) -> Response:
        return render_error(response_for_code(error.code, retry_after=error.retry_after_seconds))

    @app.errorhandler(SlotRefused)
    def too_many_at_once(error: SlotRefused) -> Response:
        return render_error(response_for_code("too_many_requests_at_once"))

    @app.errorhandler(OperationalError)
    @app.errorhandler(InternalError)  # raised by a read-only Postgres
    @app.errorhandler(PoolTimeout)
    def database(error: DBAPIError | PoolTimeout) -> Response:
        # The database module logs outages, not each failed request.
        return render_error(
            response_for_code("too_many_requests_at_once" if is_conflict(error) else "database_unavailable")
        )

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        if isinstance(error.code, int) and error.code < 400:
            return make_response(error.get_response())
        response = render_error(response_for_status(error.code or 500))
        if allowed := getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(allowed)
        return response


def render_error(failure: ErrorResponse) -> Response:
    """Return the error in the form that the request accepts."""
    if request.path == "/events":
        response = _json(failure.status, "invalid_request" if failure.status == 400 else failure.notice.code)
    elif request.accept_mimetypes.best == "application/json":
        response = jsonify(error=failure.notice.code)
    else:
        layout = "part.html" if "Authorization" in request.headers else "layout.html"
        response = make_response(render_template("error.html", layout=layout, notice=failure.notice))
    response.status_code = failure.status
    if failure.retry_after is not None:
        response.headers["Retry-After"] = str(failure.retry_after)
    return response


def _json(status: int, code: str) -> Response:
    response = jsonify(status="error", error=code)
    response.status_code = status
    return response
