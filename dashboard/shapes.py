"""JSON as Bitrix24 sends it, where numbers come as text and nothing comes as false."""

import json
import re
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Fifteen digits hold any id or count there is, and keep hostile numbers out of int() and str().
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(value: Json) -> int | None:
    """Return the integer a number or numeric text stands for, or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = f"{value:.0f}"
    if isinstance(value, int):
        return value if abs(value) < 10**15 else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return None


def is_unset(value: Json) -> bool:
    """Tell whether PHP would call the value empty, or a form once turned its `false` into text."""
    return not value or value in ("false", "0")


def compact(value: Json) -> str:
    """Return the value as compact JSON that always encodes to UTF-8."""
    return printable(json.dumps(value, separators=(",", ":"), ensure_ascii=False))


def printable(text: str) -> str:
    """Escape the halves of broken surrogate pairs: JSON may carry them, UTF-8 may not."""
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half.group()):04x}", text)
