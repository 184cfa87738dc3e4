"""Serve a worker's metrics at a port of its own."""

from __future__ import annotations

import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import structlog
from pydantic import SecretStr

from dashboard.monitoring.metrics import TEXT, Metrics, Response

MAX_CLIENTS = 32
CLIENT_SECONDS = 10.0  # for a request and its response

log = structlog.get_logger()


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    request_queue_size = MAX_CLIENTS
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._slots = threading.Semaphore(MAX_CLIENTS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a client in a thread; disconnect it if MAX_CLIENTS are connected."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client, and disconnect it after CLIENT_SECONDS."""
        deadline = threading.Timer(CLIENT_SECONDS, _disconnect, [request])
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed request; a client that went away needs no stack trace."""
        log.warning("metrics_request_failed", exc_info=not isinstance(sys.exception(), ConnectionError))


def _disconnect(connection: socket.socket) -> None:
    # This wakes the thread that waits for the client. The connection may have ended meanwhile.
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def start(metrics: Metrics, token: SecretStr, *, host: str, port: int) -> TCPServer | None:
    """Answer `GET /metrics` from daemon threads.

    If the port is in use, for example by another worker, log it and return None; the worker runs without metrics.
    """

    class Handler(BaseHTTPRequestHandler):
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
            """Log nothing: the path may contain secrets."""

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        log.warning("metrics_not_served", port=port, reason=error.strerror)
        return None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
