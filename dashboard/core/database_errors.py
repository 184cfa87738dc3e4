"""Explain in one line why the database cannot be used, and log an outage at most once a minute."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout

log = structlog.get_logger()

MIN_SECONDS_BETWEEN = 60.0
LOCK_TIMEOUT = "55P03"  # lock_not_available
# serialization_failure, deadlock_detected: another transaction prevented this one, and a retry may succeed.
CONFLICTS = ("40001", "40P01", LOCK_TIMEOUT)

# Patterns for the errors of Postgres, libpq, psycopg, PgBouncer and SQLite, and what each means. The driver's own text
# is never shown: it quotes hosts and users and, for a mistyped address, parts of the password. psycopg gives no
# SQLSTATE for a failed connection, so its English text is matched.
MEANINGS = (
    (r"^25006|read-only transaction|readonly database", "the database is read-only"),
    (r"^28P01|password authentication failed|no password supplied", "the server refused the password"),
    (r"^28000|pg_hba\.conf|role .* does not exist|no such user", "the server refused this user or machine"),
    (r"^3D000|database .* does not exist|no such database", "the server has no database of that name"),
    (r"server version mismatch", "the server is newer than pg_dump; install its version of postgresql-client"),
    (r"server encoding", "the database's encoding must be UTF8; create it with ENCODING 'UTF8'"),
    (r"certificate|hostname mismatch", "the server's certificate was refused"),
    (r"does not support SSL|refused SSL|SSL required", "the server does not support TLS, which `sslmode` requires"),
    (r"resolve host '[^']*@|host name \"[^\"]*@", "has a raw @ in the password; write it as %40"),
    (r"failed to resolve host|could not translate host name", "the host's name cannot be resolved"),
    (r"unsupported startup parameter", "the pooler refuses a parameter; docs/scaling.md says what to do"),
    (r"invalid connection option|invalid .* value", "has a parameter that Postgres does not know"),
    (r"^53300|too many clients|connection slots|no more connections", "the server takes no more connections"),
    (r"server_login_retry|cannot connect to server|query_wait_timeout", "the pooler reaches no server"),
    (r"^57P0[123]|starting up|shutting down|recovery mode", "the server is starting or stopping"),
    (r"^57014|statement timeout|^interrupted", "a statement took too long"),
    (r"did not answer|timeout expired|Connection timed out", "the server does not answer"),
    (r"connection refused|no route|unreachable|No such file", "no server listens at that address"),
    (r"disk is full|^53100|No space left", "the disk is full"),
    (r"database is locked", "another process holds the lock"),
    (rf"^{LOCK_TIMEOUT}", "another session holds a lock; pg_stat_activity lists it"),
    (r"it is not there", "the file does not exist; `flask --app app db upgrade` creates it"),
    (r"unable to open database file", "the file cannot be opened or created"),
    (r"not a database|malformed", "the file is not an SQLite database"),
    (r"^42501|permission denied for", "the role lacks a right, which `doctor` names"),
    (r"^3F000", "the role may use no schema of its search path; `doctor` names the right"),
    (r"^53200", "the server is out of memory"),
    (r"^58030", "the server's disk fails"),
    (r"^XX00[12]", "the server's files are damaged; restore a backup"),
    (r"no such table|no such column|^42P01|^42703", "the schema is not this version's; run `db upgrade`"),
    (r"^42P10|ON CONFLICT clause does not match", "a table lacks its key; restore the database again"),
    (r"disk I/O error", "the disk fails"),
    (r"closed|terminat|lost|broken|crash", "the server closed the connection"),
)


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of Postgres, None if the error has none."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def is_conflict(error: BaseException) -> bool:
    """Tell whether Postgres aborted the transaction because of a concurrent one."""
    return sqlstate(error) in CONFLICTS


def describe(error: BaseException) -> str:
    """Return one line that begins with the variable and contains no host, user or password."""
    if isinstance(error, PoolTimeout):
        return "DATABASE_URL: every connection of this process is in use"
    original = getattr(error, "orig", None) or error
    code = getattr(original, "sqlstate", None)
    text = f"{code or ''} {original}".strip()
    meanings = (meaning for pattern, meaning in MEANINGS if re.search(pattern, text, re.IGNORECASE))
    meaning = next(meanings, f"the database refused ({_name(original) if code else type(original).__name__})")
    return f"DATABASE_URL: {meaning}{f' (SQLSTATE {code})' if code else ''}"


def _name(error: BaseException) -> str:
    """Return the SQLSTATE's name in Postgres's documentation, after which psycopg names its classes."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


class OutageLog:
    """Logs that the database is unavailable, at most once in MIN_SECONDS_BETWEEN, and once when it is back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._logged_at: float | None = None
        self._lock_timeout_logged_at: float | None = None
        self._is_logged = False  # since the last success

    def record_failure(self, error: BaseException) -> None:
        """Count a failure unless it is a conflict, and log it unless another one was logged recently."""
        if is_conflict(error):
            if sqlstate(error) == LOCK_TIMEOUT:
                self._log_lock_timeout(error)
            return
        with self._lock:
            self._failures += 1
            now = self._clock()
            if self._logged_at is not None and now - self._logged_at < MIN_SECONDS_BETWEEN:
                return
            self._logged_at, self._is_logged, failures = now, True, self._failures
        log.error("database_away", reason=describe(error), failures=failures)

    def _log_lock_timeout(self, error: BaseException) -> None:
        """Log that somebody else's lock prevents requests: the database itself is well."""
        with self._lock:
            now = self._clock()
            if self._lock_timeout_logged_at is not None and now - self._lock_timeout_logged_at < MIN_SECONDS_BETWEEN:
                return
            self._lock_timeout_logged_at = now
        log.warning("lock_timeout", reason=describe(error))

    def record_success(self) -> None:
        """End the outage, and log its end if its beginning was logged."""
        if not self._failures:
            return
        with self._lock:
            failures, is_logged = self._failures, self._is_logged
            self._failures, self._is_logged = 0, False
        if is_logged:
            log.info("database_back", failures=failures)
