"""The application's own processes, started as in production."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import requests

from tests import clock
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    """Return a port nobody listens on, and that nobody who takes any is given for a minute.

    A connection the port's side closed first keeps it so long; who asks for that very port still gets it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as other:
            listening.accept()[0].close()
            assert other.recv(1) == b""
        return int(listening.getsockname()[1])


def serve(
    environment: Mapping[str, str],
    port: int,
    *,
    threads: int = 20,
    processes: int = 1,
    stderr: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start gunicorn."""
    sizes = {"PORT": str(port), "WEB_CONCURRENCY": str(processes), "WEB_THREADS": str(threads)}
    settings = os.environ | environment | sizes
    command = clock.command("gunicorn", "app:create_app()")
    return subprocess.Popen(command, env=settings, cwd=ROOT, stderr=stderr, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process started in a session of its own, and its children.

    Gunicorn's children outlive it for a moment, and would write to the file of the next test's database.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=HANG_SECONDS)


def wait_for(address: str) -> None:
    """Wait until a web process is ready."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            down = requests.get(f"{address}/readyz", timeout=HANG_SECONDS).json()["down"]
            assert not down, down
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(address)


def work(
    environment: Mapping[str, str], *, threads: int = 4, stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start a worker."""
    settings = os.environ | environment | {"WORKER_THREADS": str(threads)}
    return subprocess.Popen(clock.command("dashboard.commands.worker_process"), env=settings, cwd=ROOT, stderr=stderr)
