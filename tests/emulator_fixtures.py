"""Fixtures for the emulator's own tests: the emulator itself, and a stand-in for the application."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests import programs
from tests.emulator import Emulator
from tests.emulator.wire import Answer, Request, Server

ROOT = Path(__file__).parent
SDK = "@bitrix24/b24jssdk/dist/umd/index.min.js"


@dataclass
class StandIn:
    """A pretend application: remembers what is posted to it and serves the official frame library."""

    status: int = 200
    posted: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def handle(self, request: Request) -> Answer:
        """Serve the library, the page that uses it, or take an event."""
        if request.path == "/sdk.js":
            return Answer(200, programs.package(SDK).read_bytes(), {"Content-Type": "text/javascript"})
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self.posted.append((request.path, fields))
        if request.path == "/events":
            return Answer(self.status, b'{"status":"ok"}', {"Content-Type": "application/json"})
        page = (ROOT / "frame_sdk/app.html").read_bytes()
        return Answer(200, page, {"Content-Type": "text/html; charset=utf-8"})

    def events(self) -> list[dict[str, str]]:
        """Return the events taken so far."""
        return [fields for path, fields in self.posted if path == "/events"]


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    """Give a pretend application that is listening."""
    application = StandIn()
    server = Server(application.handle)
    server.start()
    application.url = f"http://127.0.0.1:{server.port}"
    yield application
    server.stop()


@pytest.fixture
def bitrix24(stand_in: StandIn) -> Iterator[Emulator]:
    """Give an emulator whose portals open the pretend application."""
    with Emulator(app_url=stand_in.url) as emulator:
        yield emulator
