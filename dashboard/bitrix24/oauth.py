"""The authorization servers: the only places that ever see the client secret."""

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
from dashboard.bitrix24.masking import RecordCall, record_nothing
from dashboard.bitrix24.schemas import OAuthAppInfo, TokenResponse, parse_as, parse_origin

INVALID_TOKEN = "made-up"  # sent for a token to see how it is refused  # noqa: S105  # no secret


@dataclass(frozen=True)
class AuthorizationServers:
    """The allowed servers, as origins; the first is the default. Others get nothing, whatever was posted."""

    rest: RestHttp
    allowed: tuple[str, ...]
    client_id: str
    client_secret: SecretStr

    def choose(self, endpoint: str | None) -> str:
        """Return the server a posted or stored endpoint names if it is allowed, else the default."""
        try:
            origin = parse_origin(endpoint or "")
        except ValueError:
            return self.allowed[0]
        return origin if origin in self.allowed else self.allowed[0]

    def refresh(self, server: str, refresh_token: SecretStr, *, record: RecordCall) -> TokenResponse:
        """Return a new pair; the old one is void from then on. Never repeated by itself: it may have worked.

        A POST form, so that no secret stands in a URL; the documentation shows GET only, the official
        JavaScript client posts.

        :raise GrantRejected: the refresh token is void.
        :raise Bitrix24Error: any other leaf.
        """
        fields = {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret.get_secret_value(),
            "refresh_token": refresh_token.get_secret_value(),
        }
        try:
            answer = self.rest.form(
                f"{self._allowed(server)}/oauth/token/",
                fields,
                method="oauth/token",
                record=record,
                codes=AUTHORIZATION_CODES,
            )
        except TokenRejected as error:
            raise GrantRejected(error.code, status=error.status) from None
        return parse_as(TokenResponse, answer)

    def app_info(self, server: str, access_token: SecretStr, *, record: RecordCall) -> OAuthAppInfo:
        """Return who issued this token, to which application and for which portal; needs no secret.

        :raise TokenRejected: the token proves nothing, in whatever words; `invalid_client` is one of them
            here, where no secret is sent.
        :raise Bitrix24Error: any other leaf.
        """
        try:
            answer = self.rest.json(
                f"{self._allowed(server)}/rest/app.info",
                {"auth": access_token.get_secret_value()},
                method="oauth/app.info",
                record=record,
                codes=AUTHORIZATION_CODES,
                read_only=True,
            )
        except (KeysRejected, GrantRejected, CredentialsRefused, CallRejected) as error:
            raise TokenRejected(error.code, status=error.status) from None
        return parse_as(OAuthAppInfo, answer.get("result"))

    def accepts_keys(self, server: str) -> bool | None:
        """Tell whether a server accepts our client id and secret, None where its answers do not show it.

        Nothing is issued or spent: a refresh with a token that is none is refused for the token where the
        keys are good, and for the keys where they are not. That the server looks at them in this order is
        seen by asking once more with a secret that is certainly wrong.

        :raise Bitrix24Error: it does not answer, or something else.
        """
        refused_for = self._refusal(server)
        if refused_for is KeysRejected:
            return False
        wrong = replace(self, client_secret=SecretStr(token_urlsafe()))
        return True if wrong._refusal(server) is KeysRejected and refused_for is GrantRejected else None

    def _refusal(self, server: str) -> type[Bitrix24Error] | None:
        try:
            self.refresh(server, SecretStr(INVALID_TOKEN), record=record_nothing)
        except (KeysRejected, GrantRejected) as error:
            return type(error)
        return None

    def time_of(self, server: str) -> datetime | None:
        """Return what time it is by a server's clock, to the second; None where it does not tell.

        :raise NotAnswered: it does not answer.
        """
        answer = self.rest.transport.post(
            f"{self._allowed(server)}/rest/app.info", json={"auth": INVALID_TOKEN}, read_only=True
        )
        try:
            told = parsedate_to_datetime(answer.date or "")
        except ValueError:
            return None
        return told if told.tzinfo else None

    def _allowed(self, server: str) -> str:
        if server not in self.allowed:
            raise ValueError("not an allowed authorization server")
        return server
