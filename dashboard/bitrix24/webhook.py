"""Call a portal through an incoming webhook: a URL that contains its creator's key."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from dashboard.bitrix24.envelope import result_of
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import record_nothing
from dashboard.core.json_values import Json

_PATH = re.compile(r"(/rest/[0-9]{1,15}/[0-9A-Za-z]{1,64})/?(?:[a-z.]+(?:\.json)?/?)?")


@dataclass(frozen=True)
class Webhook:
    """Calls with the rights of its creator. The URL is the secret, so it is never shown or stored."""

    rest: RestHttp
    url: SecretStr

    def call(self, method: str) -> Json:
        """Return the result of a method that only reads.

        :raise Bitrix24Error: the call failed.
        """
        url = f"{self.url.get_secret_value()}/{method}"
        return result_of(self.rest.post(url, {}, method=method, record_call=record_nothing, read_only=True))


def parse_webhook_url(text: SecretStr, *, loopback: bool = False) -> SecretStr:
    """Return the URL without a method's name.

    :raise ValueError: this is not the URL of an incoming webhook; the message does not repeat it.
    """
    try:
        parts = urlsplit(text.get_secret_value().strip())
        match = _PATH.fullmatch(parts.path)
        usable = match and parts.hostname and parts.port != 0 and not parts.username and not parts.password
    except ValueError:
        match, usable = None, None
    if not match or not usable or parts.scheme not in (("https", "http") if loopback else ("https",)):
        # Not chained: the parser's message quotes the URL.
        raise ValueError("must look like https://company.bitrix24.com/rest/1/secret/") from None
    return SecretStr(f"{parts.scheme}://{parts.netloc}{match[1]}")
