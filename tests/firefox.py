"""Firefox as its distributor ships it, driven through WebDriver BiDi, which it speaks by itself."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import websocket

from tests import clock
from tests.frame_tab import FrameTab
from tests.waiting import HANG_SECONDS

EVENTS = ["log.entryAdded", "network.fetchError", "network.beforeRequestSent"]
# No cookies of third parties, no calls home, nothing that asks a person anything.
PREFERENCES: dict[str, object] = {
    "network.cookie.cookieBehavior": 1,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.ipc.processCount": 2,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    "ui.prefersReducedMotion": 1,
}


class Firefox:
    """One browser with an empty profile; its tabs share nothing with each other."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ids = count(1)
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)
        profile = Path(self._folder.name)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("\n".join(lines))
        command = [self._path, "--headless", "--no-remote", "--profile", str(profile)]
        self._process = subprocess.Popen(
            [*command, "--remote-debugging-port=0"],
            env={"HOME": str(profile), "PATH": "/usr/bin:/bin", "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = _port(profile / "WebDriverBiDiServer.json")
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}/session", timeout=HANG_SECONDS, suppress_origin=True
        )
        self.ask("session.new", capabilities={})
        self.ask("session.subscribe", events=EVENTS)
        self.ask("script.addPreloadScript", functionDeclaration=f"() => {{ {clock.browser_script()} }}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=HANG_SECONDS)
        self._folder.cleanup()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what the browser answers to a command; what happens meanwhile is kept in ``events``."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("type") == "event":
                self.events.append(message)
            elif message.get("id") == number:
                assert message["type"] == "success", f"{method}: {message.get('message')}"
                result: dict[str, Any] = message["result"]
                return result

    def tab(self, *, width: int, height: int) -> Tab:
        """Return an empty tab of that size with cookies of its own."""
        container = self.ask("browser.createUserContext")["userContext"]
        tab = Tab(self, self.ask("browsingContext.create", type="tab", userContext=container)["context"])
        self.ask("browsingContext.setViewport", context=tab.context, viewport={"width": width, "height": height})
        return tab


class Tab(FrameTab):
    """A tab of Firefox."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser = browser
        self.context = context
        browser.events.clear()

    def go(self, url: str) -> None:
        self._browser.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def close(self) -> None:
        self._browser.ask("browsingContext.close", context=self.context)

    def frame(self) -> str:
        """Return the context of the frame in the page."""
        tree = self._browser.ask("browsingContext.getTree", root=self.context)["contexts"]
        children: list[dict[str, Any]] = tree[0]["children"]
        assert len(children) == 1, f"{len(children)} frames"
        return str(children[0]["context"])

    def evaluate(self, expression: str, *, inside: bool = True) -> Any:
        """Return the JSON value of an expression in the frame, or in the page around it."""
        wrapped = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        return json.loads(self.run(wrapped, inside=inside)["value"])

    def run(self, script: str, *, inside: bool = True) -> dict[str, Any]:
        """Run a script there and return what its last statement was, in the protocol's own form."""
        target = {"context": self.frame() if inside else self.context}
        answer = self._browser.ask("script.evaluate", expression=script, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer["exceptionDetails"]["text"]
        result: dict[str, Any] = answer["result"]
        return result

    def picture(self, path: Path) -> None:
        data = self._browser.ask("browsingContext.captureScreenshot", context=self.context)["data"]
        path.write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Return what the console said, and which requests failed."""
        self.evaluate("1", inside=False)  # What has happened by now has then been told.
        result = []
        for event in self._browser.events:
            params = event["params"]
            if event["method"] == "log.entryAdded":
                result.append(f"{params['level']}: {params['text']}")
            # What the page gives up itself is no failure: it was left, or asked for something newer.
            elif event["method"] == "network.fetchError" and params["errorText"] != "NS_BINDING_ABORTED":
                result.append(f"failed: {params['request']['url']}")
        return result


def _port(file: Path) -> int:
    """Return where the browser listens, once it says so."""
    until = time.monotonic() + HANG_SECONDS
    while time.monotonic() < until:
        if file.exists() and (message := file.read_text()):
            return int(json.loads(message)["ws_port"])
        time.sleep(0.1)
    raise AssertionError("Firefox did not start")
