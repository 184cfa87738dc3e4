"""How gunicorn serves the application; it reads this file by itself. The sizes come from the environment."""

import os
from typing import Any

from dashboard.core import config as configuration
from dashboard.web.http.preload import preload

try:
    _config = configuration.load(os.environ)
except configuration.ConfigError as error:
    # One line on stderr and no start, instead of a worker that dies again and again.
    raise SystemExit(str(error)) from None

# In development nothing outside this machine may reach an application that trusts loopback.
_everywhere = "0.0.0.0"  # noqa: S104  # a platform's router comes from outside
bind = f"{'127.0.0.1' if _config.trust_loopback else _everywhere}:{_config.port}"
workers = _config.web_concurrency
worker_class = "gthread"
threads = _config.web_threads
preload_app = True  # one copy of the code in memory; nothing is connected before the first request
timeout = 60
graceful_timeout = 25  # requests under way at SIGTERM; platforms kill after thirty
keepalive = 15
accesslog = None  # the application writes a line a request itself, without the query
loglevel = "warning"
# No header moves a request to another address: a proxy that guards some by their path passes such ones on.
forwarder_headers = ""
control_socket_disable = True  # it would lie in the home of a user who may write nowhere there


def on_starting(server: Any) -> None:
    """Warm the one copy of the application, before the port is open and the processes are forked from it."""
    preload(server.app.wsgi())


def post_worker_init(worker: Any) -> None:
    """Look for uninstall events that an earlier process could not store; threads do not survive the fork."""
    worker.app.wsgi().extensions["event_spool"].watch()
