"""Count and time responses, API calls and runs for Prometheus."""

from __future__ import annotations

import hmac
import os
import re

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from pydantic import SecretStr

from dashboard.bitrix24.errors import AUTHORIZATION_CODES, UNREACHABLE_CODES
from dashboard.bitrix24.masking import CallRecord

# gunicorn.conf.py sets this variable to the folder with the counters of its processes; prometheus_client reads it
# when it is imported. `flask run` and the worker are single processes and need no folder.
IS_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR" in os.environ
# The upper bounds of the histograms' buckets.
REQUEST_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
RUN_SECONDS = (5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0)
WAIT_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# A client may send any method; each one would become a series of its own.
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
# These series start at zero, because Prometheus sees no increase in a series whose first value is one.
REFRESH_OUTCOMES = ("ok", "invalid_grant", "invalid_client", "wrong_client", "unauthorized_client")
# A portal may send any error code; only codes of ours and of the authorization server become series.
_OUR_CODES = re.compile("|".join(UNREACHABLE_CODES) + r"|moved|bad_answer|answer_too_large|strange_code|http_5\d\d")

disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client is typed in part


class ProcessNumber:
    """The number of this process, which names its file; a process that replaces another continues its file."""

    value = 0


if IS_MULTIPROCESS:
    values.ValueClass = values.MultiProcessValue(lambda: ProcessNumber.value)  # type: ignore[no-untyped-call]  # as above


Response = tuple[bytes, int, dict[str, str]]  # body, status, headers
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Metrics:
    """The counters of this instance, and the gauges that are read at each scrape."""

    def __init__(self, gauges: Collector) -> None:
        self._gauges = gauges
        self._counters = CollectorRegistry()
        self._requests = self._counter("requests", "Responses.", "endpoint", "method", "status")
        self._request_seconds = self._histogram(
            "request_seconds", "Seconds until the response.", "endpoint", buckets=REQUEST_SECONDS
        )
        self._calls = self._counter("upstream_calls", "Requests to Bitrix24.", "method", "outcome")
        self._call_seconds = self._histogram(
            "upstream_call_seconds", "Seconds until Bitrix24's response.", "method", buckets=REQUEST_SECONDS
        )
        self._refreshes = self._counter("refreshes", "Token refreshes.", "outcome")
        for outcome in REFRESH_OUTCOMES:
            self._refreshes.labels(outcome)
        self._run_seconds = self._histogram(
            "run_seconds", "Seconds from a run's request to its end.", "state", buckets=RUN_SECONDS
        )
        self._limit_wait_seconds = self._histogram(
            "rate_limit_wait_seconds", "Seconds that a run waits for its portal's rate limit.", buckets=WAIT_SECONDS
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"dashboard_{name}", text, labels, registry=self._counters)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"dashboard_{name}", text, labels, buckets=buckets, registry=self._counters)

    def count_call(self, call: CallRecord) -> None:
        """Count one request to Bitrix24."""
        outcome = _outcome(call.error)
        self._calls.labels(call.method, outcome).inc()
        self._call_seconds.labels(call.method).observe(call.milliseconds / 1000)
        if call.method == "oauth/token":
            self._refreshes.labels(outcome).inc()

    def count_request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count one response."""
        method = method if method in METHODS else "other"
        self._requests.labels(endpoint, method, str(status)).inc()
        # This series must exist before the first error; see REFRESH_OUTCOMES.
        self._requests.labels(endpoint, method, "500")
        self._request_seconds.labels(endpoint).observe(seconds)

    def count_run(self, state: str, seconds: float) -> None:
        """Count a run that ended."""
        self._run_seconds.labels(state).observe(seconds)

    def count_limit_wait(self, seconds: float) -> None:
        """Count a wait of a run for its portal's rate limit."""
        self._limit_wait_seconds.observe(seconds)

    def respond(self, authorization: str, token: SecretStr) -> Response:
        """Return all metrics to a client whose ``Authorization`` header carries the token."""
        expected = f"Bearer {token.get_secret_value()}"
        if not hmac.compare_digest(authorization.encode(), expected.encode()):
            return b"A bearer token is needed.\n", 401, {**TEXT, "WWW-Authenticate": "Bearer"}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._gauges)
        if IS_MULTIPROCESS:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # as above
        else:
            registry.register(self._counters)
        return generate_latest(registry), 200, {"Content-Type": CONTENT_TYPE_LATEST}


def _outcome(error: str | None) -> str:
    if error is None:
        return "ok"
    return error if error.lower() in AUTHORIZATION_CODES or _OUR_CODES.fullmatch(error) else "other"
