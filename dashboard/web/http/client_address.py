"""Find the IP address that a request came from, behind any trusted proxies."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
from flask import current_app, request

from dashboard.portals.throttle import UNTRUSTED_PROXY, Limit
from dashboard.web.http.context import services

log = structlog.get_logger()

# Providers give a household or an office an IPv6 network of this size.
IPV6_PREFIX = 64
PROXY_WARNING_LIMIT = Limit(depth=1, seconds=600)
# An IPv6 address needs its brackets before a port can follow it.
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d*)?")
_WITH_PORT = re.compile(r"([^:]*):\d*")


def visitor_address() -> str:
    """Return the IP address or IPv6 network of the visitor, as the outermost trusted proxy saw it.

    Our proxies wrote the last ``TRUSTED_PROXIES`` entries of X-Forwarded-For; anything before them may be forged.
    """
    remote, proxies = request.remote_addr or "", services().config.trusted_proxies
    if not proxies:
        warn_of_untrusted_proxy(verified=False)
        return network_of(remote)
    entries = request.headers.get("X-Forwarded-For", "").rsplit(",", proxies)
    forwarded = parse_forwarded(entries[-proxies]) if len(entries) >= proxies else None
    return network_of(forwarded or remote)


def warn_of_untrusted_proxy(*, verified: bool) -> None:
    """Warn that a proxy is in front but not trusted, so that all visitors count as one; `doctor` reports it too.

    Trust the header only if it came from a private address or with a verified opening: browsers never send it.
    """
    if services().config.trusted_proxies or "X-Forwarded-For" not in request.headers:
        return
    if not verified and _is_public(request.remote_addr or ""):
        return
    now, warned_at = services().now(), current_app.extensions.get("proxy_warned_at")
    if warned_at is not None and (now - warned_at).total_seconds() < PROXY_WARNING_LIMIT.seconds:
        return
    current_app.extensions["proxy_warned_at"] = now
    services().throttle.record_failure(UNTRUSTED_PROXY, PROXY_WARNING_LIMIT)
    log.warning("proxy_not_trusted", hint="TRUSTED_PROXIES is 0, so that every visitor counts as one")


def parse_forwarded(text: str) -> str | None:
    """Return the address in an ``X-Forwarded-For`` entry, or None if it contains none.

    Some gateways add a port (``203.0.113.7:40001``, ``[2001:db8::1]:443``) or quotes; RFC 7239 allows
    ``unknown`` and names such as ``_hidden`` instead of an address.
    """
    entry = text.strip().strip('"')
    if match := _BRACKETED.fullmatch(entry) or _WITH_PORT.fullmatch(entry):
        entry = match[1]
    try:
        ip_address(entry.partition("%")[0])
    except ValueError:
        return None
    return entry


def network_of(address: str) -> str:
    """Return the IPv6 network of an address, or the IPv4 address itself.

    Any other text, such as the path of a Unix socket, is returned unchanged: only our own server sets it.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, IPV6_PREFIX), strict=False))


def _is_public(address: str) -> bool:
    try:
        return ip_address(address).is_global
    except ValueError:  # a Unix socket
        return False
