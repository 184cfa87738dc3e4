"""`make run`: the application and a pretend Bitrix24 on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from cryptography.fernet import Fernet

ROOT = Path(__file__).parent.parent
KEYS = ROOT / "var" / "development.env"
PORTS = {"PORT": "8000", "EMULATOR_PORTAL_PORT": "9000", "EMULATOR_AUTH_PORT": "9100"}
READY_SECONDS = 60.0
WELCOME = """
  Open {}

  A portal with the application installed and a team of people. Ctrl-C stops everything.
"""


class Stopped(Exception):
    """Ctrl-C, or somebody asked the process to end."""


def main() -> int:
    """Start everything, say where to look, and stop everything in the end; return the exit code."""
    if taken := [port for name in PORTS if _is_taken(port := os.environ.get(name, PORTS[name]))]:
        others = " ".join(f"{name}={int(port) + 1}" for name, port in PORTS.items())
        print(f"Taken: port {' and '.join(taken)}. Choose others: {others} make run", file=sys.stderr)
        return 1
    environment = {**PORTS, **_keys(), **os.environ}
    environment |= _addresses(environment)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _stop)
    migrate = [sys.executable, "-m", "flask", "--app", "app", "db", "upgrade"]
    subprocess.run(migrate, env=environment, check=True, cwd=ROOT)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        running["web"] = _start(["-m", "gunicorn", "app:create_app()"], environment)
        _wait_for(environment["PUBLIC_URL"] + "/readyz", running)
        running["worker"] = _start(["-m", "flask", "--app", "app", "worker"], environment)
        running["emulator"] = _start(_emulator(environment), environment)
        portal = f"http://localhost:{environment['EMULATOR_PORTAL_PORT']}/"
        _wait_for(portal, running)
        print(WELCOME.format(portal), flush=True)
        return _watch(running)
    except Stopped:
        return 0
    finally:
        _end(running)


def _is_taken(port: str) -> bool:
    """Tell whether somebody listens there; what is no number is refused later, by the variable's name."""
    with socket.socket() as it:
        return port.isdecimal() and int(port) < 65536 and it.connect_ex(("127.0.0.1", int(port))) == 0


def _keys() -> dict[str, str]:
    """Return the keys of this working copy, made once so that yesterday's database stays readable."""
    if not KEYS.exists():
        KEYS.parent.mkdir(exist_ok=True)
        created = {
            "SECRET_KEY": secrets.token_urlsafe(32),
            "TOKEN_KEYS": Fernet.generate_key().decode(),
            "BITRIX24_CLIENT_ID": "app.demo.1",
            "BITRIX24_CLIENT_SECRET": secrets.token_urlsafe(32),
        }
        KEYS.touch(mode=0o600)
        KEYS.write_text("".join(f"{name}={value}\n" for name, value in created.items()))
    return dict(line.split("=", 1) for line in KEYS.read_text().splitlines())


def _addresses(environment: Mapping[str, str]) -> dict[str, str]:
    authorization = f"http://127.0.0.1:{environment['EMULATOR_AUTH_PORT']}"
    return {
        "PUBLIC_URL": f"http://127.0.0.1:{environment['PORT']}",
        "BITRIX24_AUTH_SERVERS": authorization,
        "BX24_JS_URL": f"{authorization}/api/v1/",
        "TRUST_LOOPBACK": "1",
        "LOG_LEVEL": environment.get("LOG_LEVEL", "warning"),
    }


def _emulator(environment: Mapping[str, str]) -> list[str]:
    return [
        *("-m", "tests.emulator", "--team", "--app-url", environment["PUBLIC_URL"]),
        *("--portal-port", environment["EMULATOR_PORTAL_PORT"]),
        *("--auth-port", environment["EMULATOR_AUTH_PORT"]),
    ]


def _start(arguments: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
    # Their errors are shown; the one address to open is ours to print.
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=environment,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


def _wait_for(url: str, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if _ended(running):
            raise SystemExit("A part of it ended before it was ready; see above.")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise SystemExit(f"{url} did not answer in time.")


def _watch(running: Mapping[str, subprocess.Popen[bytes]]) -> int:
    while not (ended := _ended(running)):
        time.sleep(0.3)
    print(f"The {ended} ended; stopping the rest.", file=sys.stderr)
    return 1


def _ended(running: Mapping[str, subprocess.Popen[bytes]]) -> str | None:
    return next((name for name, process in running.items() if process.poll() is not None), None)


def _end(running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for process in running.values():
        process.terminate()
    for process in running.values():
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
