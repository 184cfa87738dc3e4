"""Retry saving a refreshed token pair while the database is unavailable: the old pair is already invalid."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import InterfaceError

from dashboard.core.database import UNAVAILABLE

log = structlog.get_logger()

RETRY_SECONDS = (0.2, 1.0, 3.0, 6.0, 10.0)  # while a request waits
SLOW_RETRY_SECONDS = 10.0  # afterwards
_TEMPORARY_ERRORS = (*UNAVAILABLE, InterfaceError)  # the latter for a lost connection


def retry_until_stored(store: Callable[[], None], *, sleep: Callable[[float], None], person: int) -> None:
    """Call ``store`` until the database accepts the pair; ``person`` is for the log.

    :raise SQLAlchemyError: the database was unavailable for too long, and a background thread continues until the
        process ends; or it refused the pair, and nothing is retried.
    """
    for pause in (*RETRY_SECONDS, None):
        try:
            store()
        except _TEMPORARY_ERRORS:
            if pause is None:
                log.error("token_not_stored", person=person)
                # There are never many threads: without the database no other refresh gets a lease.
                threading.Thread(target=_retry_in_background, args=(store, person), daemon=True).start()
                raise
            sleep(pause)
        else:
            return


def _retry_in_background(store: Callable[[], None], person: int) -> None:
    while True:
        time.sleep(SLOW_RETRY_SECONDS)
        try:
            store()
        except _TEMPORARY_ERRORS:
            continue
        log.info("token_stored", person=person)
        return
