"""Check our own address, the authorization servers and the clock for `doctor`, over the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from dashboard.bitrix24 import errors
from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.connections import Timeouts
from dashboard.bitrix24.envelope import decode
from dashboard.bitrix24.errors import Bitrix24Error, Limited, NotAnswered, PortalMoved
from dashboard.bitrix24.masking import record_nothing
from dashboard.bitrix24.oauth import INVALID_TOKEN, AuthorizationServers
from dashboard.bitrix24.transport import RawResponse, Transport
from dashboard.commands.checks import CheckResult, good, not_checked, warning, wrong
from dashboard.core.config import Config
from dashboard.core.json_values import Json, as_object, parse_int
from dashboard.portals.throttle import UNTRUSTED_PROXY, Throttle

TIMEOUTS = Timeouts(connect=3.05, read=5.0, total=8.0)
# The `Date` header has whole seconds, and the response takes time.
MAX_CLOCK_SECONDS = 30
MAX_TOLERATED_CLOCK_SECONDS = 300
# These errors do not depend on the network that we connect from.
MISTYPED_ADDRESS = (errors.UNKNOWN_HOST, errors.CERTIFICATE_UNTRUSTED, errors.TLS_FAILED)

Failure = Callable[[str, str, str], CheckResult]


def check_own_address(config: Config, throttle: Throttle) -> Iterator[CheckResult]:
    """Request PUBLIC_URL/healthz, to see which application answers and how many proxies are in front."""
    # Inside the network, our host name may resolve to a private address. Only /healthz is requested.
    transport = Transport(AddressPolicy(loopback=True, private=True), timeouts=TIMEOUTS)
    proxies = None
    try:
        response = transport.get(f"{config.public_url}/healthz")
    except NotAnswered as error:
        yield _unreachable_result(config, error)
    else:
        body = _json_object(response)
        if body.get("application") == config.fingerprint:
            yield good("PUBLIC_URL", "answers as this application")
            proxies = parse_int(body.get("proxies"))
        else:
            yield _wrong_server_result(response, body)
    yield _check_proxies(config.trusted_proxies, throttle, proxies)


def _json_object(response: RawResponse) -> dict[str, Json]:
    try:
        return as_object(decode(response.body))
    except ValueError:
        return {}


def _unreachable_result(config: Config, error: NotAnswered) -> CheckResult:
    if error.code in MISTYPED_ADDRESS:
        advice = "Correct PUBLIC_URL, its name or its certificate: people and Bitrix24 use it."
        return wrong("PUBLIC_URL", f"nobody can reach {config.public_url} ({error.code})", advice)
    advice = "Start the web process and its proxy, or open PUBLIC_URL/healthz in a browser: it must answer."
    return not_checked("PUBLIC_URL", f"this machine does not reach {config.public_url} ({error.code})", advice)


def _wrong_server_result(response: RawResponse, body: dict[str, Json]) -> CheckResult:
    if response.status >= 500:
        message = f"a proxy answers HTTP {response.status}, not the application behind it"
        return wrong("PUBLIC_URL", message, "Start the web process, or correct the proxy's target.")
    if "application" in body:
        advice = "Correct PUBLIC_URL and BITRIX24_CLIENT_ID, and restart every process after a change."
        return wrong("PUBLIC_URL", "another installation of this application answers", advice)
    message = f"another server answers (HTTP {response.status})"
    return wrong("PUBLIC_URL", message, "Correct PUBLIC_URL, or the target of its name or proxy.")


def _check_proxies(trusted: int, throttle: Throttle, proxies: int | None) -> CheckResult:
    """Compare TRUSTED_PROXIES with the proxies in front of our own request, or else of visitors' requests."""
    if proxies == trusted:
        return good("TRUSTED_PROXIES", f"{proxies} in front, as configured")
    if proxies is not None:
        # If too few are trusted, we read a proxy's address; if too many, an entry that the visitor can forge.
        result = "all visitors count as one" if trusted < proxies else "visitors can forge their address"
        message = f"{proxies} in front add to X-Forwarded-For, {trusted} are trusted: {result}"
        return wrong("TRUSTED_PROXIES", message, f"Set TRUSTED_PROXIES={proxies}.")
    if trusted == 0 and _has_forwarded_visitors(throttle):
        message = "requests came through a proxy, and none is trusted: all visitors count as one"
        return wrong("TRUSTED_PROXIES", message, "Set TRUSTED_PROXIES to the number of proxies.")
    message = f"{trusted} are trusted; the real number is known when PUBLIC_URL answers"
    return not_checked("TRUSTED_PROXIES", message, "Count the proxies that add to X-Forwarded-For.")


