"""One clock for everything a test starts, wherever TEST_CLOCK has it begin."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests import clock
from tests.browsers import page

__all__ = ["page"]


def test_chromium_uses_the_tests_clock(page: Page) -> None:
    page.goto("about:blank")

    moments = page.evaluate("[Date.now(), new Date().getTime(), new Date(0).getTime()]")

    assert moments == [pytest.approx(time.time() * 1000, abs=60_000)] * 2 + [0]


def test_processes_use_the_tests_clock(tmp_path: Path) -> None:
    (tmp_path / "moment.py").write_text("import time\nprint(time.time())")

    text = subprocess.run(
        clock.command("moment"),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert float(text.stdout) == pytest.approx(time.time(), abs=60)
