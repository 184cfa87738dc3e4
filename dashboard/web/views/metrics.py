"""`/metrics`: what an operator's Prometheus asks for. Counts only: no portal, no person, no address."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from flask import Blueprint, Flask, Response, abort, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.core.database import Database
from dashboard.core.version import VERSION
from dashboard.monitoring import gauges, metrics
from dashboard.monitoring.gauges import GaugeValues
from dashboard.monitoring.metrics import Labels, Tallies

# Any word may come as a method; a series each would be somebody else's choice.
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
UP = "Whether the database answers, and stores what it is given."

# What alerts watch is told from the beginning, for the same reason as defects are.
NO_REFRESHES: dict[Labels, float] = dict.fromkeys(
    (("ok",), ("invalid_grant",), ("invalid_client",), ("wrong_client",), ("unauthorized_client",)), 0.0
)

Sums = dict[str, dict[Labels, float]]


def count_requests(app: Flask, counts: Tallies) -> None:
    """Count each answer by what was asked for; addresses nobody serves are one."""

    @app.after_request
    def count(response: Response) -> Response:
        method = request.method if request.method in METHODS else "other"
        seconds = time.perf_counter() - g.began
        counts.request(request.endpoint or "none", method, response.status_code, seconds)
        return response

    @app.teardown_request
    def write(error: BaseException | None) -> None:
        counts.flush_if_due()


def blueprint(
    token: SecretStr | None, *, database: Database, counts: Tallies, now: Callable[[], datetime]
) -> Blueprint:
    """Return the address; without a token it does not exist."""
    metrics = Blueprint("metrics", __name__)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_AllMetrics(database, counts, now))

    @metrics.get("/metrics")
    def show() -> ResponseReturnValue:
        """Tell the counts to whoever has the token."""
        if token is None:
            abort(404)
        if not _is_bearer(token):
            return Response("A bearer token is needed.\n", 401, {"WWW-Authenticate": "Bearer"}, "text/plain")
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return metrics


def _is_bearer(token: SecretStr) -> bool:
    given = request.headers.get("Authorization", "").encode()
    return hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode())


class _AllMetrics(Collector):
    """All series. While the database is away it says that, and which version this is."""

    def __init__(self, database: Database, counts: Tallies, now: Callable[[], datetime]) -> None:
        self._database = database
        self._counts = counts
        self._now = now

    def collect(self) -> Iterator[Metric]:
        yield _gauge("build_info", "Which version answers.", {(VERSION,): 1}, "version")
        written = self._counts.flush()
        try:
            standing, sums = gauges.read_gauges(self._database, now=self._now), self._counts.sums()
        except SQLAlchemyError:
            yield _gauge("database_up", UP, {(): 0})
            return
        yield _gauge("database_up", UP, {(): int(written)})
        yield from _gauge_metrics(standing)
        yield from _counter_metrics(sums)


def _gauge_metrics(now: GaugeValues) -> Iterator[Metric]:
    yield _gauge("portals", "Portals by state.", _by_one(now.portals), "state")
    yield _gauge("chains", "People's token chains by state.", _by_one(now.tokens), "state")
    yield _gauge("runs", "Synchronisations of the last 30 days by state.", _by_one(now.runs), "state")
    yield _gauge("runs_due", "Synchronisations that wait for a worker.", {(): now.runs_due})
    yield _gauge("runs_due_oldest_seconds", "For how long the first of them waits.", {(): now.oldest_due_seconds})
    yield _gauge(
        "runs_waiting_for_limit",
        "Synchronisations that wait for their portal's request limit.",
        {(): now.runs_waiting_for_bucket},
    )
    yield _gauge(
        "lease_overdue_seconds",
        "How long ago the oldest lease that nobody gave back ended.",
        _by_one(now.lease_overdue_seconds),
        "of",
    )
    if now.heartbeat_late_seconds is not None:
        late: dict[Labels, float] = {(): now.heartbeat_late_seconds}
        yield _gauge("worker_late_seconds", "How long a worker's sign of life has been due.", late)


def _counter_metrics(sums: Sums) -> Iterator[Metric]:
    counted = sums.get(metrics.REQUESTS, {})
    # A series that begins with its first defect has not increased since: the alert would miss that one.
    none_yet: dict[Labels, float] = {(endpoint, method, "500"): 0 for endpoint, method, _ in counted}
    yield _counter("requests", "Our answers.", none_yet | counted, "endpoint", "method", "status")
    yield _request_seconds(sums)
    calls = sums.get(metrics.CALLS, {})
    yield _counter("upstream_calls", "Requests to Bitrix24.", calls, "method", "outcome")
    seconds = sums.get(metrics.CALL_SECONDS, {})
    yield _counter("upstream_seconds", "Seconds spent waiting for Bitrix24.", seconds, "method")
    refreshes = NO_REFRESHES | sums.get(metrics.REFRESHES, {})
    yield _counter("refreshes", "Renewals of token pairs.", refreshes, "outcome")


def _request_seconds(sums: Sums) -> Metric:
    family = HistogramMetricFamily("dashboard_request_seconds", "How long our answers took.", labels=["endpoint"])
    totals: dict[str, float] = {}
    for (endpoint, _, _), count in sums.get(metrics.REQUESTS, {}).items():
        totals[endpoint] = totals.get(endpoint, 0) + count
    bounds = sums.get(metrics.REQUEST_BUCKETS, {})
    for endpoint, total in totals.items():
        found = [(str(bound), bounds.get((endpoint, str(bound)), 0.0)) for bound in metrics.SLOWER_THAN]
        spent = sums.get(metrics.REQUEST_SECONDS, {}).get((endpoint,), 0.0)
        family.add_metric([endpoint], [*found, ("+Inf", total)], sum_value=spent)
    return family


def _gauge(name: str, text: str, values: dict[Labels, float], *labels: str) -> Metric:
    family = GaugeMetricFamily(f"dashboard_{name}", text, labels=labels)
    for given, value in values.items():
        family.add_metric(list(given), value)
    return family


def _counter(name: str, text: str, values: dict[Labels, float], *labels: str) -> Metric:
    family = CounterMetricFamily(f"dashboard_{name}", text, labels=labels)
    for given, value in values.items():
        family.add_metric(list(given), value)
    return family


def _by_one(counts: dict[str, int] | dict[str, float]) -> dict[Labels, float]:
    return {(state,): count for state, count in counts.items()}
