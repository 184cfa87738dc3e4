"""The colors of the interface: contrast of text, bars, edges and icons in both schemes, computed from the tokens."""

from __future__ import annotations

import re

import pytest

from dashboard.web.http.static_files import ROOT

TOKENS = (ROOT / "css" / "tokens.css").read_text(encoding="utf-8")
DARK = TOKENS.index("@media (prefers-color-scheme: dark)")
FACES = ("blue", "green", "teal", "violet", "amber", "rose")
MIN_TEXT_CONTRAST = 4.5
MIN_SHAPE_CONTRAST = 3.0

TEXTS = [
    *((text, back) for text in ("text-strong", "text", "text-quiet") for back in ("page", "card", "card-quiet")),
    *(("accent-text", back) for back in ("page", "card", "card-quiet", "accent-soft")),
    *(("text-strong", back) for back in ("accent-soft", "warning-soft", "alert-soft", "good-soft")),
    *(("text", back) for back in ("accent-soft", "warning-soft", "alert-soft")),
    ("accent-hover", "card"),
    ("on-accent", "accent-text"),
    ("on-accent", "accent-hover"),
    *((f"{tone}-text", back) for tone in ("good", "warning", "alert") for back in ("card", f"{tone}-soft")),
    ("alert-text", "page"),
    ("good-text", "window"),
    ("card", "pointer"),
    *((f"face-{name}-text", f"face-{name}") for name in FACES),
]
SHAPES = [
    (shape, "card")
    for shape in (
        "accent", "good", "warning", "alert", "bar", "now", "window-line", "stretch", "pointer", "line-control",
    )
]  # fmt: skip


def colors(scheme: str) -> dict[str, str]:
    """Return the value of each color in a scheme."""
    found = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6});", TOKENS[:DARK]))
    dark = TOKENS[DARK : TOKENS.index("@media (prefers-reduced-motion")]
    return found if scheme == "light" else found | dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6});", dark))


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2."""
    digits = color if len(color) == 6 else "".join(digit * 2 for digit in color)
    parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colors_have_enough_contrast(scheme: str) -> None:
    values = colors(scheme)

    def too_weak(pairs: list[tuple[str, str]], minimum: float) -> dict[tuple[str, str], float]:
        contrasts = {pair: contrast(values[pair[0]], values[pair[1]]) for pair in pairs}
        return {pair: round(value, 2) for pair, value in contrasts.items() if value < minimum}

    assert too_weak(TEXTS, MIN_TEXT_CONTRAST) == {}
    assert too_weak(SHAPES, MIN_SHAPE_CONTRAST) == {}
