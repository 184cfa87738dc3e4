"""Name the emulated portals, build what their frames post, and open the application as a user of one."""

from __future__ import annotations

import os
import re
import urllib.request
from urllib.parse import urlencode

NETWORK = os.environ.get("BENCH_NETWORK", "127.0")  # its first two numbers
AUTHORIZATION = f"{NETWORK}.0.1"
HOSTS = 200  # from this portal on they share addresses, as portals behind one proxy do


def host(portal: int) -> str:
    """Return the address of a portal, so that each is a host of its own."""
    return f"{NETWORK}.1.{1 + portal % HOSTS}"


def renamed_host(portal: int) -> str:
    """Return the address of a portal after it was renamed."""
    return f"{NETWORK}.2.{1 + portal % HOSTS}"


def all_hosts() -> list[str]:
    """Return every address the upstream's certificate must name."""
    return [AUTHORIZATION, *map(host, range(HOSTS)), *map(renamed_host, range(HOSTS))]


def member_id(portal: int) -> str:
    """Return the id that never changes; the portal's `application_token` is the same text."""
    return f"{portal:032x}"


def token_of(portal: int, user: int, *, kind: str = "a") -> str:
    """Return a token that names its owner: 70 hexadecimal characters, as Bitrix24's own."""
    return f"{portal:08x}{user:08x}".ljust(69, "5") + kind


def owner_of(token: str) -> tuple[int, int]:
    """Return the portal and the user a token belongs to."""
    return int(token[:8], 16), int(token[8:16], 16)


def query(portal: int, *, port: int, domain: str | None = None) -> str:
    """Return the query of an opening."""
    fields = {"DOMAIN": f"{domain or host(portal)}:{port}", "PROTOCOL": "1", "LANG": "en", "APP_SID": "5" * 32}
    return urlencode(fields)


def form_fields(portal: int, user: int, *, port: int) -> dict[str, str]:
    """Return the fields of an opening's form."""
    return {
        "AUTH_ID": token_of(portal, user),
        "AUTH_EXPIRES": "3600",
        "REFRESH_ID": token_of(portal, user, kind="b"),
        "SERVER_ENDPOINT": f"https://{AUTHORIZATION}:{port}/rest/",
        "APPLICATION_TOKEN": member_id(portal),
        "APPLICATION_SCOPE": "calendar,placement,user_brief",
        "member_id": member_id(portal),
        "status": "L",
        "PLACEMENT": "DEFAULT",
    }


def form(portal: int, user: int, *, port: int) -> bytes:
    """Return the form of an opening."""
    return urlencode(form_fields(portal, user, port=port)).encode()


def open_as(portal: int, user: int, *, url: str, port: int, domain: str | None = None) -> str:
    """Open the application at ``url`` and return the page."""
    address = f"{url}/?{query(portal, port=port, domain=domain)}"
    with urllib.request.urlopen(address, data=form(portal, user, port=port), timeout=30) as response:
        return str(response.read().decode())


def session_token(page: str) -> str:
    """Return the session token of a page."""
    return str(re.findall(r'<meta name="session-token" content="([^"]+)"', page)[0])
