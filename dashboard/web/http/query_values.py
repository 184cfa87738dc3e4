"""Read values from a query string; invalid ones count as missing, unless a page refuses them."""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.routing import IntegerConverter, Map

MAX_PAGE_DIGITS = 8
MAX_ID = 2**53 - 1  # of Bitrix24's ids and ours; a database refuses 2**63


class IdConverter(IntegerConverter):
    """Convert the ``int`` of a URL; a number larger than any id matches no route."""

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, max=MAX_ID)


class InvalidValue(ValueError):
    """A parameter is malformed. The response names it; its value is not kept."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def page_number(query: Mapping[str, str]) -> int:
    """Return the number of the page that the query asks for, 1 by default."""
    number = query.get("page", "")
    usable = number.isascii() and number.isdecimal() and len(number) <= MAX_PAGE_DIGITS
    return max(1, int(number)) if usable else 1


def text_value(query: Mapping[str, str], name: str, *, max_length: int) -> str:
    """Return a parameter, cut to its maximum length."""
    # Postgres refuses a null character in text.
    return query.get(name, "").replace("\0", "").strip()[:max_length]
