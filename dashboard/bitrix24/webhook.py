"""An incoming webhook of a portal: one person's own key to it, in an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from dashboard.bitrix24.errors import Unreadable
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.masking import record_nothing
from dashboard.core.json_values import Json

_PATH = re.compile(r"(/rest/[0-9]{1,15}/[0-9A-Za-z]{1,64})/?(?:[a-z.]+(?:\.json)?/?)?")


@dataclass(frozen=True)
class Webhook:
    """Calls with the rights of whoever made it. The address is the secret: it is shown and kept nowhere."""

    rest: RestHttp
    address: SecretStr

    def call(self, method: str) -> Json:
        """Return the result of a method that only reads.

        :raise Bitrix24Error: the leaf for what was answered.
        """
        url = f"{self.address.get_secret_value()}/{method}"
        answer = self.rest.json(url, {}, method=method, record=record_nothing, read_only=True)
        if "result" not in answer:
            raise Unreadable("bad_answer")
        return answer["result"]


def parse_webhook_url(typed: SecretStr, *, loopback: bool = False) -> SecretStr:
    """Return the address without what may follow it, a method's name for instance.

    :raise ValueError: this is no incoming webhook's address; the message does not repeat it.
    """
    try:
        parts = urlsplit(typed.get_secret_value().strip())
        match = _PATH.fullmatch(parts.path)
        usable = match and parts.hostname and parts.port != 0 and not parts.username and not parts.password
    except ValueError:
        match, usable = None, None
    if not match or not usable or parts.scheme not in (("https", "http") if loopback else ("https",)):
        # Not chained: the parser's text quotes the address.
        raise ValueError("must look like https://company.bitrix24.com/rest/1/secret/") from None
    return SecretStr(f"{parts.scheme}://{parts.netloc}{match[1]}")
