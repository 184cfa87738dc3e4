"""Keep uninstall events that the database cannot take, and act on them when it is back.

Bitrix24 sends an event once, so an answer of 503 would lose it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.bitrix24.errors import Bitrix24Error
from dashboard.bitrix24.inbound import Event
from dashboard.core.encryption import DecryptionError, TokenEncryption
from dashboard.launch.events import EventHandler, EventRefused

log = structlog.get_logger()

EVENT = "ONAPPUNINSTALL"
CONTEXT = "uninstall event"
FOLDER = "events"
SUFFIX = ".event"
RETRY_SECONDS = 10.0
MAX_DATABASE_FAILURES = 3  # in a row, after which the database is away and the other events wait for it
# An event that nothing proved yet may be forged: nothing can be proven while the database is away. One that
# is proven has a file for its portal alone.
MAX_UNPROVEN = 10_000
# Of one sender, so that others' forged ones leave room for those that Bitrix24's own servers send.
MAX_UNPROVEN_OF_SENDER = 500
UNPROVEN = "unproven-"


class EventSpool:
    """A folder of encrypted files, one an event; memory where the folder cannot be written.

    Any process of the machine acts on any file; of two who act on one at once, the second finds the portal
    uninstalled already. Each event is proven again, now with the database at hand.
    """

    def __init__(
        self, *, folder: Path, encryption: TokenEncryption, events: EventHandler, now: Callable[[], datetime]
    ) -> None:
        self._folder = folder / FOLDER
        self._encryption = encryption
        self._events = events
        self._now = now
        self._memory: dict[str, str] = {}
        self._failures: dict[str, int] = {}
        self._lock = threading.Lock()
        self._watcher: threading.Thread | None = None

    def keep(self, event: Event, *, sender: str) -> bool:
        """Keep an event until the database is back; return False where it is none to keep, or has no room.

        ``sender`` stands for the address that it came from, in letters and digits.
        """
        if event.name != EVENT or event.application_token is None:
            return False
        name, sealed = self._name(event, sender), self._encrypt(event)
        if name.startswith(UNPROVEN) and not self._has_room(sender):
            return False
        try:
            self._write(name, sealed)
        except OSError as error:
            log.error("event_kept_in_memory", reason=type(error).__name__)
            self._memory[name] = sealed
        else:
            log.warning("event_kept")
        self.watch()
        return True

    def watch(self) -> None:
        """Look for kept events now and then, in a thread that ends with the process."""
        with self._lock:
            if self._watcher is None or not self._watcher.is_alive():
                self._watcher = threading.Thread(target=self._retry_forever, name="events", daemon=True)
                self._watcher.start()

    def watch_again(self) -> None:
        """Start the thread once more where a defect has ended it."""
        if self._watcher is not None:
            self.watch()

    def retry(self) -> None:
        """Act on every kept event, those that failed least often first; stop where the database is away."""
        in_a_row = 0
        for name in sorted(self._names(), key=lambda name: self._failures.get(name, 0)):
            # Before it is acted on: one that ends the thread comes last as well.
            self._failures[name] = self._failures.get(name, 0) + 1
            try:
                if (sealed := self._read(name)) is not None:
                    self._act(sealed)
            except (SQLAlchemyError, Bitrix24Error, OSError) as error:
                if self._failures[name] == 1:
                    log.warning("kept_event_failed", reason=type(error).__name__)
                in_a_row = in_a_row + 1 if isinstance(error, SQLAlchemyError) else 0
                if in_a_row >= MAX_DATABASE_FAILURES:
                    return
            else:
                in_a_row = 0
                self._delete(name)

    def _retry_forever(self) -> None:
        while True:
            self.retry()
            time.sleep(RETRY_SECONDS)

    def _act(self, sealed: str) -> None:
        try:
            event = self._decrypt(sealed)
            self._events.handle(event)
        except DecryptionError:
            log.error("kept_event_unreadable")
        except EventRefused as refusal:
            portal = refusal.portal.id if refusal.portal else None
            log.warning("kept_event_refused", reason=refusal.reason, portal=portal)
        else:
            log.info("kept_event_done")

    def _has_room(self, sender: str) -> bool:
        """Tell whether one more event of this sender that is not proven may be kept."""
        unproven = [name for name in self._names() if name.startswith(UNPROVEN)]
        of_sender = sum(name.startswith(f"{UNPROVEN}{sender}-") for name in unproven)
        return len(unproven) < MAX_UNPROVEN and of_sender < MAX_UNPROVEN_OF_SENDER

    def _name(self, event: Event, sender: str) -> str:
        """Return the file's name; a second event that says the same has the same."""
        try:
            is_proven = self._events.is_proven(event)
        except SQLAlchemyError:
            is_proven = False
        token = event.application_token.get_secret_value() if event.application_token else ""
        said = event.member_id if is_proven else f"{event.member_id} {token}"
        prefix = "" if is_proven else f"{UNPROVEN}{sender}-"
        return f"{prefix}{hashlib.sha256(said.encode()).hexdigest()}{SUFFIX}"

    def _names(self) -> Iterator[str]:
        with suppress(OSError):
            yield from sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        yield from tuple(self._memory)

    def _write(self, name: str, sealed: str) -> None:
        """Write a file whole or not at all, readable to its owner alone, and wait for the disk.

        :raise OSError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._folder / f"{name}.{os.getpid()}-{threading.get_ident()}"
        try:
            descriptor = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._folder / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _read(self, name: str) -> str | None:
        """Return what is kept; None where another process has just done it.

        :raise OSError: the file is there and cannot be read now.
        """
        try:
            return (self._folder / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return self._memory.get(name)

    def _delete(self, name: str) -> None:
        self._memory.pop(name, None)
        self._failures.pop(name, None)
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    def _encrypt(self, event: Event) -> str:
        # One without its time must not undo an installation that comes after it.
        sent_at = event.sent_at if event.sent_at is not None else int(self._now().timestamp())
        token = event.application_token.get_secret_value() if event.application_token else ""
        said = [event.member_id, token, sent_at, event.data.get("CLEAN")]
        return self._encryption.encrypt(SecretStr(json.dumps(said)), owner=CONTEXT)

    def _decrypt(self, sealed: str) -> Event:
        said = self._encryption.decrypt(sealed, owner=CONTEXT).get_secret_value()
        try:
            member_id, token, sent_at, clean = json.loads(said)
        except (ValueError, TypeError):
            raise DecryptionError("another version sealed it") from None
        return Event(
            name=EVENT,
            member_id=member_id,
            application_token=SecretStr(token),
            access_token=None,
            server_endpoint=None,
            sent_at=sent_at,
            data={"CLEAN": clean} if clean is not None else {},
        )
