"""Refuse oversized requests, and log each request in one line."""

from __future__ import annotations

import time
from types import TracebackType
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge, RequestTimeout

from dashboard.bitrix24.inbound import TooManyFields
from dashboard.web.http.client_socket import SlowClient

MAX_BODY_BYTES = 256 * 1024
# An opening has 14 fields and an event about 30.
MAX_FIELDS = 500
PARSED_HEADERS = {"HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING"}
MAX_PARSED_HEADER = 1024

log = structlog.get_logger()

ExceptionInfo = tuple[type, BaseException, TracebackType | None] | tuple[None, None, None]


class Application(Flask):
    """Flask, except that the log line of an unexpected error does not quote the requested path."""

    def log_exception(self, exc_info: ExceptionInfo) -> None:
        """Log an unexpected error with its stack trace."""
        log.error("unhandled_error", method=request.method, path=logged_path(), exc_info=exc_info)


def logged_path() -> str | None:
    """Return the URL rule that the request matches, None if it matches none.

    The requested path may contain control characters or a token.
    """
    return request.url_rule.rule if request.url_rule else None


def install(app: Flask) -> None:
    """Register the hooks. The log has no query string, which may hold personal data."""
    # Werkzeug silently cuts a body of unknown length at this limit; one byte more shows that it is too large.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1

    @app.before_request
    def begin() -> None:
        g.start_time = time.perf_counter()
        g.request_id = uuid4().hex[:16]
        structlog.contextvars.bind_contextvars(request=g.request_id)

    @app.before_request
    def shorten_headers() -> None:
        """Keep the beginning of what is parsed: gunicorn joins repeated headers, and 800 KB of them take a second."""
        for name in PARSED_HEADERS & request.environ.keys():
            request.environ[name] = request.environ[name][:MAX_PARSED_HEADER]

    @app.before_request
    def refuse_large_requests() -> None:
        """Check the body, even if no view reads it or its length is not declared."""
        if (request.content_length or 0) > MAX_BODY_BYTES or len(_body()) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge
        g.has_read_body = True
        # Count the fields before parsing them. The server limits the query string.
        if _body().count(b"&") >= MAX_FIELDS:
            raise TooManyFields

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        # Gunicorn does not read the rest of a large or malformed body, so it cannot read another request after it.
        if not g.get("has_read_body") and "gunicorn.socket" in request.environ:
            request.environ["gunicorn.socket"].close_after_response()
        log.info(
            "request",
            method=request.method,
            path=logged_path(),
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.start_time) * 1000),
            portal=g.portal.id if g.get("portal") else None,
            person=g.person.id if g.get("person") else None,
        )
        return response

    @app.teardown_request
    def clear_log_context(error: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()


def _body() -> bytes:
    """Return the body.

    :raise RequestTimeout: it does not arrive in time.
    :raise BadRequest: a chunk is malformed; gunicorn's own error would quote it.
    """
    try:
        return request.get_data()
    except ClientDisconnected as error:
        if isinstance(error.__context__, SlowClient):
            raise RequestTimeout from None
        raise
    except ParseException:
        raise BadRequest from None
