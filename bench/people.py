"""What a person of a pretend portal does by hand: open the application once, and hold its session token."""

from __future__ import annotations

import re
import urllib.request

from bench import forms
from bench.processes import Application, Upstream


def open_as(application: Application, upstream: Upstream, portal: int, user: int, *, domain: str | None = None) -> str:
    """Open the application and return the page."""
    address = f"{application.url}/?{forms.query(portal, port=upstream.port, domain=domain)}"
    body = forms.form(portal, user, port=upstream.port).encode()
    with urllib.request.urlopen(address, data=body, timeout=30) as answer:
        return str(answer.read().decode())


def session_token(page: str) -> str:
    found = re.search(r'<meta name="session-token" content="([^"]+)"', page)
    if not found:
        raise ValueError("this page carries no session token")
    return found[1]


def get(application: Application, path: str, token: str) -> str:
    """Return a part of the page, as the frame asks for it."""
    request = urllib.request.Request(application.url + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(answer.read().decode())
