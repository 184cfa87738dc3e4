"""Where the pretend portals live: on addresses of the loopback, so that each is a host of its own."""

from __future__ import annotations

from collections.abc import Iterator

AUTHORIZATION = "127.0.0.1"
HOSTS = 200


def host(portal: int) -> str:
    """Return the address of a portal; from HOSTS on they share the addresses, as a proxy's portals do."""
    return f"127.0.1.{1 + portal % HOSTS}"


def moved_host(portal: int) -> str:
    """Return where a portal lives after it was renamed."""
    return f"127.0.2.{1 + portal % HOSTS}"


def every_host() -> Iterator[str]:
    yield AUTHORIZATION
    for portal in range(HOSTS):
        yield host(portal)
        yield moved_host(portal)


def member_id(portal: int) -> str:
    return f"{portal:032x}"


def application_token(portal: int) -> str:
    return f"{portal:032x}"


def token_of(portal: int, user: int, *, kind: str = "a") -> str:
    """Return a token that tells the upstream whose it is; 70 hex characters, as the real ones."""
    return f"{portal:08x}{user:08x}".ljust(69, "5") + kind


def owner_of(token: str) -> tuple[int, int]:
    """Return the portal and the user a token speaks for."""
    return int(token[:8], 16), int(token[8:16], 16)
