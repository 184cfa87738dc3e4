"""Refresh and verify tokens at the authorization servers, the only ones that receive the client secret."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from secrets import token_urlsafe

from pydantic import SecretStr

from dashboard.bitrix24.errors import (
    AUTHORIZATION_CODES,
    Bitrix24Error,
    CallRejected,
    CredentialsRefused,
    GrantRejected,
    KeysRejected,
    TokenRejected,
)
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import CallRecorder, record_nothing
from dashboard.bitrix24.schemas import OAuthAppInfo, TokenResponse, parse_as, parse_origin
from dashboard.core.json_values import Json

INVALID_TOKEN = "made-up"  # noqa: S105  # sent to see how it is refused; no secret


@dataclass(frozen=True)
class AuthorizationServers:
    """The allowed servers, as origins; the first is the default. No other server receives anything."""

    rest: RestHttp
    allowed: tuple[str, ...]
    client_id: str
    client_secret: SecretStr

    def choose(self, endpoint: str | None) -> str:
        """Return the server of a posted or stored endpoint if it is allowed, else the default one."""
        try:
            origin = parse_origin(endpoint or "")
        except ValueError:
            return self.allowed[0]
        return origin if origin in self.allowed else self.allowed[0]

    def refresh(self, server: str, refresh_token: SecretStr, *, record_call: CallRecorder) -> TokenResponse:
        """Return a new token pair. The old one becomes invalid, so the request is never sent twice.

        The documentation shows GET, but the official JavaScript client posts a form, which keeps the secret
        out of the URL.

        :raise GrantRejected: the refresh token is invalid.
        :raise Bitrix24Error: the call failed otherwise.
        """
        fields: dict[str, Json] = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
            "refresh_token": refresh_token.get_secret_value(),
        }
        try:
            response = self.rest.post(
                f"{self._require_allowed(server)}/oauth/token/",
                fields,
                method="oauth/token",
                record_call=record_call,
                codes=AUTHORIZATION_CODES,
                as_form=True,
            )
        except TokenRejected as error:
            raise GrantRejected(error.code) from None
        return parse_as(TokenResponse, response)

    def app_info(self, server: str, access_token: SecretStr, *, record_call: CallRecorder) -> OAuthAppInfo:
        """Return the application, portal and user that a token belongs to; no secret is sent.

        :raise TokenRejected: the token proves nothing. Several codes say so, such as `invalid_client`.
        :raise Bitrix24Error: the call failed otherwise.
        """
        try:
            response = self.rest.post(
                f"{self._require_allowed(server)}/rest/app.info",
                {"auth": access_token.get_secret_value()},
                method="oauth/app.info",
                record_call=record_call,
                codes=AUTHORIZATION_CODES,
                read_only=True,
            )
        except (KeysRejected, GrantRejected, CredentialsRefused, CallRejected) as error:
            raise TokenRejected(error.code) from None
        return parse_as(OAuthAppInfo, response.get("result"))

    def accepts_client_credentials(self, server: str) -> bool | None:
        """Tell whether a server accepts our client id and secret, None where its responses do not show it.

        Send a refresh with an invalid token: with correct client credentials the server rejects the token, with
        wrong ones the credentials. A second one with a wrong secret shows that it checks the credentials first.

        :raise Bitrix24Error: the call failed otherwise.
        """
        refusal = self._refusal(server)
        if refusal is KeysRejected:
            return False
        wrong = replace(self, client_secret=SecretStr(token_urlsafe()))
        return True if wrong._refusal(server) is KeysRejected and refusal is GrantRejected else None

    def _refusal(self, server: str) -> type[Bitrix24Error] | None:
        try:
            self.refresh(server, SecretStr(INVALID_TOKEN), record_call=record_nothing)
        except (KeysRejected, GrantRejected) as error:
            return type(error)
        return None

    def server_time(self, server: str) -> datetime | None:
        """Return the time of a server's clock in whole seconds, None where its response has none.

        :raise NotAnswered: the server does not respond.
        """
        url = f"{self._require_allowed(server)}/rest/app.info"
        response = self.rest.transport.post(url, json={"auth": INVALID_TOKEN}, read_only=True)
        try:
            time = parsedate_to_datetime(response.date or "")
        except (ValueError, OverflowError):
            return None
        return time if time.tzinfo else None

    def _require_allowed(self, server: str) -> str:
        if server not in self.allowed:
            raise ValueError("not an allowed authorization server")
        return server
