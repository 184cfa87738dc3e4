"""Run the processes of a measurement: the emulated Bitrix24, the application as in production, the load generator."""

from __future__ import annotations

import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi
import psutil
import trustme
from cryptography.fernet import Fernet

from bench.methods import CLIENT_ID, CLIENT_SECRET
from bench.portals import AUTHORIZATION, all_hosts

ROOT = Path(__file__).parent.parent
FERNET_KEY = Fernet.generate_key().decode()
# As docs/scaling.md advises for two cores.
SIZES = {"WEB_CONCURRENCY": "2", "WEB_THREADS": "24"}
START_SECONDS = 30.0


@dataclass(frozen=True)
class LoadResult:
    """What the load generator measured."""

    per_second: float
    milliseconds: list[float]
    failures: int

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[98]


@dataclass(frozen=True)
class RunningUpstream:
    """A handle on the emulated Bitrix24, which runs in a process of its own."""

    port: int
    authority: Path

    def set(self, **behavior: Any) -> dict[str, int]:
        """Change its behavior; return the requests it counted since the last time."""
        context = ssl.create_default_context(cafile=str(self.authority))
        url, data = f"https://{AUTHORIZATION}:{self.port}/bench", json.dumps(behavior).encode()
        with urllib.request.urlopen(url, data, context=context, timeout=10) as response:
            counts: dict[str, int] = json.load(response)
        return {"portal": 0, "authorization": 0, "refused": 0} | counts

    def load(self, **fields: Any) -> LoadResult:
        """Send it what an opening sends it, with nothing between."""
        return self._load(port=self.port, bare=True, **fields)

    def _load(self, **fields: Any) -> LoadResult:
        fields |= {"upstream_port": self.port, "authority": str(self.authority)}
        command = [sys.executable, "-m", "bench.load", json.dumps(fields)]
        return LoadResult(**json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout))


@dataclass(frozen=True)
class Application:
    """The running web process group."""

    port: int
    process: subprocess.Popen[bytes]
    upstream: RunningUpstream

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[psutil.Process]:
        """Return the processes that answer requests."""
        children: list[psutil.Process] = psutil.Process(self.process.pid).children()
        return children

    def processor_seconds(self) -> float:
        """Return the processor time that those processes have used."""
        times = [process.cpu_times() for process in self.workers()]
        return float(sum(time.user + time.system for time in times))

    def load(self, **fields: Any) -> LoadResult:
        """Open it, or read a page, by a number of clients for a while."""
        return self.upstream._load(port=self.port, **fields)


def environment(upstream: RunningUpstream, database_url: str, *, port: int, **variables: str) -> dict[str, str]:
    """Return a production-like environment.

    Loopback must be allowed, so plain http to the application itself is, too, as behind a proxy in production. The
    upstream speaks https, and its authority is trusted like a company's own.
    """
    ours = {
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a signing key for the bench alone",
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
    return os.environ | SIZES | ours | variables


@contextmanager
def run_upstream(folder: Path) -> Iterator[RunningUpstream]:
    """Run the upstream under a certificate of an authority made for it."""
    authority, certificate, port = folder / "authority.pem", folder / "upstream.pem", _free_port()
    created = trustme.CA()
    created.cert_pem.write_to_path(authority)
    created.issue_cert(*all_hosts()).private_key_and_cert_chain_pem.write_to_path(certificate)
    running = RunningUpstream(port, authority)
    with _run_process("-m", "bench.upstream", str(port), str(certificate)):
        _wait(running.set)
        yield running


@contextmanager
def run_application(upstream: RunningUpstream, database_url: str, **variables: str) -> Iterator[Application]:
    """Run the web processes on a migrated database."""
    port = _free_port()
    settings = environment(upstream, database_url, port=port, **variables)
    with _run_process("-m", "gunicorn", "bench.production:create_app()", env=settings) as process:
        running = Application(port, process, upstream)
        _wait(lambda: urllib.request.urlopen(f"{running.url}/healthz", timeout=2).close())
        yield running


@contextmanager
def run_sdk_sample(upstream: RunningUpstream) -> Iterator[Application]:
    """Run the sample of the vendor's SDK with as many processes and threads."""
    bundle = upstream.authority.with_name("bundle.pem")
    # The same certificate authorities as ours; it reads them for each request.
    bundle.write_bytes(Path(certifi.where()).read_bytes() + upstream.authority.read_bytes())
    with _run_sample("bench.sdk_sample", upstream, "sqlite://", REQUESTS_CA_BUNDLE=str(bundle)) as running:
        yield running


@contextmanager
def run_bare_opening(upstream: RunningUpstream, database_url: str) -> Iterator[Application]:
    """Run the application that only asks and stores, with as many processes and threads."""
    with _run_sample("bench.bare_opening", upstream, database_url) as running:
        yield running


@contextmanager
def _run_sample(module: str, upstream: RunningUpstream, database_url: str, **variables: str) -> Iterator[Application]:
    port = _free_port()
    settings = environment(upstream, database_url, port=port, **variables)
    options = ("--config", "/dev/null", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "--preload")
    sizes = ("--workers", SIZES["WEB_CONCURRENCY"], "--threads", SIZES["WEB_THREADS"])
    with _run_process("-m", "gunicorn", *options, *sizes, f"{module}:create_app()", env=settings) as process:
        running = Application(port, process, upstream)
        _wait(lambda: urllib.request.urlopen(f"{running.url}/healthz", timeout=2).close())
        yield running


@contextmanager
def run_worker(upstream: RunningUpstream, database_url: str, **variables: str) -> Iterator[psutil.Process]:
    """Run a worker."""
    settings = environment(upstream, database_url, port=_free_port(), **variables)
    with _run_process("-m", "bench.production", env=settings) as process:
        yield psutil.Process(process.pid)


def run_command(upstream: RunningUpstream, database_url: str, *arguments: str) -> float:
    """Run one of the operator's commands; return the seconds."""
    settings, began = environment(upstream, database_url, port=_free_port()), time.monotonic()
    flask = [sys.executable, "-m", "flask", "--app", "app", *arguments]
    subprocess.run(flask, env=settings, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


@contextmanager
def _run_process(*arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    # The application's log is written as in production, and nobody reads it here.
    stderr = subprocess.DEVNULL if env else None
    process = subprocess.Popen([sys.executable, *arguments], env=env, cwd=ROOT, stderr=stderr)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("0.0.0.0", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait(attempt: Callable[[], object]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            attempt()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
