"""Token pairs: minted in Bitrix24's 70 hex characters, rotated once, killed at will."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

ACCESS_LIFE = 3600
REFRESH_LIFE = 180 * 86400
CODE_LIFE = 30


@dataclass
class Owner:
    """Whom a pair speaks for: a person, in one installation of one application."""

    client_id: str
    member_id: str
    portal_number: int
    installation: int
    user_id: int


@dataclass
class Pair:
    """An access token with its refresh token."""

    owner: Owner
    access: str
    refresh: str
    expires: float
    refresh_expires: float
    access_killed: bool = False
    refresh_killed: bool = False


@dataclass
class Code:
    """A one-time authorization code."""

    owner: Owner
    expires: float


class Tokens:
    """Every pair ever minted, found by either half."""

    def __init__(self) -> None:
        self._by_access: dict[str, Pair] = {}
        self._by_refresh: dict[str, Pair] = {}
        self._codes: dict[str, Code] = {}

    def mint(self, owner: Owner, *, now: float) -> Pair:
        """Return a new pair, a chain of its own: older pairs of the person stay good."""
        expires, refresh_expires = now + ACCESS_LIFE, now + REFRESH_LIFE
        pair = Pair(
            owner=owner,
            access=_text(owner, expires=expires),
            refresh=_text(owner, expires=refresh_expires),
            expires=expires,
            refresh_expires=refresh_expires,
        )
        self.add(pair)
        return pair

    def add(self, pair: Pair) -> None:
        """Know a pair from now on."""
        self._by_access[pair.access] = pair
        self._by_refresh[pair.refresh] = pair

    def rotate(self, pair: Pair, *, now: float, once: bool, kill_sibling: bool) -> Pair:
        """Return the pair's successor; by default the old pair is void from this moment."""
        pair.refresh_killed = once
        pair.access_killed = pair.access_killed or kill_sibling
        return self.mint(pair.owner, now=now)

    def by_access(self, token: str) -> Pair | None:
        """Return the pair an access token belongs to, also when it is no longer good."""
        return self._by_access.get(token)

    def by_refresh(self, token: str) -> Pair | None:
        """Return the pair a refresh token belongs to, also when it is no longer good."""
        return self._by_refresh.get(token)

    def of(self, member_id: str, user_id: int | None = None) -> Iterable[Pair]:
        """Return a portal's pairs, or those of one of its people."""
        for pair in self._by_access.values():
            if pair.owner.member_id == member_id and user_id in {None, pair.owner.user_id}:
                yield pair

    def issue_code(self, owner: Owner, *, now: float) -> str:
        """Return an authorization code, good once and for half a minute."""
        code = secrets.token_hex(35)
        self._codes[code] = Code(owner, now + CODE_LIFE)
        return code

    def take_code(self, code: str) -> Code | None:
        """Return a code's owner and forget the code."""
        return self._codes.pop(code, None)


def _text(owner: Owner, *, expires: float) -> str:
    """Lay a token out as the recorded ones are; both halves of a pair share the middle."""
    parts = (
        int(expires).to_bytes(4, "little"),
        owner.installation.to_bytes(4, "big"),
        owner.portal_number.to_bytes(4, "big"),
        owner.user_id.to_bytes(4, "big"),
        secrets.token_bytes(19),
    )
    return b"".join(parts).hex()
