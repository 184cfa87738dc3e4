"""Store uninstall events that cannot be stored or confirmed now, and handle them later.

Bitrix24 sends an event once, so answering 503 would lose it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.bitrix24.errors import Bitrix24Error
from dashboard.bitrix24.inbound import Event
from dashboard.core.encryption import DecryptionError, TokenEncryption
from dashboard.launch.events import UNINSTALL, EventHandler, EventRefused, UninstallationUnconfirmed

log = structlog.get_logger()

ENCRYPTION_CONTEXT = "uninstall event"
FOLDER = "events"
SUFFIX = ".event"
UNVERIFIED_PREFIX = "unproven-"  # of file names
RETRY_SECONDS = 10.0
# How often the authorization server is asked about an uninstallation it does not know of, with pauses that double
# up to MAX_PAUSE: about an hour. Bitrix24 may tell the server after it has sent the event.
MAX_CONFIRMATIONS = 11
MAX_PAUSE = 600.0
MAX_DATABASE_FAILURES = 3  # in a row; then the database is unavailable, and the other events wait
# While the database is unavailable most events cannot be verified, and any of those may be forged. The limit
# for one sender leaves room for the events of Bitrix24's servers.
MAX_UNVERIFIED = 10_000
MAX_UNVERIFIED_OF_SENDER = 500


class _UnreadableEvent(Exception):
    """The file of an event has the format of another version of the application."""


@dataclass(frozen=True)
class _Denials:
    """How often an event was not confirmed, and the monotonic time before which it is not tried again."""

    ciphertext: str | None
    count: int
    next_attempt_at: float


class EventSpool:
    """A folder of encrypted files, one per event; memory where the folder cannot be written.

    Any process of the machine handles any file. If two handle one at once, the second finds the portal
    uninstalled already. Every event is verified again at that time.
    """

    def __init__(
        self, *, folder: Path, encryption: TokenEncryption, handler: EventHandler, now: Callable[[], datetime]
    ) -> None:
        self._folder = folder / FOLDER
        self._encryption = encryption
        self._handler = handler
        self._now = now
        self._memory: dict[str, str] = {}
        self._attempts: Counter[str] = Counter()
        self._unconfirmed: dict[str, _Denials] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, event: Event, *, sender: str) -> bool:
        """Store an event; return False if it is not an uninstallation with a token, or there is no room.

        ``sender`` is a hash of the sender's address, in letters and digits.
        """
        if event.name != UNINSTALL or event.application_token is None:
            return False
        token = event.application_token.get_secret_value()
        name = self._file_name(event, token, sender)
        if name.startswith(UNVERIFIED_PREFIX) and not self._has_room(sender):
            return False
        ciphertext = self._encrypt(event, token)
        try:
            self._write(name, ciphertext)
        except OSError as error:
            log.error("event_spooled_in_memory", reason=type(error).__name__)
            self._memory[name] = ciphertext
        else:
            log.warning("event_spooled")
        self.start()
        return True

    def start(self) -> None:
        """Retry the stored events regularly, in a thread that ends with the process."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._retry_forever, name="events", daemon=True)
                self._thread.start()

    def ensure_alive(self) -> None:
        """Start the thread again if an unexpected error has ended it."""
        if self._thread is not None:
            self.start()

    def retry(self) -> None:
        """Handle every stored event, those with the fewest attempts first; stop if the database is unavailable."""
        failures_in_a_row = 0
        for name in sorted(filter(self._is_due, self._names()), key=self._attempts.__getitem__):
            # Count first, so that an event whose unexpected error ends the thread comes last next time.
            self._attempts[name] += 1
            ciphertext = None
            try:
                if (ciphertext := self._read(name)) is not None:
                    self._handle(ciphertext)
            except UninstallationUnconfirmed:
                failures_in_a_row = 0
                self._postpone(name, ciphertext)
            except DecryptionError:
                # Keep it for a process that has the key.
                if self._attempts[name] == 1:
                    log.error("spooled_event_undecryptable", file=_loggable(name))
            except _UnreadableEvent:
                # Keep it for the version that wrote it.
                if self._attempts[name] == 1:
                    log.error("spooled_event_unreadable", file=_loggable(name))
            except (SQLAlchemyError, Bitrix24Error, OSError) as error:
                if self._attempts[name] == 1:
                    log.warning("spooled_event_failed", reason=type(error).__name__)
                failures_in_a_row = failures_in_a_row + 1 if isinstance(error, SQLAlchemyError) else 0
                if failures_in_a_row >= MAX_DATABASE_FAILURES:
                    return
            else:
                failures_in_a_row = 0
                self._delete(name)

    def _is_due(self, name: str) -> bool:
        denials = self._unconfirmed.get(name)
        return denials is None or denials.next_attempt_at <= time.monotonic()

    def _postpone(self, name: str, ciphertext: str | None) -> None:
        """Try an unconfirmed event again later; delete it when the authorization server has denied it often enough.

        Each process counts for itself, so a restart begins anew, and the first process to finish deletes the event. A
        forged event does not use up the attempts of a real one that replaces its file, whichever process stores it.
        """
        denials = self._unconfirmed.get(name)
        count = (denials.count if denials and denials.ciphertext == ciphertext else 0) + 1
        if count >= MAX_CONFIRMATIONS:
            log.warning("spooled_event_unconfirmed")
            self._delete(name)
        else:
            pause = min(RETRY_SECONDS * 2 ** (count - 1), MAX_PAUSE)
            self._unconfirmed[name] = _Denials(ciphertext, count, time.monotonic() + pause)

    def _retry_forever(self) -> None:
        while True:
            self.retry()
            time.sleep(RETRY_SECONDS)

    def _handle(self, ciphertext: str) -> None:
        try:
            self._handler.handle(self._decrypt(ciphertext))
        except EventRefused as refusal:
            portal = refusal.portal.id if refusal.portal else None
            log.warning("spooled_event_refused", reason=refusal.reason, portal=portal)
        else:
            log.info("spooled_event_handled")

    def _has_room(self, sender: str) -> bool:
        """Tell whether one more unverified event of this sender may be stored."""
        unverified = [name for name in self._names() if name.startswith(UNVERIFIED_PREFIX)]
        of_sender = sum(name.startswith(f"{UNVERIFIED_PREFIX}{sender}-") for name in unverified)
        return len(unverified) < MAX_UNVERIFIED and of_sender < MAX_UNVERIFIED_OF_SENDER

    def _file_name(self, event: Event, token: str, sender: str) -> str:
        """Return the file's name, which is the same for all copies of an event."""
        try:
            is_verified = self._handler.is_verified(event)
        except SQLAlchemyError:
            is_verified = False
        key = event.member_id if is_verified else f"{event.member_id} {token}"
        prefix = "" if is_verified else f"{UNVERIFIED_PREFIX}{sender}-"
        return f"{prefix}{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"

    def _names(self) -> Iterator[str]:
        with suppress(OSError):
            yield from sorted(path.name for path in self._folder.glob(f"*{SUFFIX}"))
        yield from tuple(self._memory)

    def _write(self, name: str, ciphertext: str) -> None:
        """Write a whole file or none, readable by its owner only, and sync it to the disk.

        :raise OSError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary_path = self._folder / f"{name}.{os.getpid()}-{threading.get_ident()}"
        try:
            descriptor = os.open(temporary_path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(ciphertext)
                file.flush()
                os.fsync(file.fileno())
            temporary_path.replace(self._folder / name)
        except OSError:
            temporary_path.unlink(missing_ok=True)
            raise

    def _read(self, name: str) -> str | None:
        """Return the encrypted event, or None if another process has just handled it.

        :raise OSError: the file exists but cannot be read now.
        """
        try:
            return (self._folder / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return self._memory.get(name)

    def _delete(self, name: str) -> None:
        self._memory.pop(name, None)
        self._attempts.pop(name, None)
        self._unconfirmed.pop(name, None)
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)

    def _encrypt(self, event: Event, token: str) -> str:
        # Without a time, use the time of receipt, so that a late retry cannot uninstall a newer installation.
        sent_at = event.sent_at if event.sent_at is not None else int(self._now().timestamp())
        fields = [event.member_id, token, sent_at, "1" if event.clean else None]
        return self._encryption.encrypt(SecretStr(json.dumps(fields)), context=ENCRYPTION_CONTEXT)

    def _decrypt(self, ciphertext: str) -> Event:
        text = self._encryption.decrypt(ciphertext, context=ENCRYPTION_CONTEXT).get_secret_value()
        try:
            member_id, token, sent_at, clean = json.loads(text)
        except (ValueError, TypeError):
            raise _UnreadableEvent from None
        return Event(
            name=UNINSTALL,
            member_id=member_id,
            application_token=SecretStr(token),
            access_token=None,
            server_endpoint=None,
            sent_at=sent_at,
            clean=clean == "1",
        )


def _loggable(name: str) -> str:
    """Return a file's name without the hash of the sender's address."""
    return name.rpartition("-")[2]
