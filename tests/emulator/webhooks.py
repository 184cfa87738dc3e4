"""Incoming webhooks: an address that is a person's key to a portal, with scopes of its own."""

import re
import secrets
from dataclasses import dataclass, field

_PATH = re.compile(r"/rest/(\d+)/([0-9a-z]+)(/.*)?")


@dataclass(frozen=True)
class Credentials:
    """What the path of a webhook's address says."""

    user_id: int
    secret: str


@dataclass
class Webhooks:
    """The webhooks of one portal, by what opens them."""

    scopes: dict[Credentials, tuple[str, ...]] = field(default_factory=dict)

    def make(self, user_id: int, *scopes: str) -> str:
        """Make one and return the path of its address."""
        created = Credentials(user_id, secrets.token_hex(8))
        self.scopes[created] = scopes
        return f"/rest/{created.user_id}/{created.secret}/"


def split(path: str) -> tuple[Credentials | None, str]:
    """Return the credentials in a path, if it is a webhook's, and the path without them."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None, path
    return Credentials(int(match[1]), match[2]), f"/rest{match[3] or '/'}"
