"""The stylesheets of components and the classes they name."""

from __future__ import annotations

import re
from pathlib import Path

from dashboard.web.http.static_files import ROOT

COMPONENTS = sorted((ROOT / "css" / "components").glob("*.css"))


def styled(path: Path) -> set[str]:
    """Return the classes a stylesheet names."""
    rules = re.sub(r"/\*.*?\*/|\{[^{}]*\}", " ", path.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\.([a-z][a-z_-]*)", rules))
