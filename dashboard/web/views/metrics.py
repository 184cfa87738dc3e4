"""Serve `/metrics` to Prometheus."""

from __future__ import annotations

import time

from flask import Blueprint, Flask, Response, abort, g, request
from flask.typing import ResponseReturnValue
from pydantic import SecretStr

from dashboard.monitoring.metrics import Metrics


def count_requests(app: Flask, metrics: Metrics) -> None:
    """Count each response by its endpoint; those to unknown addresses are counted together."""

    @app.after_request
    def count(response: Response) -> Response:
        seconds = time.perf_counter() - g.began
        metrics.count_request(request.endpoint or "none", request.method, response.status_code, seconds)
        return response


def blueprint(metrics: Metrics, token: SecretStr | None) -> Blueprint:
    """Return the endpoint; without a token it is 404."""
    view = Blueprint("metrics", __name__)

    @view.get("/metrics")
    def show() -> ResponseReturnValue:
        """Return the metrics of this instance."""
        if token is None:
            abort(404)
        return metrics.respond(request.headers.get("Authorization", ""), token)

    return view
