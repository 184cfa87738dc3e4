"""What a browser posts when a portal opens the application in its frame."""

import secrets
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from .people import Person
from .php import encode
from .tokens import ACCESS_LIFE, Pair

Form = Literal["new", "old"]


@dataclass
class Opening:
    """One rendering of the frame; `query` and `form` are in wire order and may be edited."""

    url: str
    query: dict[str, str]
    form: dict[str, str]
    person: Person
    options: dict[str, Any]
    installer: bool

    @property
    def action(self) -> str:
        """Return the address the form goes to."""
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(self.query)}"

    @property
    def body(self) -> str:
        """Return the form as the browser encodes it."""
        return urlencode(self.form)

    @property
    def frame_name(self) -> str:
        """Return the frame's name, from which the library learns its portal."""
        return "|".join(self.query[key] for key in ("DOMAIN", "PROTOCOL", "APP_SID"))

    @property
    def access_token(self) -> str:
        """Return the access token just minted."""
        return self.form["AUTH_ID"]

    @property
    def refresh_token(self) -> str:
        """Return the refresh token just minted."""
        return self.form["REFRESH_ID"]


def query_of(*, domain: str, lang: str) -> dict[str, str]:
    """Return the four fields that travel only in the query string."""
    return {"DOMAIN": domain, "PROTOCOL": "0", "LANG": lang, "APP_SID": secrets.token_hex(16)}


def form_of(
    pair: Pair,
    *,
    form: Form,
    server_endpoint: str,
    application_token: str,
    scopes: list[str],
    member_id: str,
    status: str,
    placement: str,
    options: dict[str, Any] | None,
) -> dict[str, str]:
    """Return the hidden fields; the old form lacks three, empty options are left out."""
    fields = {
        "AUTH_ID": pair.access,
        "AUTH_EXPIRES": str(ACCESS_LIFE),
        "REFRESH_ID": pair.refresh,
    }
    if form == "new":
        fields["SERVER_ENDPOINT"] = server_endpoint
        fields["APPLICATION_TOKEN"] = application_token
        fields["APPLICATION_SCOPE"] = ",".join(scopes)
    fields |= {"member_id": member_id, "status": status, "PLACEMENT": placement}
    if options:
        fields["PLACEMENT_OPTIONS"] = encode(options)
    return fields
