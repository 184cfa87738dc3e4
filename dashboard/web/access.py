"""The end of every request: its line in the log, and the calls it made, remembered."""

from __future__ import annotations

import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from dashboard.calls import CallLog
from dashboard.db import Database

log = structlog.get_logger()


def install(app: Flask, *, database: Database, calls: CallLog) -> None:
    """Log each request with its path alone: the query string is not ours to keep."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        g.request_id = uuid4().hex[:16]
        structlog.contextvars.bind_contextvars(request=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000),
            portal=g.portal.id if g.get("portal") else None,
            person=g.person.id if g.get("person") else None,
        )
        return response

    @app.teardown_request
    def remember(error: BaseException | None) -> None:
        """Write the calls nobody else has written: those of requests that failed."""
        try:
            if len(calls):
                with database.writing() as session:
                    calls.write(session, portal_id=g.portal.id if g.get("portal") else None)
        except SQLAlchemyError as failure:
            # The request is answered already; what it learned is in the log line above.
            log.error("calls_not_written", reason=type(failure).__name__)
        finally:
            structlog.contextvars.clear_contextvars()
