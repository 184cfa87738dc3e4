"""Drawn portraits: a photo of somebody who does not exist."""

SKINS = ("#f2c9a5", "#d9a273", "#a86b45", "#7a4a2e")
HAIRS = ("#2b2118", "#5a3a22", "#a8773c", "#6b6b6b", "#1d1d2b")
SHIRTS = ("#2f8cfb", "#17683a", "#a01f3c", "#5130a3", "#0b5c61")
_PORTRAIT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect width="64" height="64" fill="#dbe3ea"/><path d="M8 64c2-14 12-20 24-20s22 6 24 20z" fill="{shirt}"/>
<circle cx="32" cy="28" r="15" fill="{hair}"/><circle cx="32" cy="31" r="11" fill="{skin}"/></svg>"""


def portrait(user_id: int) -> str:
    """Return the same drawing each time for the same person."""
    parts = {"skin": SKINS, "hair": HAIRS, "shirt": SHIRTS}
    colors = {name: shades[user_id // place % len(shades)] for place, (name, shades) in enumerate(parts.items(), 1)}
    return _PORTRAIT.format(**colors)
