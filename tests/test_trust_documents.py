"""What docs/security.md promises is held by tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_named_exists() -> None:
    promised = set(re.findall(r"`((?:test_|Test)\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    present = set(re.findall(r"^(?:def |class )?((?:test_|Test)\w+)\b", sources, re.MULTILINE))

    assert len(promised) > 60
    assert promised - present == set()
