"""The processes of a measurement: the upstream, the application as production runs it, the load maker."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from cryptography.fernet import Fernet

from bench.addresses import AUTHORIZATION
from bench.methods import CLIENT_ID, CLIENT_SECRET

ROOT = Path(__file__).parent.parent
FERNET_KEY = Fernet.generate_key().decode()
SECRET_KEY = "a signing key for the bench alone"


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("0.0.0.0", 0))
        return int(it.getsockname()[1])


@dataclass(frozen=True)
class Upstream:
    """The pretend Bitrix24 that is running."""

    port: int
    authority: Path

    def set(self, **conduct: Any) -> dict[str, int]:
        """Change its conduct; return what it counted since the last time: requests, connections."""
        context = ssl.create_default_context(cafile=str(self.authority))
        request = urllib.request.Request(
            f"https://{AUTHORIZATION}:{self.port}/bench", data=json.dumps(conduct).encode()
        )
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            told: dict[str, int] = json.load(answer)
        # The connection this question came by is not theirs.
        told["connections"] = told.get("connections", 0) - 1
        return told


@dataclass(frozen=True)
class Application:
    """The application that is running, under its server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer; their parent only watches them."""
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children


@dataclass(frozen=True)
class Loaded:
    """What a load brought: how many a second, and how long each took."""

    a_second: float
    milliseconds: list[float]
    wrong: int

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def quantile(self, share: float) -> float:
        return sorted(self.milliseconds)[int(share * (len(self.milliseconds) - 1))]


@contextmanager
def upstream(certificate: Path, authority: Path) -> Iterator[Upstream]:
    """Run the upstream."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.upstream", str(port), str(certificate)], cwd=ROOT)
    try:
        it = Upstream(port, authority)
        _wait(lambda: it.set())
        yield it
    finally:
        _end(process)


def environment(upstream: Upstream, database_url: str, *, port: int, **more: str) -> dict[str, str]:
    """Return a production-like environment in front of the upstream.

    Loopback must be trusted here, and with it goes plain http to the application itself, which in
    production a proxy speaks as well. The upstream is https, its authority trusted as a company's would be.
    """
    ours = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": SECRET_KEY,
        "TOKEN_KEYS": FERNET_KEY,
        "BITRIX24_CLIENT_ID": CLIENT_ID,
        "BITRIX24_CLIENT_SECRET": CLIENT_SECRET,
        "BITRIX24_AUTH_SERVERS": f"https://{AUTHORIZATION}:{upstream.port}",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "TRUST_LOOPBACK": "1",
        "LOG_FORMAT": "json",
        "SSL_CERT_FILE": str(upstream.authority),
    }
    return os.environ | ours | more


@contextmanager
def application(upstream: Upstream, database_url: str, **more: str) -> Iterator[Application]:
    """Run the application on a migrated database; ``more`` is environment."""
    port = free_port()
    settings = environment(upstream, database_url, port=port, **more)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "bench.production:create_app()"],
        env=settings,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,  # the log is written, as in production, and nobody reads it here
    )
    it = Application(port, process)
    try:
        _wait(lambda: urllib.request.urlopen(f"{it.url}/healthz", timeout=2).close())
        yield it
    finally:
        _end(process)


@contextmanager
def worker(upstream: Upstream, database_url: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker, as the Procfile does, until its first beat."""
    settings = environment(upstream, database_url, port=free_port(), **more)
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "bench.production", "worker"],
        env=settings,
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        _end(process, seconds=30)


def load(application: Application | None, upstream: Upstream, **what: Any) -> Loaded:
    """Run the load maker against the application, or without one against the upstream itself."""
    asked = {"upstream_port": upstream.port, "authority": str(upstream.authority), **what}
    asked |= {"port": application.port if application else upstream.port, "bare": application is None}
    told = subprocess.run(
        [sys.executable, "-m", "bench.load", json.dumps(asked)], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return Loaded(**json.loads(told.stdout))


def _wait(try_it: Any, *, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            try_it()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def _end(process: subprocess.Popen[bytes], *, seconds: float = 10) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
