"""Send every request of this application, bounded in size and time, to allowed addresses only."""

from __future__ import annotations

import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

import requests
import structlog
from urllib3.exceptions import HTTPError, ReadTimeoutError

from dashboard.bitrix24 import errors
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import Clock, ConnectionAttempt, GuardedAdapter, Timeouts, use_attempt
from dashboard.bitrix24.errors import Unreachable, Unreadable
from dashboard.bitrix24.host_limit import PerHostLimit, Slot
from dashboard.core.version import VERSION
from dashboard.core.waiting_threads import WaitingThreads

MAX_EXTRA_BYTES = 256 * 1024  # of a response besides its body: its head, and the sizes of its chunks
CHUNK_BYTES = 64 * 1024
MAX_POOLED_HOSTS = 256
HEADERS = {
    "User-Agent": f"calendar-dashboard/{VERSION}",
    "Accept": "application/json",
    "Accept-Encoding": "gzip",
    "Connection": "keep-alive",
}

DEFAULT_TIMEOUTS = Timeouts()
# For read-only requests to a host that timed out recently.
SHORT_TIMEOUTS = Timeouts(connect=2.0, read=4.0, total=5.0)

log = structlog.get_logger()


@dataclass(frozen=True)
class ResponseLimit:
    """The maximum size of a response: bytes, before and after decompression, and values in its JSON.

    Parsing holds the GIL, and a self-hosted portal can send anything: an empty list, for example, takes two bytes, and
    thirty times as much memory.
    """

    bytes: int
    values: int


# Enough for the settings of somebody with 400 calendars, each of which takes up to 1.2 KB and 35 values.
DEFAULT_LIMIT = ResponseLimit(bytes=512 * 1024, values=20_000)


@dataclass(frozen=True)
class RawResponse:
    """A response before it is parsed. ``date`` is the header with the time of the server's clock."""

    status: int
    body: bytes
    date: str | None = None


class Transport:
    """Sends requests over persistent connections; safe to share between threads.

    It uses the library's adapter without a session, so it follows no redirects, keeps no cookies and takes no proxy
    from the environment: each could carry a token to an unverified place. Slow hosts never occupy all of the threads
    in which ``waiting`` counts.
    """

    def __init__(
        self,
        address_policy: AddressPolicy,
        *,
        waiting: WaitingThreads | None = None,
        connections_per_host: int = 16,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        authorization_servers: Collection[str] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        self._address_policy = address_policy
        self._timeouts = timeouts
        self._limit = PerHostLimit(waiting or WaitingThreads(16))
        self._authorization_servers = frozenset(authorization_servers)
        self._clock = clock
        self._adapter = GuardedAdapter(
            pool_connections=MAX_POOLED_HOSTS, pool_maxsize=connections_per_host, max_retries=0
        )
        # Portals and authorization servers use https; only the emulator on this machine does not.
        self._schemes = ("https://", "http://") if address_policy.loopback else ("https://",)

    def post(
        self,
        url: str,
        *,
        json: object = None,
        form: dict[str, str] | None = None,
        read_only: bool = False,
        limit: ResponseLimit = DEFAULT_LIMIT,
    ) -> RawResponse:
        """POST JSON or a form.

        A ``read_only`` request changes nothing at its receiver. It is sent once more if a reused connection
        breaks before a response begins, and it is given up early when other hosts need its thread.

        :raise Unreachable: no connection, a timeout, a reset, or a forbidden address.
        :raise Unreadable: the response is larger than ``limit``, or compressed in an unknown way.
        """
        request = requests.Request("POST", url, json=json, data=form, headers=HEADERS)
        return self._send(request, read_only=read_only, limit=limit)

    def get(self, url: str) -> RawResponse:
        """GET a URL, as ``post`` does with a read-only request."""
        return self._send(requests.Request("GET", url, headers=HEADERS), read_only=True, limit=DEFAULT_LIMIT)

    def _send(self, request: requests.Request, *, read_only: bool, limit: ResponseLimit) -> RawResponse:
        origin = "/".join(request.url.split("/", 3)[:3])
        try:
            with self._limit.slot(origin) as slot:
                response = self._send_in_slot(request, slot, read_only=read_only, limit=limit)
                self._limit.record_answer(slot)
                return response
        except Unreachable as failure:
            code = failure.code
        except TimeoutError:
            code = errors.TIMEOUT
        host = origin.rpartition("/")[2].rpartition("@")[2]
        log.warning("host_unreachable", host=host, code=code)
        raise Unreachable(code, host=host, at_portal=origin not in self._authorization_servers)

    def _send_in_slot(
        self, request: requests.Request, slot: Slot, *, read_only: bool, limit: ResponseLimit
    ) -> RawResponse:
        timeouts = self._timeouts.at_most(SHORT_TIMEOUTS) if slot.suspected and read_only else self._timeouts
        attempt = ConnectionAttempt(
            self._address_policy, timeouts, self._clock, max_bytes=limit.bytes + MAX_EXTRA_BYTES
        )
        if read_only:
            attempt.should_give_up = partial(self._limit.should_give_up, slot)
        try:
            try:
                return self._try(request, attempt, limit)
            except requests.ConnectionError:
                if not read_only or attempt.is_new or attempt.response_started:
                    raise
            # The server closed this reused connection, and maybe the other ones too.
            attempt.fresh_only = True
            return self._try(request, attempt, limit)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            code = _code_of(error, attempt)
            if code in errors.TIMEOUT_CODES:
                self._limit.record_timeout(slot)
            # Not chained: the messages contain the URL, which may be a stranger's input.
            raise Unreachable(code) from None

    def _try(self, request: requests.Request, attempt: ConnectionAttempt, limit: ResponseLimit) -> RawResponse:
        if not request.url.lower().startswith(self._schemes):
            raise requests.exceptions.InvalidSchema
        timeout = (attempt.timeouts.connect, attempt.timeouts.read)
        with (
            use_attempt(attempt),
            self._adapter.send(request.prepare(), stream=True, timeout=timeout) as response,
        ):
            body = _decompress(_read_body(response, limit), response.headers.get("Content-Encoding", ""), limit)
            return RawResponse(response.status_code, body, response.headers.get("Date"))


def _code_of(error: Exception, attempt: ConnectionAttempt) -> str:
    if attempt.cause is not None:
        return attempt.cause
    if isinstance(error, requests.exceptions.InvalidSchema):
        return errors.ADDRESS_NOT_ALLOWED
    if not isinstance(error, requests.Timeout | TimeoutError | ReadTimeoutError):
        return errors.UNREACHABLE
    return errors.TIMEOUT if attempt.connected or not attempt.is_new else errors.CONNECT_TIMEOUT


def _read_body(response: requests.Response, limit: ResponseLimit) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > limit.bytes:
            raise Unreadable(errors.RESPONSE_TOO_LARGE)
    return bytes(body)


def _decompress(body: bytes, encoding: str, limit: ResponseLimit) -> bytes:
    """Return the decompressed body.

    Not with the library, which decompresses several layers, and any number of empty members in each: a few bytes could
    take endless time.
    """
    if not body or encoding.lower() in ("", "identity"):
        return body
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        raise Unreadable(errors.BAD_RESPONSE)
    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 32)  # detects gzip or zlib
    try:
        body = decompressor.decompress(body, limit.bytes + 1)
    except zlib.error:
        raise Unreadable(errors.BAD_RESPONSE) from None
    if len(body) > limit.bytes:
        raise Unreadable(errors.RESPONSE_TOO_LARGE)
    if not decompressor.eof:
        raise Unreadable(errors.BAD_RESPONSE)
    return body
