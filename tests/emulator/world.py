"""What all parts of the emulator share: the clock, the tokens, the log, the faults, the choices."""

import threading
from dataclasses import dataclass, field

from .clock import Clock
from .faults import Faults
from .records import RequestLog
from .tokens import Tokens

OTHER_CLIENT_ID = "app.stranger.2"


@dataclass
class Strictness:
    """How unforgiving the servers are; the defaults are the strictest reading of the facts."""

    refresh_once: bool = True
    refresh_kills_sibling: bool = True
    killed_token_error: str = "invalid_token"
    bucket_depth: int | None = 50
    bucket_leak: float = 2.0
    # Self-hosted portals have no load limiter, hence no `operating` in `time`.
    operating: bool = True
    # Older portals print `time.start` with a fraction.
    whole_time_start: bool = True
    # What the modules of an old portal do not have yet.
    missing_methods: frozenset[str] = frozenset()
    # Faults of `user.get`: every page is the first one; `total` counts the page alone, though `next` is told.
    ignores_start: bool = False
    counts_page_only: bool = False


@dataclass
class World:
    """One emulator's shared state; `lock` guards everything that requests change."""

    client_id: str
    client_secret: str
    app_url: str
    app_code: str = "alder.calendar_dashboard"
    latency: float = 0.0
    strictness: Strictness = field(default_factory=Strictness)
    clock: Clock = field(default_factory=Clock)
    tokens: Tokens = field(default_factory=Tokens)
    log: RequestLog = field(default_factory=RequestLog)
    faults: Faults = field(default_factory=Faults)
    lock: threading.RLock = field(default_factory=threading.RLock)
    authorization_port: int = 0
    # While the cast is still opening the application, the portal's page asks for patience.
    rehearsing: bool = False

    @property
    def authorization_host(self) -> str:
        """Return the authorization server's host with its port."""
        return f"127.0.0.1:{self.authorization_port}"

    @property
    def authorization_server(self) -> str:
        """Return the authorization server's origin."""
        return f"http://{self.authorization_host}"

    @property
    def server_endpoint(self) -> str:
        """Return the root of the authorization server's REST."""
        return f"{self.authorization_server}/rest/"

    @property
    def secrets(self) -> dict[str, str]:
        """Return each known application's secret; the second one belongs to a stranger."""
        return {self.client_id: self.client_secret, OTHER_CLIENT_ID: "not-yours"}

    def code_of(self, client_id: str) -> str:
        """Return an application's code in the Market."""
        return self.app_code if client_id == self.client_id else "stranger.app"
