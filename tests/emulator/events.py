"""Events: what they carry, and the queue that delivers each once, in order, without a second try."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import requests

from .php import build_form

FORM = "application/x-www-form-urlencoded"
TIMEOUT = 10


@dataclass(frozen=True)
class QueuedEvent:
    """An event bound for one handler."""

    event: str
    url: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Delivery:
    """What came of one delivery; status 0 means that nobody answered."""

    event: str
    status: int
    seconds: float
    body: str

    def __iter__(self) -> Any:
        """Unpack as (event, status, seconds)."""
        return iter((self.event, self.status, self.seconds))


class EventQueue:
    """Waits between a portal and the handlers, as Bitrix24's own queue servers do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[QueuedEvent] = []

    def put(self, event: QueuedEvent) -> None:
        """Take an event for later delivery."""
        with self._lock:
            self._waiting.append(event)

    def waiting(self) -> list[str]:
        """Return the names of the events not delivered yet."""
        with self._lock:
            return [queued.event for queued in self._waiting]

    def lose(self) -> None:
        """Lose everything that waits; nobody tries again."""
        with self._lock:
            self._waiting.clear()

    def deliver(self, *, now: float) -> list[Delivery]:
        """Send everything that waits; whatever the answer, an event is never sent again."""
        with self._lock:
            batch, self._waiting = self._waiting, []
        return [send(queued, now=now) for queued in batch]


def send(queued: QueuedEvent, *, now: float) -> Delivery:
    """Post one event."""
    return post(queued.event, queued.url, encoded(queued.fields, now=now))


def encoded(fields: dict[str, Any], *, now: float) -> bytes:
    """Return an event as a form with bracketed keys; `ts` is the moment it leaves the queue."""
    stored = {key: value for key, value in fields.items() if value is not None}
    if stored.get("ts") == "":
        stored["ts"] = str(int(now))
    return build_form(stored).encode()


def post(
    event: str,
    url: str,
    body: bytes,
    *,
    content_type: str = FORM,
) -> Delivery:
    """Post a body to a handler and tell what came of it."""
    began = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Content-Type": content_type}
            answer = session.post(url, data=body, headers=headers, timeout=TIMEOUT)
    except requests.RequestException as error:
        return Delivery(event, 0, time.monotonic() - began, str(error))
    return Delivery(event, answer.status_code, time.monotonic() - began, answer.text)


def fields_of(
    event: str,
    *,
    handler_id: int,
    data: dict[str, Any],
    auth: dict[str, Any],
) -> dict[str, Any]:
    """Return an event's fields in wire order; an empty `ts` is filled on delivery."""
    return {
        "event": event,
        "event_handler_id": str(handler_id),
        "data": data,
        "ts": "",
        "auth": auth,
    }
