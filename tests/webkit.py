"""Safari's engine as Debian ships it, driven through WebDriver on a screen of its own."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import requests

from tests.frame_tab import FrameTab
from tests.processes import free_port
from tests.waiting import HANG_SECONDS, wait_until

FRAME = "#place iframe"
BROWSERS = "lib/*/webkit2gtk-4.?/MiniBrowser"
RECORD_COMPLAINTS = """
  window.complaints ??= [];
  for (const type of ["error", "unhandledrejection", "securitypolicyviolation"])
    addEventListener(type, (event) => complaints.push(
      `${type}: ${event.message ?? event.reason ?? event.violatedDirective ?? event.target.src}`), true);
"""


class DriverError(Exception):
    """The driver refused a command."""


class WebKit(FrameTab):
    """A browser with one tab and an empty profile, which blocks cookies of third parties by default.

    Its clock is the machine's: WebDriver has no way to run a script before those of a page.
    """

    def __init__(self, driver: str, screen: str) -> None:
        self._driver_path, self._screen_path = driver, screen

    def __enter__(self) -> Self:
        self._profile = TemporaryDirectory(prefix="webkit-", ignore_cleanup_errors=True)
        self._screen = subprocess.Popen(
            [self._screen_path, "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._screen.stdout
        display = self._screen.stdout.readline().strip()
        port = free_port()
        self._driver = subprocess.Popen(
            [self._driver_path, f"--port={port}"],
            env={"HOME": self._profile.name, "PATH": "/usr/bin:/bin", "DISPLAY": f":{display}", "GDK_BACKEND": "x11"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: _is_listening(port))
        browser = next(Path(self._driver_path).parent.parent.glob(BROWSERS))
        options = {"binary": str(browser), "args": ["--automation"]}
        self._session = f"http://127.0.0.1:{port}/session"
        answer = self._command("", capabilities={"alwaysMatch": {"webkitgtk:browserOptions": options}})
        self._session += f"/{answer['sessionId']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        requests.delete(self._session, timeout=HANG_SECONDS)
        for process in (self._driver, self._screen):
            process.terminate()
            process.wait(timeout=HANG_SECONDS)
        assert self._screen.stdout
        self._screen.stdout.close()
        self._profile.cleanup()

    def go(self, url: str) -> None:
        """Open a page, and stay outside its frame."""
        self._command("/url", url=url)
        # The driver takes the load of the empty page before for this one's.
        wait_until(lambda: self.evaluate(f"location.href === {json.dumps(url)} && document.readyState === 'complete'"))

    def enter_frame(self, there: str) -> None:
        """Enter the frame that is in the page by now, once it shows such an element."""
        wait_until(lambda: self._enters(there))
        self._run(RECORD_COMPLAINTS)

    def evaluate(self, expression: str) -> Any:
        return self._run(f"return {expression}")

    def complaints(self) -> list[str]:
        return list(self.evaluate("window.complaints"))

    def _enters(self, there: str) -> bool:
        """Return whether the frame shows such an element; a page may be replaced by the next at any moment."""
        try:
            self._command("/frame", id=None)
            # By its number, the driver does not find a frame that came after the page.
            self._command("/frame", id=self._command("/element", using="css selector", value=FRAME))
            return bool(self.evaluate(f"Boolean(document.querySelector({json.dumps(there)})?.checkVisibility())"))
        except DriverError:
            return False

    def _run(self, script: str) -> Any:
        return self._command("/execute/sync", script=script, args=[])

    def _command(self, path: str, **params: Any) -> Any:
        """Send a command to the driver and return its answer.

        :raise DriverError: the driver refused it.
        """
        answer = requests.post(self._session + path, json=params, timeout=HANG_SECONDS).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise DriverError(f"{path}: {answer['error']}: {answer['message']}")
        return answer


def _is_listening(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
