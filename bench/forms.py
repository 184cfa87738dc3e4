"""An opening as a portal's frame posts it."""

from __future__ import annotations

from urllib.parse import urlencode

from bench.addresses import AUTHORIZATION, application_token, host, member_id, token_of


def query(portal: int, *, port: int, domain: str | None = None) -> str:
    asked = {"DOMAIN": f"{domain or host(portal)}:{port}", "PROTOCOL": "1", "LANG": "en", "APP_SID": "5" * 32}
    return urlencode(asked)


def form(portal: int, user: int, *, port: int) -> str:
    return urlencode(
        {
            "AUTH_ID": token_of(portal, user),
            "AUTH_EXPIRES": "3600",
            "REFRESH_ID": token_of(portal, user, kind="b"),
            "SERVER_ENDPOINT": f"https://{AUTHORIZATION}:{port}/rest/",
            "APPLICATION_TOKEN": application_token(portal),
            "APPLICATION_SCOPE": "calendar,placement,user_brief",
            "member_id": member_id(portal),
            "status": "L",
            "PLACEMENT": "DEFAULT",
        }
    )
