"""Run gunicorn's threads without letting slow clients hold them."""

from __future__ import annotations

import selectors
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from dashboard.web.http.client_socket import ClientSocket

FIRST_BYTE_SECONDS = 5.0  # without a thread, until a new connection sends anything


class TimedThreadWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Add timeouts to gunicorn's threaded worker, which reads and writes without any."""

    def load_wsgi(self) -> None:
        """Load the application, which counts how many of its threads wait."""
        super().load_wsgi()
        self._waiting = self.wsgi.extensions["services"].waiting_threads.quota(max(1, self.cfg.threads // 2))

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to a thread as soon as it has sent something."""
        if isinstance(conn.sock, ClientSocket):
            super().enqueue_req(conn)
            return
        conn.sock = ClientSocket(conn.sock, self._waiting)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + FIRST_BYTE_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        """Serve a request in a thread, and end the connection there: gunicorn's main loop would wait for it."""
        conn.sock.start_request()
        is_kept = super().handle(conn)
        if not is_kept:
            conn.sock.finish()
        return is_kept

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Serve a request, and let the application end the connection: gunicorn ignores its header `Connection`."""
        conn.sock.close_after_response = req.force_close
        return super().handle_request(req, conn)
