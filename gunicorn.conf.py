"""Configure gunicorn, which reads this file by itself."""

import atexit
import fcntl
import os
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dashboard.core import config as configuration
from dashboard.core import logging_setup
from dashboard.web.http.preload import preload

# A wrong configuration ends the server here, instead of starting workers that fail again and again.
_config = configuration.load_or_exit(os.environ)

# Limit for each statement of a page that reads from SQLite; most take less than a second.
READ_SECONDS = 5.0

# In development the application trusts loopback, so nothing outside this machine may reach it.
_everywhere = "0.0.0.0"  # noqa: S104  # a platform's router connects from outside
bind = f"{'127.0.0.1' if _config.trust_loopback else _everywhere}:{_config.port}"
workers = _config.web_concurrency
worker_class = "dashboard.web.http.gunicorn_worker.TimedThreadWorker"
threads = _config.web_threads
preload_app = True  # one copy of the code in memory; no connection is made before the first request
timeout = 60
graceful_timeout = 25  # seconds for requests in progress at SIGTERM; platforms kill after thirty
keepalive = 15
limit_request_line = 8190  # bytes, the most that gunicorn allows; the address of a plan names up to 500 people
accesslog = None  # the application logs requests itself, without the query string
loglevel = "warning"
# No header may change a request's path: a proxy that blocks paths would let such requests through.
forwarder_headers = ""
control_socket_disable = True  # it would be in the home directory, where the service's user cannot write

# Set the variable before anything imports prometheus_client, which reads it once. The folder is in memory if the
# system has /dev/shm: prometheus_client maps its files, and a full disk would kill a process that writes to one.
# A reload with SIGHUP executes this file again and keeps the folder; an upgrade with SIGUSR2 does not.
_variable, _folders = "PROMETHEUS_MULTIPROC_DIR", "calendar-dashboard-metrics-"
if not Path(os.environ.get(_variable, "")).name.startswith(f"{_folders}{os.getpid()}-"):
    _parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()  # noqa: S108  # see mkdtemp
    # Open regular files only: opening another user's named pipe would wait for ever.
    for _lock in filter(Path.is_file, Path(_parent).glob(f"{_folders}*/lock")):
        # Remove the folders of killed servers. A running server, with its workers, holds its lock.
        with suppress(OSError), _lock.open() as _file:
            fcntl.flock(_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(_lock.parent)
    _folder = Path(tempfile.mkdtemp(prefix=f"{_folders}{os.getpid()}-", dir=_parent))
    os.environ[_variable] = str(_folder)
    # Lock the file before it gets its name, so that no other server finds it unlocked.
    _lock_file = (_folder / "new").open("w")
    fcntl.flock(_lock_file, fcntl.LOCK_EX)
    (_folder / "new").rename(_folder / "lock")

    @atexit.register
    def _remove_metrics(folder: Path = _folder, owner: int = os.getpid(), lock: IO[str] = _lock_file) -> None:
        """Remove the folder when the master process ends, not a worker; the argument keeps the lock open."""
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


def on_starting(server: Any) -> None:
    """Preload the application, before the port is open and the worker processes are forked."""
    _check_port()
    preload(server.app.wsgi())


def _check_port() -> None:
    """End with one line if the port is taken: gunicorn tries for five seconds and writes two lines each time."""
    if "LISTEN_FDS" in os.environ or "GUNICORN_FD" in os.environ:
        return  # systemd, or the server that this one replaces, passes an open socket
    host, port = bind.split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise SystemExit(f"PORT: {port} cannot be used ({error.strerror})") from None


def on_reload(server: Any) -> None:
    """Keep the log's format after SIGHUP."""
    logging_setup.replace_gunicorn_handlers()


def pre_fork(server: Any, worker: Any) -> None:
    """Give the new process the lowest free number, so that it reuses the metrics file of an ended process."""
    used_numbers = {other.number for other in server.WORKERS.values()}
    worker.number = min(set(range(1, len(used_numbers) + 2)) - used_numbers)


def post_fork(server: Any, worker: Any) -> None:
    """Name the metrics file of the new process after its number."""
    # Not imported above: prometheus_client would be imported before its variable is set.
    from dashboard.monitoring.metrics import ProcessNumber

    ProcessNumber.value = worker.number


def post_worker_init(worker: Any) -> None:
    """Limit how long pages read, and start the retries of stored uninstall events: threads do not survive a fork."""
    services = worker.app.wsgi().extensions["services"]
    services.database.limit_reads(seconds=READ_SECONDS)
    services.spool.start()
