"""Read JSON values as Bitrix24 sends them: numbers as text, `false` for nothing, control characters in names."""

import json
import re
import unicodedata
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

# Fifteen digits hold every id and count, and keep hostile numbers out of int() and str().
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
# U+202A to U+202E and U+2066 to U+2069 control the direction of text; U+2028 and U+2029 end lines.
_CONTROLS = dict.fromkeys(
    [*(set(range(0x20)) - {0x09, 0x0A}), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
)
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_int(value: Json) -> int | None:
    """Return the integer that a number or numeric text stands for, or None."""
    if isinstance(value, float) and value.is_integer():
        value = f"{value:.0f}"
    if isinstance(value, str):
        return int(value) if _INTEGER.fullmatch(value.strip()) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15:
        return value
    return None


def as_list(value: Json) -> list[Json] | None:
    """Return the list, None for any other value; PHP sends a list with gaps as an object."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else None


def as_object(value: Json) -> dict[str, Json]:
    """Return the object, empty for any other value; PHP sends an empty object as a list."""
    return value if isinstance(value, dict) else {}


def is_unset(value: Json) -> bool:
    """Tell whether PHP considers the value empty; a form turns `false` into the text "false"."""
    return not value or value in ("false", "0")


def compact_json(value: Json) -> str:
    """Return compact JSON that can always be encoded as UTF-8."""
    return escape_surrogates(_COMPACT.encode(value))


def escape_surrogates(text: str) -> str:
    """Escape lone surrogates, which JSON may contain and UTF-8 may not."""
    return text if text.isascii() else _LONE_SURROGATE.sub(lambda match: _escape(match.group()), text)


def strip_control_characters(text: str) -> str:
    """Remove control characters and those that change the direction of text.

    Tabs and line ends stay, and so do the marks and joiners that Arabic, Hebrew and Persian names need.
    """
    is_plain = text.isascii() and text.isprintable()
    return text if is_plain else escape_surrogates(text).translate(_CONTROLS)


def escape_invisible(text: str) -> str:
    """Escape control, format and bidi characters, which a terminal obeys or hides, and line ends.

    The escapes are those of JSON, so that escaped JSON stays the same JSON.
    """
    return "".join(
        character if character.isprintable() or unicodedata.category(character) == "Zs" else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
