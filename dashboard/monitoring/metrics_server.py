"""Serve a worker's metrics at a port of its own."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from typing import Any

import structlog
from pydantic import SecretStr

from dashboard.monitoring.metrics import TEXT, Metrics, Response

log = structlog.get_logger()


class _Server(TCPServer):
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed request; a client that went away needs no stack trace."""
        log.warning("metrics_request_failed", exc_info=not isinstance(sys.exception(), ConnectionError))


def start(metrics: Metrics, token: SecretStr, *, host: str, port: int) -> TCPServer | None:
    """Answer `GET /metrics` from a daemon thread, one client at a time.

    Where the port is in use, for example by another worker, the log says so and the worker goes on without.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # seconds; a client that sends nothing must not keep Prometheus waiting

        def do_GET(self) -> None:
            response: Response = (b"Not found.\n", 404, TEXT)
            if self.path == "/metrics":
                response = metrics.respond(self.headers.get("Authorization", ""), token)
            body, status, headers = response
            self.send_response(status)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: the path may hold anything."""

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        log.warning("metrics_not_served", port=port, reason=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
