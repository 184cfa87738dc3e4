"""Parse the addresses of clients, and group those that belong to one household or office."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

# Providers give a household or an office an IPv6 network of this size.
IPV6_PREFIX = 64
# An IPv6 address needs its brackets before a port can follow it.
_BRACKETED = re.compile(r"\[([^\]]*)\](?::\d*)?")
_WITH_PORT = re.compile(r"([^:]*):\d*")


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

    A text that is no address stays as it is: it comes from our own server, such as the path of a socket.
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
