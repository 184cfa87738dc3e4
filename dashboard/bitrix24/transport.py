"""Send every request that leaves this application, bounded in size and time, to addresses we may call."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
import structlog
from urllib3.exceptions import HTTPError, ReadTimeoutError

from dashboard.bitrix24 import errors
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import Clock, ConnectionAttempt, GuardedAdapter, Timeouts, attempting
from dashboard.bitrix24.errors import Unreachable, Unreadable
from dashboard.bitrix24.host_limit import HostLimit, Slot

MAX_RESPONSE_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
MAX_POOLED_HOSTS = 256

DEFAULT_TIMEOUTS = Timeouts()
# With a host that timed out lately, for requests that may be given up without harm.
SHORT_TIMEOUTS = Timeouts(connect=2.0, read=4.0, whole=5.0)

log = structlog.get_logger()


@dataclass(frozen=True)
class RawResponse:
    """An answer as it came: HTTP status, body, and where it redirects to, if it does."""

    status: int
    body: bytes
    location: str | None
    date: str | None = None  # the other end's clock


class Transport:
    """POST requests over connections that are kept; safe to share between threads.

    Redirects are never followed, cookies never kept and proxies never taken from the environment: each
    would carry a token to a place nobody has proven. ``threads`` is how many the process has; no host, and
    no number of slow ones, gets all of them.
    """

    def __init__(
        self,
        address_policy: AddressPolicy,
        *,
        threads: int = 16,
        connections_per_host: int | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        authorization_servers: Collection[str] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        self._timeouts = timeouts
        self._limit = HostLimit(threads)
        self._authorization_servers = frozenset(authorization_servers)
        self._session = _Session()
        self._session.trust_env = False
        self._session.headers["User-Agent"] = "calendar-dashboard/0.1"
        self._session.headers["Accept"] = "application/json"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = GuardedAdapter(
            address_policy,
            clock=clock,
            pool_connections=MAX_POOLED_HOSTS,
            pool_maxsize=connections_per_host or threads,
        )
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        if not address_policy.loopback:
            self._session.adapters.pop("http://")

    def post(
        self, url: str, *, json: object = None, form: dict[str, str] | None = None, read_only: bool = False
    ) -> RawResponse:
        """Return the answer, whatever its status.

        ``read_only`` says that the request changes nothing at its receiver. Then it may be sent once more
        where a kept connection breaks before an answer begins, and given up early for others' sake.

        :raise Unreachable: no connection, a time-out, a reset, or an address that may not be called.
        :raise Unreadable: the answer is larger than any real one.
        """
        return self._request("POST", url, json=json, form=form, read_only=read_only)

    def get(self, url: str) -> RawResponse:
        """Return the answer to a GET; it carries no body, so nothing may be said in it.

        :raise NotAnswered: as ``post`` does.
        """
        return self._request("GET", url, json=None, form=None, read_only=True)

    def _request(
        self, verb: str, url: str, *, json: object, form: dict[str, str] | None, read_only: bool
    ) -> RawResponse:
        origin = "/".join(url.split("/", 3)[:3])
        try:
            with self._limit.slot(origin) as slot:
                try:
                    answer = self._send(verb, url, json=json, form=form, read_only=read_only, slot=slot)
                except _NoResponse as failure:
                    if failure.code in errors.LATE_CODES:
                        slot.timed_out()
                    raise
                slot.answered()
                return answer
        except _NoResponse as failure:
            code = failure.code
        except TimeoutError:
            code = errors.TIMEOUT
        host = origin.rpartition("/")[2].rpartition("@")[2]
        log.warning("host_unreachable", host=host, code=code)
        raise Unreachable(code, host=host, at_portal=origin not in self._authorization_servers)

    def _send(
        self, verb: str, url: str, *, json: object, form: dict[str, str] | None, read_only: bool, slot: Slot
    ) -> RawResponse:
        timeouts = self._timeouts.at_most(SHORT_TIMEOUTS) if slot.suspected and read_only else self._timeouts
        attempt = ConnectionAttempt(timeouts, time.monotonic() + timeouts.whole)
        if read_only:
            attempt.should_yield = slot.should_yield
        try:
            try:
                return self._try(verb, url, json=json, form=form, attempt=attempt)
            except requests.ConnectionError:
                if not read_only or attempt.made or attempt.answering:
                    raise
            # A kept connection that the other end had forgotten; the others may be the same.
            attempt.fresh_only = True
            return self._try(verb, url, json=json, form=form, attempt=attempt)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            # Not chained: the texts hold the address asked for, and with it whatever was posted to us.
            raise _NoResponse(_code_of(error, attempt)) from None

    def _try(
        self, verb: str, url: str, *, json: object, form: dict[str, str] | None, attempt: ConnectionAttempt
    ) -> RawResponse:
        with attempting(attempt):
            response = self._session.request(
                verb,
                url,
                json=json,
                data=form,
                allow_redirects=False,
                stream=True,
                timeout=(attempt.timeouts.connect, attempt.timeouts.read),
            )
            with response:
                body = _read(response)
        headers = response.headers
        return RawResponse(response.status_code, body, headers.get("Location"), headers.get("Date"))


class _NoResponse(Exception):
    """Nothing usable came back; ``code`` is one of ours."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Session(requests.Session):
    """A session that leaves redirects alone.

    The library parses where one leads although it is told not to follow, and reads its whole body, whatever
    its size.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def _code_of(error: Exception, attempt: ConnectionAttempt) -> str:
    if attempt.cause is not None:
        return attempt.cause
    if isinstance(error, requests.exceptions.InvalidSchema):
        return errors.ADDRESS_NOT_ALLOWED
    if not isinstance(error, requests.Timeout | TimeoutError | ReadTimeoutError):
        return errors.UNREACHABLE
    return errors.TIMEOUT if attempt.connected or not attempt.made else errors.CONNECT_TIMEOUT


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise Unreadable(errors.RESPONSE_TOO_LARGE, status=response.status_code)
    return bytes(body)
