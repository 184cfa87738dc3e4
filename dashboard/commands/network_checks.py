"""What `doctor` finds by asking others: our own address, the authorization servers, their clocks."""

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
from dashboard.commands.findings import CheckResult, State
from dashboard.core.config import Config
from dashboard.core.json_values import Json, parse_int
from dashboard.portals.throttle import UNTRUSTED_PROXY, Throttle

TIMEOUTS = Timeouts(connect=3.05, read=5.0, total=8.0)
# The `Date` header is whole seconds, and an answer is a while on its way.
MAX_CLOCK_SECONDS = 30
MAX_TOLERATED_CLOCK_SECONDS = 300
# The name or the certificate is another's, which no other place in the network would change.
_MISTYPED_ADDRESS = (errors.UNKNOWN_HOST, errors.CERTIFICATE_UNTRUSTED, errors.TLS_FAILED)

Now = Callable[[], datetime]


# Our own address


def own_address(config: Config, throttle: Throttle) -> Iterator[CheckResult]:
    """Ask PUBLIC_URL who answers there, over the way people come, and through how many proxies."""
    # A name of one's own may well lead to a private address from inside; nothing but /healthz is asked.
    transport = Transport(AddressPolicy(loopback=True, private=True), timeouts=TIMEOUTS)
    try:
        answer = transport.get(f"{config.public_url}/healthz")
    except NotAnswered as error:
        yield _not_reached(config, error)
        yield _proxies(config, throttle, seen=None)
        return
    body = _result(answer)
    is_ours = body.get("application") == config.fingerprint
    yield (CheckResult("PUBLIC_URL", "good", "answers as this application") if is_ours else _foreign(answer, body))
    yield _proxies(config, throttle, seen=parse_int(body.get("proxies")) if is_ours else None)


