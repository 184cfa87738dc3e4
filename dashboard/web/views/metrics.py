"""Serve `/metrics` to Prometheus."""

from __future__ import annotations

import time

from flask import Blueprint, Flask, Response, abort, g, request
from flask.typing import ResponseReturnValue

from dashboard.monitoring.metrics import Metrics
from dashboard.web.http.context import services

blueprint = Blueprint("metrics", __name__)


def count_requests(app: Flask, metrics: Metrics) -> None:
    """Count each response by its endpoint; those to unknown paths are counted together."""

    @app.after_request
    def count(response: Response) -> Response:
        seconds = time.perf_counter() - g.start_time
        metrics.count_request(request.endpoint or "none", request.method, response.status_code, seconds)
        return response


@blueprint.get("/metrics")
def show_metrics() -> ResponseReturnValue:
    """Return the metrics of this instance, or 404 if METRICS_TOKEN is not set."""
    token = services().config.metrics_token
    if token is None:
        abort(404)
    return services().metrics.respond(request.headers.get("Authorization", ""), token)
