"""`make run`: what a newcomer meets before anything runs."""

import os
import socket
import subprocess
import sys

from tests.processes import ROOT, free_port
from tests.waiting import HANG_SECONDS


def test_a_port_in_use_is_reported_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = str(somebody.getsockname()[1])
        ports = {
            "PORT": str(free_port()),
            "EMULATOR_PORTAL_PORT": taken,
            "EMULATOR_AUTH_PORT": str(free_port()),
        }

        ended = subprocess.run(
            [sys.executable, "-m", "tests.demo"],
            cwd=ROOT,
            env=os.environ | ports,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Taken: port {taken}. Choose others: PORT=8001 EMULATOR_PORTAL_PORT=9001 ")
    assert ended.stdout == ""
