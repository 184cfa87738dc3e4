"""Run two machines as network namespaces on a bridge, beside the emulated Bitrix24, PgBouncer and Postgres.

Namespaces cannot reach this machine's loopback. So `BENCH_NETWORK` gives the emulated Bitrix24 a network of its own,
whose addresses are all local here and routed from the machines.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import make_url

from bench.portals import NETWORK
from bench.processes import ROOT, START_SECONDS, RunningUpstream, environment
from tests.programs import program

BRIDGE, SUBNET = "bench0", "10.92.0"
MACHINE_NUMBERS = (1, 2)
WEB_PORT, POOLER_PORT = 8000, 6432
WORKER_THREADS = 8
STOP_SECONDS = 40.0
FIRST_NEW_MIGRATION = "0011_*"  # the first that the previous version does not have
# As docs/scaling.md advises.
POOLER = f"""
[databases]
* = host={{host}} port=5432 user=postgres
[pgbouncer]
listen_addr = {SUBNET}.1
listen_port = {POOLER_PORT}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
max_client_conn = 1000
server_login_retry = 1
tcp_keepalive = 1
tcp_keepidle = 30
tcp_keepintvl = 5
tcp_keepcnt = 3
tcp_user_timeout = 10000
"""


@dataclass(eq=False)
class Machine:
    """A namespace with one web process group and one worker, of whichever version's folder."""

    number: int
    upstream: RunningUpstream
    database_url: str
    folder: Path  # for what it stores and logs
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{SUBNET}.{10 + self.number}"

    def start(self, code: Path) -> None:
        """Start web and worker from the code in a folder, and wait until web is ready."""
        self.set_link(up=True)
        variables = {
            "PUBLIC_URL": "https://calendar.bench",
            "TRUST_LOOPBACK": "0",
            "ALLOW_PRIVATE_PORTALS": "1",
            "STATE_DIRECTORY": str(self.folder),
            "WEB_CONCURRENCY": "1",
            "WORKER_THREADS": str(WORKER_THREADS),
        }
        settings = environment(self.upstream, self.database_url, port=WEB_PORT, **variables)
        for arguments in (("gunicorn", "bench.production:create_app()"), ("bench.production",)):
            command = ["ip", "netns", "exec", f"bench{self.number}", sys.executable, "-m", *arguments]
            with (self.folder / "log").open("ab") as log:
                process = subprocess.Popen(command, env=settings, cwd=code, stderr=log, start_new_session=True)
            self.running.append(process)
        self._wait()

    def stop(self) -> None:
        """Stop its processes as a release does."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(timeout=STOP_SECONDS)
        self.running.clear()

    def kill(self) -> None:
        """Disconnect the machine, then kill its processes, so that no peer receives a closed connection."""
        self.set_link(up=False)
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()

    def set_link(self, *, up: bool) -> None:
        """Connect the machine to the network, or disconnect it."""
        _ip(f"link set bench-veth{self.number} {'up' if up else 'down'}")

    def _wait(self) -> None:
        until = time.monotonic() + 4 * START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://{self.address}:{WEB_PORT}/readyz", timeout=5).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return


@contextmanager
def network() -> Iterator[None]:
    """Join two empty machines by a bridge."""
    _remove_network()
    try:
        _add_network()
        yield
    finally:
        _remove_network()


@contextmanager
def machines(upstream: RunningUpstream, database_url: str, folder: Path) -> Iterator[list[Machine]]:
    """Yield the two machines without processes; at the end, kill what they run."""
    result = [Machine(number, upstream, database_url, folder / f"machine{number}") for number in MACHINE_NUMBERS]
    try:
        for machine in result:
            machine.folder.mkdir()
        yield result
    finally:
        for machine in result:
            machine.kill()


@contextmanager
def run_pooler(postgres_url: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer where the machines reach it; yield the database's URL behind it."""
    url = make_url(postgres_url)
    socket_folder, file = str(url.query["host"]), folder / "pgbouncer.ini"
    file.write_text(POOLER.format(host=socket_folder))
    # It refuses to run as root; the user the server runs as may use its socket.
    owner = pwd.getpwuid(Path(socket_folder).stat().st_uid).pw_name
    with subprocess.Popen([program("pgbouncer"), "-q", "-u", owner, str(file)]) as running:
        try:
            while socket.socket().connect_ex((f"{SUBNET}.1", POOLER_PORT)):
                time.sleep(0.1)
            yield url.set(host=f"{SUBNET}.1", port=POOLER_PORT, query={}).render_as_string(hide_password=False)
        finally:
            running.terminate()


@contextmanager
def previous_version(folder: Path) -> Iterator[Path]:
    """Check out the last version before the migrations of this one."""
    added = ["git", "log", "-1", "--diff-filter=A", "--format=%H", "--", f"migrations/versions/{FIRST_NEW_MIGRATION}"]
    commit = subprocess.run(added, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    place = folder / "previous"
    subprocess.run(["git", "worktree", "add", "--quiet", "--detach", place, f"{commit}^"], cwd=ROOT, check=True)
    try:
        yield place
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", place], cwd=ROOT, check=True)


def _add_network() -> None:
    _ip(f"route add local {NETWORK}.0.0/16 dev lo")
    _ip(f"link add {BRIDGE} type bridge")
    _ip(f"addr add {SUBNET}.1/24 dev {BRIDGE}")
    _ip(f"link set {BRIDGE} up")
    for number in MACHINE_NUMBERS:
        name = f"bench{number}"
        _ip(f"netns add {name}")
        _ip(f"link add bench-veth{number} type veth peer name eth0 netns {name}")
        _ip(f"link set bench-veth{number} master {BRIDGE} up")
        for change in (f"addr add {SUBNET}.{10 + number}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _ip(f"-n {name} {change}")
        _ip(f"-n {name} route add default via {SUBNET}.1")


def _remove_network() -> None:
    """Remove what there is of it, also after a run that was killed."""
    for number in MACHINE_NUMBERS:
        _ip(f"netns del bench{number}", quiet=True)
        _ip(f"link del bench-veth{number}", quiet=True)
    _ip(f"link del {BRIDGE}", quiet=True)
    _ip(f"route del local {NETWORK}.0.0/16 dev lo", quiet=True)


def _ip(arguments: str, *, quiet: bool = False) -> None:
    stderr = subprocess.DEVNULL if quiet else None
    subprocess.run(["ip", *arguments.split()], check=not quiet, stderr=stderr)
