"""What exists nowhere else is offered to the store until it takes it, for as long as the process lives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = structlog.get_logger()

RETRY_SECONDS = (0.2, 1.0, 3.0, 6.0, 10.0)  # while somebody waits for it
SLOW_RETRY_SECONDS = 10.0  # when nobody does any more
FAST_RETRIES = (DBAPIError, PoolTimeout)


def retry_until_stored(store: Callable[[], None], *, sleep: Callable[[float], None], person: int) -> None:
    """Call ``store`` until the database takes what it stores; ``person`` is for the log.

    :raise DBAPIError, PoolTimeout: it is away for longer than anybody waits; a thread of its own goes on.
    """
    for pause in RETRY_SECONDS:
        try:
            return store()
        except FAST_RETRIES:
            sleep(pause)
    try:
        store()
    except FAST_RETRIES:
        log.error("pair_not_stored", person=person)
        # There are never many: while the database is away, no lease is given to renew another.
        threading.Thread(target=_retry, args=(store, person), daemon=True).start()
        raise


def _retry(store: Callable[[], None], person: int) -> None:
    while True:
        time.sleep(SLOW_RETRY_SECONDS)
        try:
            store()
        except FAST_RETRIES:
            continue
        log.info("pair_stored", person=person)
        return
