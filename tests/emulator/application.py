"""The application as one portal has it: installed or not, bound handlers, options."""

from dataclasses import dataclass, field
from typing import Any

DEFAULT_SCOPES = ("calendar", "placement", "user_brief")


@dataclass(frozen=True)
class EventHandler:
    """A handler bound by event.bind."""

    id: int
    event: str
    url: str
    user_id: int
    auth_type: int = 0


@dataclass(frozen=True)
class Placement:
    """A handler bound by placement.bind."""

    code: str
    url: str
    title: str
    description: str
    lang_all: dict[str, Any]
    options: dict[str, Any]


@dataclass
class Application:
    """The one application under test, on one portal."""

    token: str
    scopes: list[str]
    # Absent, then added by the Market (tokens flow, the installer shows), then installed.
    added: bool = False
    installed: bool = False
    installation: int = 1
    removed_at: float | None = None
    installer_id: int = 1
    version: int = 1
    status: str = "F"
    trial_over: bool = False
    handlers: list[EventHandler] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    seen_by: set[int] = field(default_factory=set)
    bound: int = 0

    def handlers_of(self, event: str) -> list[EventHandler]:
        """Return the handlers of an event, in the order they were bound."""
        return [handler for handler in self.handlers if handler.event == event]

    def bind(self, event: str, url: str, *, user_id: int, auth_type: int) -> None:
        """Remember a handler under a new number."""
        self.bound += 1
        self.handlers.append(EventHandler(self.bound, event, url, user_id, auth_type))

    def drop_handlers(self) -> None:
        """Forget event handlers, as the portal does on update and removal."""
        self.handlers = []
