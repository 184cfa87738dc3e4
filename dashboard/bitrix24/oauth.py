"""The authorization servers: the only places that ever see the client secret."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from dashboard.bitrix24.answers import Proof, TokenPair, origin_of, read_as
from dashboard.bitrix24.errors import (
    AUTHORIZATION_CODES,
    CallRejected,
    CredentialsRefused,
    GrantRejected,
    KeysRejected,
    TokenRejected,
)
from dashboard.bitrix24.exchange import Exchange
from dashboard.bitrix24.journal import Record


@dataclass(frozen=True)
class AuthorizationServers:
    """The allowed servers, as origins; the first is the default. Others get nothing, whatever was posted."""

    exchange: Exchange
    allowed: tuple[str, ...]
    client_id: str
    client_secret: SecretStr

    def choose(self, endpoint: str | None) -> str:
        """Return the server a posted or stored endpoint names if it is allowed, else the default."""
        try:
            origin = origin_of(endpoint or "")
        except ValueError:
            return self.allowed[0]
        return origin if origin in self.allowed else self.allowed[0]

    def refresh(self, server: str, refresh_token: SecretStr, *, record: Record) -> TokenPair:
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
            answer = self.exchange.form(
                f"{self._allowed(server)}/oauth/token/",
                fields,
                method="oauth/token",
                record=record,
                codes=AUTHORIZATION_CODES,
            )
        except TokenRejected as error:
            raise GrantRejected(error.code, status=error.status) from None
        return read_as(TokenPair, answer)

    def app_info(self, server: str, access_token: SecretStr, *, record: Record) -> Proof:
        """Return who issued this token, to which application and for which portal; needs no secret.

        :raise TokenRejected: the token proves nothing, in whatever words; `invalid_client` is one of them
            here, where no secret is sent.
        :raise Bitrix24Error: any other leaf.
        """
        try:
            answer = self.exchange.json(
                f"{self._allowed(server)}/rest/app.info",
                {"auth": access_token.get_secret_value()},
                method="oauth/app.info",
                record=record,
                codes=AUTHORIZATION_CODES,
                read_only=True,
            )
        except (KeysRejected, GrantRejected, CredentialsRefused, CallRejected) as error:
            raise TokenRejected(error.code, status=error.status) from None
        return read_as(Proof, answer.get("result"))

    def _allowed(self, server: str) -> str:
        if server not in self.allowed:
            raise ValueError("not an allowed authorization server")
        return server
