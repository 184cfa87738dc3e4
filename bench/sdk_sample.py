"""Read what an opening reads in the smallest application with the vendor's SDK, which stores and shows nothing.

Its parts are those of the SDK's documentation: the decorator that parses the opening, a token, one batch.
"""

from __future__ import annotations

import os
from typing import Any

from b24pysdk.credentials import BitrixApp, BitrixToken
from b24pysdk.integrations.flask.decorators import placement_required
from b24pysdk.integrations.flask.dependencies import get_oauth_placement_data
from flask import Flask

COMMANDS: dict[str, Any] = {
    "app": ("app.info", {}),
    "profile": ("profile", {}),
    "settings": ("calendar.user.settings.get", {}),
    "account": ("calendar.settings.get", {}),
    "sections": ("calendar.section.get", {"type": "user"}),
}


def create_app() -> Flask:
    """Return the application."""
    app = Flask(__name__)
    bitrix_app = BitrixApp(
        client_id=os.environ["BITRIX24_CLIENT_ID"], client_secret=os.environ["BITRIX24_CLIENT_SECRET"]
    )

    @app.get("/healthz")
    def check() -> str:
        return "ok"

    @app.post("/")
    @placement_required  # type: ignore[untyped-decorator]  # the SDK has no type for it
    def open_app() -> dict[str, Any]:
        data = get_oauth_placement_data()
        token = BitrixToken(
            domain=data.domain,
            auth_token=data.oauth_token.access_token,
            refresh_token=data.oauth_token.refresh_token,
            bitrix_app=bitrix_app,
        )
        settings: dict[str, Any] = token.call_batch(COMMANDS)["result"]["result"]["settings"]
        return settings

    return app