def _result(answer: RawResponse) -> dict[str, Json]:
    try:
        body = decode(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _not_reached(config: Config, error: NotAnswered) -> CheckResult:
    if error.code in _MISTYPED_ADDRESS:
        mend = "Correct PUBLIC_URL, its name or its certificate: people and Bitrix24 come by it."
        return CheckResult("PUBLIC_URL", "wrong", f"nobody can reach {config.public_url} ({error.code})", mend)
    mend = "Start the web process and its proxy, or open PUBLIC_URL/healthz in a browser: it must answer."
    says = f"this machine does not reach {config.public_url} ({error.code})"
    return CheckResult("PUBLIC_URL", "not checked", says, mend)


def _foreign(answer: RawResponse, body: dict[str, Json]) -> CheckResult:
    if answer.status >= 500:
        says = f"a proxy answers HTTP {answer.status}, not the application behind it"
        return CheckResult("PUBLIC_URL", "wrong", says, "Start the web process, or lead the proxy to it.")
    if "application" in body:
        says = "another installation of this application answers"
        mend = "Correct PUBLIC_URL and BITRIX24_CLIENT_ID, and restart every process after a change."
        return CheckResult("PUBLIC_URL", "wrong", says, mend)
    says = f"somebody else answers (HTTP {answer.status})"
    mend = "Correct PUBLIC_URL, or where its name and its proxy lead."
    return CheckResult("PUBLIC_URL", "wrong", says, mend)


def _proxies(config: Config, throttle: Throttle, *, seen: int | None) -> CheckResult:
    """Compare TRUSTED_PROXIES with what our own question came through, else with what visitors' did."""
    trusted = config.trusted_proxies
    if seen is not None and seen != trusted:
        # With too few trusted, the entry that is read is a proxy's; with too many, one the visitor may write.
        counts = "visitors count as one" if trusted < seen else "visitors may write their own address"
        says = f"{seen} in front add to X-Forwarded-For, {trusted} are trusted: {counts}"
        return CheckResult("TRUSTED_PROXIES", "wrong", says, f"Set TRUSTED_PROXIES={seen}.")
    if seen is not None:
        return CheckResult("TRUSTED_PROXIES", "good", f"{seen} in front, as is trusted")
    if trusted == 0 and _visitors_came_forwarded(throttle):
        says = "requests came through a proxy, and none is trusted: every visitor counts as one"
        return CheckResult("TRUSTED_PROXIES", "wrong", says, "Set TRUSTED_PROXIES to how many there are.")
    says = f"{trusted} are trusted; how many there are is seen when PUBLIC_URL answers"
    return CheckResult("TRUSTED_PROXIES", "not checked", says, "Count the proxies that add to X-Forwarded-For.")


def _visitors_came_forwarded(throttle: Throttle) -> bool:
    try:
        return throttle.last(UNTRUSTED_PROXY) is not None
    except SQLAlchemyError:
        return False  # the database is away, which is a finding of its own


# The authorization servers


def authorization_servers(servers: AuthorizationServers, *, now: Now) -> Iterator[CheckResult]:
    """Ask each server whether it is there and accepts our keys, and one that answers for the time."""
    clock: CheckResult | None = None
    for server in servers.allowed:
        is_default = server == servers.allowed[0]
        found = _server(server, servers, is_default=is_default)
        yield found
        if found.state == "good":
            yield _keys(server, servers, is_default=is_default)
            clock = clock or _clock(server, servers, now=now)
    mend = "See that this machine's clock is set by NTP."
    yield clock or CheckResult("clock", "not checked", "no authorization server told the time", mend)


def _server(server: str, servers: AuthorizationServers, *, is_default: bool) -> CheckResult:
    """Ask with a token that is none: whoever refuses it in Bitrix24's words is there."""
    what = _host(server)
    try:
        servers.app_info(server, SecretStr(INVALID_TOKEN), record=record_nothing)
    except (NotAnswered, PortalMoved) as error:
        state: State = "wrong" if is_default else "warning"
        mend = "Let this machine reach it by https, without a proxy, and check its DNS and certificates."
        return CheckResult(what, state, f"does not answer ({error.code})", mend)
    except Limited:
        return CheckResult(what, "warning", "answers that it is busy", "Try again in a minute.")
    except Bitrix24Error:
        return CheckResult(what, "good", "answers")
    return CheckResult(what, "warning", "accepts any token", "Ask Bitrix24: an authorization server must not.")


def _keys(server: str, servers: AuthorizationServers, *, is_default: bool) -> CheckResult:
    what = f"keys at {_host(server)}"
    try:
        accepted = servers.accepts_keys(server)
    except Bitrix24Error as error:
        says, mend = f"was not told ({error.code})", "Try again in a minute."
        return CheckResult(what, "not checked", says, mend)
    if accepted is None:
        says = "it answers the same to a good secret and a wrong one"
        return CheckResult(what, "not checked", says, "Open the application in a portal: that needs them.")
    if accepted:
        return CheckResult(what, "good", "client id and secret are accepted")
    mend = "Copy BITRIX24_CLIENT_ID and BITRIX24_CLIENT_SECRET from the vendor console once more."
    state: State = "wrong" if is_default else "warning"
    return CheckResult(what, state, "client id or secret is refused: no token can be renewed", mend)


def _clock(server: str, servers: AuthorizationServers, *, now: Now) -> CheckResult | None:
    """Compare our clock with a server's; None where it does not tell the time."""
    before = now()
    try:
        theirs = servers.server_time(server)
    except NotAnswered:
        return None
    if theirs is None:
        return None
    ahead = round((before + (now() - before) / 2 - theirs).total_seconds())
    if abs(ahead) <= MAX_CLOCK_SECONDS:
        return CheckResult("clock", "good", f"within {MAX_CLOCK_SECONDS} s of {_host(server)}'s")
    says = f"{_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} {_host(server)}'s"
    state: State = "warning" if abs(ahead) <= MAX_TOLERATED_CLOCK_SECONDS else "wrong"
    return CheckResult("clock", state, says, "Set this machine's clock, by NTP: events and leases go by it.")


def _duration(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"


def _host(server: str) -> str:
    return server.partition("//")[2]