def _has_forwarded_visitors(throttle: Throttle) -> bool:
    try:
        return throttle.last_counted_at(UNTRUSTED_PROXY) is not None
    except SQLAlchemyError:
        return False  # another check reports the database


def check_authorization_servers(servers: AuthorizationServers, *, now: Callable[[], datetime]) -> Iterator[CheckResult]:
    """Check that each server answers and accepts our keys, and compare our clock with the first that does."""
    clock: CheckResult | None = None
    for server in servers.allowed:
        # The first is the default; only portals that name another one use it.
        failure = wrong if server == servers.allowed[0] else warning
        result = _check_server(server, servers, failure)
        yield result
        if result.state == "good":
            yield _check_client_credentials(server, servers, failure)
            clock = clock or _check_clock(server, servers, now=now)
    yield clock or not_checked("clock", "no authorization server sent its time", "Let NTP set this machine's clock.")


def _check_server(server: str, servers: AuthorizationServers, failure: Failure) -> CheckResult:
    """Send an invalid token: a server that refuses it with one of Bitrix24's codes works."""
    host = _host(server)
    try:
        servers.app_info(server, SecretStr(INVALID_TOKEN), record_call=record_nothing)
    except (NotAnswered, PortalMoved) as error:
        advice = "Let this machine reach it by https, without a proxy, and check its DNS and certificates."
        return failure(host, f"does not answer ({error.code})", advice)
    except Limited:
        return warning(host, "answers that it is busy", "Try again in a minute.")
    except Bitrix24Error:
        return good(host, "answers")
    return warning(host, "accepts any token", "Ask Bitrix24: an authorization server must not.")


def _check_client_credentials(server: str, servers: AuthorizationServers, failure: Failure) -> CheckResult:
    subject = f"keys at {_host(server)}"
    try:
        accepted = servers.accepts_client_credentials(server)
    except Bitrix24Error as error:
        return not_checked(subject, f"the server did not say ({error.code})", "Try again in a minute.")
    if accepted is None:
        message = "the server gives the same answer to a right and a wrong secret"
        return not_checked(subject, message, "Open the application in a portal; that works only with the right keys.")
    if accepted:
        return good(subject, "client id and secret are accepted")
    advice = "Copy BITRIX24_CLIENT_ID and BITRIX24_CLIENT_SECRET from the vendor console again."
    return failure(subject, "client id or secret is refused: no token can be refreshed", advice)


def _check_clock(server: str, servers: AuthorizationServers, *, now: Callable[[], datetime]) -> CheckResult | None:
    """Compare our clock with a server's; return None if the server does not send its time."""
    started = now()
    try:
        server_time = servers.server_time(server)
    except NotAnswered:
        return None
    if server_time is None:
        return None
    ahead = round((started + (now() - started) / 2 - server_time).total_seconds())
    if abs(ahead) <= MAX_CLOCK_SECONDS:
        return good("clock", f"within {MAX_CLOCK_SECONDS} s of {_host(server)}'s")
    duration = f"{abs(ahead)} s" if abs(ahead) < 120 else f"{round(abs(ahead) / 60)} min"
    message = f"{duration} {'ahead of' if ahead > 0 else 'behind'} {_host(server)}'s"
    failure = warning if abs(ahead) <= MAX_TOLERATED_CLOCK_SECONDS else wrong
    return failure("clock", message, "Let NTP set this machine's clock: events and leases depend on it.")


def _host(server: str) -> str:
    return server.partition("//")[2]
