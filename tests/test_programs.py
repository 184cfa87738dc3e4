"""What cannot be had is named with how to get it, and fails the tests that need it alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import programs

# What the script itself calls.
COMMANDS = ("cat", "cmp", "cp", "dirname", "id", "mkdir", "rm", "sh", "tee", "touch", "tr")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a checkout on a machine with Firefox, but no package manager, no network and nothing else."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in COMMANDS:
        (commands / name).symlink_to(shutil.which(name) or "")
    (commands / "firefox").touch(mode=0o755)
    (tmp_path / "tests").mkdir()
    shutil.copy("tests/find_tools.sh", tmp_path / "tests")
    shutil.copytree("tests/frame_sdk", tmp_path / "tests/frame_sdk")
    monkeypatch.setattr(programs, "VAR", tmp_path / "var")
    for name in ("CHROMIUM", "FIREFOX"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def find_tools(bare: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(bare / "bin"), "MORE_FOLDERS": ""}
    return subprocess.run(["sh", "tests/find_tools.sh"], cwd=bare, env=environment, capture_output=True, text=True)


def test_what_is_missing_is_named_in_one_line_and_the_rest_is_found(bare: Path) -> None:
    searched = find_tools(bare)

    assert searched.returncode == 0
    assert sorted(searched.stderr.splitlines()) == sorted(programs.missing())
    assert programs.program("firefox") == str(bare / "bin" / "firefox")
    with pytest.raises(pytest.fail.Exception, match=r"^chromium is missing.*apt-get.*brew.*CHROMIUM"):
        programs.program("chromium")
    with pytest.raises(pytest.fail.Exception, match=r"^what npm installs is missing"):
        programs.package("axe-core/axe.min.js")


def test_what_was_missing_is_found_once_it_is_there(bare: Path) -> None:
    find_tools(bare)
    (bare / "bin" / "chromium").touch(mode=0o755)

    find_tools(bare)

    assert programs.program("chromium") == str(bare / "bin" / "chromium")
    assert not any(sentence.startswith("chromium") for sentence in programs.missing())


def test_a_variable_names_another_program(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/opt/chromium")

    assert programs.program("chromium") == "/opt/chromium"
