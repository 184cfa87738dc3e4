"""Check the size of every request and write its line in the log."""

from __future__ import annotations

import time
from types import TracebackType
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from dashboard.bitrix24.inbound import BadField

MAX_BODY_BYTES = 256 * 1024
# A real opening has 14, an event some 30; each one more costs time before anything can be refused.
MAX_FIELDS = 500

log = structlog.get_logger()

ExceptionInfo = tuple[type, BaseException, TracebackType | None] | tuple[None, None, None]


class Application(Flask):
    """Flask, but for the line about a defect: Flask's own quotes the path as it was sent."""

    def log_exception(self, exc_info: ExceptionInfo) -> None:
        """Log a defect with its stack."""
        log.error("defect", method=request.method, path=logged_path(), exc_info=exc_info)


def logged_path() -> str | None:
    """Return the URL rule that the request matches, None where it matches none.

    The path as it was sent may hold anything: what a terminal obeys, or a token that slipped into a link.
    """
    return request.url_rule.rule if request.url_rule else None


def install(app: Flask) -> None:
    """Log each request with its URL rule alone: the query string is not ours to keep."""
    # One byte more, so that a body of untold length, which is cut there without a word, is seen as too large.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        g.request_id = uuid4().hex[:16]
        structlog.contextvars.bind_contextvars(request=g.request_id)

    @app.before_request
    def refuse_large_bodies() -> None:
        """Measure the body whether or not the address reads it, and whether or not its length was told."""
        if (request.content_length or 0) > MAX_BODY_BYTES or len(_body()) > MAX_BODY_BYTES:
            raise RequestEntityTooLarge

    @app.before_request
    def refuse_many_fields() -> None:
        """Count the fields before anybody takes them apart; the query is the server's to bound."""
        if _body().count(b"&") >= MAX_FIELDS:
            raise BadField("body: too many fields", "is refused")

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        log.info(
            "request",
            method=request.method,
            path=logged_path(),
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000),
            portal=g.portal.id if g.get("portal") else None,
            person=g.person.id if g.get("person") else None,
        )
        return response

    @app.teardown_request
    def clear_log_context(error: BaseException | None) -> None:
        structlog.contextvars.clear_contextvars()


def _body() -> bytes:
    """Return the body; chunks that are none are the sender's mistake, which the server's text would quote."""
    try:
        return request.get_data()
    except ParseException:
        raise BadRequest from None
