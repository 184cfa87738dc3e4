"""Nobody's settings are written but by their own click with their own token: in the code, and on the wire."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from dashboard.calendar.edits import parse_edits
from dashboard.core.database import Database
from dashboard.models import Person
from dashboard.people.settings_writer import SET_METHOD
from tests import clicks
from tests.emulator import Fault
from tests.emulator.records import WRITES, RequestLog
from tests.world import World

ROOT = Path(__file__).parent.parent
# The views that a person's click reaches, and nothing else.
CALLERS = {"dashboard/web/views/adopt.py", "dashboard/web/views/my_changes.py"}
WRITER = "dashboard/people/settings_writer.py"


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in [ROOT / "app.py", *sorted((ROOT / "dashboard").rglob("*.py"))]:
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def test_one_module_knows_the_method_that_writes() -> None:
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == SET_METHOD
    }

    assert found == {WRITER}
    assert {SET_METHOD} == WRITES


def test_only_the_views_of_ones_own_settings_use_the_writer() -> None:
    uses, builders = set(), set()
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "settings_writer":
                uses.add(name)
            if isinstance(node, ast.ImportFrom | ast.Import) and "SettingsWriter" in {a.name for a in node.names}:
                builders.add(name)

    assert uses == CALLERS
    assert builders == {"dashboard/services.py"}


@pytest.mark.parametrize("name", sorted(CALLERS))
def test_the_writer_is_given_the_signed_in_person(name: str) -> None:
    tree = ast.parse((ROOT / name).read_text())
    views = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.decorator_list]
    for view in views:
        assert any(isinstance(one, ast.Name) and one.id == "signed_in" for one in view.decorator_list), view.name
    people = [
        ast.unparse(node.args[1])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and ast.unparse(node.args[0]) == "user.portal"
        and len(node.args) > 1
    ]

    assert people
    assert set(people) == {"user.person"}


def test_nobody_is_told_that_a_change_was_not_made_when_the_database_fails_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    boris = world.session("boris")

    def fail(*_arguments: object, **_keywords: object) -> None:
        raise OperationalError("SELECT", None, Exception())

    def stop_database(answer: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setattr(Database, "read_session", fail)
        monkeypatch.setattr(Database, "write", fail)
        return answer

    world.bitrix24.faults.add(Fault("answer", method=SET_METHOD, change=stop_database))
    page = world.browser.post("/me/settings", data={"view": "day"}, headers=boris)
    monkeypatch.undo()

    assert world.portal().people["boris"].settings["view"] == "day"
    assert page.status_code == 502
    assert "may have been saved" in page.text
    assert "Nothing was changed" not in page.text


def test_runs_administrators_and_operators_write_nothing(world: World) -> None:
    for key in ("anna", "boris", "petra", "otto"):
        world.open(key)
    anna = world.session("anna")
    before = {key: person.settings for key, person in world.portal().people.items()}

    world.browser.post("/admin/recommended", data={"view": "day", "showTasks": "N"}, headers=anna)
    world.browser.post("/admin/team", data={"who": "everyone"}, headers=anna)
    world.browser.post("/team/sync", headers=anna)
    world.sync()
    for path in ("/me", "/team", "/insights", "/admin", "/team.json", "/admin/data.json"):
        world.browser.get(path, headers=anna)
    runner = world.app.test_cli_runner()
    for command in (["sync", "run"], ["portals", "list"], ["doctor"], ["people", "list"]):
        runner.invoke(args=command)
    for name in world.services.periodic_tasks.claim_due():
        world.services.periodic_tasks.run(name)
    world.sync()

    assert world.bitrix24.world.log.writes() == []
    assert {key: person.settings for key, person in world.portal().people.items()} == before


def test_a_write_without_a_click_is_noticed(world: World) -> None:
    world.open("boris")
    with world.database.read_session() as session:
        boris = session.query(Person).filter_by(user_id=7).one()

    world.services.settings_writer.edit(world.known(), boris, parse_edits([("view", "day")]))

    with pytest.raises(AssertionError, match="without a click"):
        clicks.check_writes(world.bitrix24)
    world.bitrix24.world.log = RequestLog()


def test_another_persons_click_is_noticed_too(world: World) -> None:
    world.open("boris")
    with world.database.read_session() as session:
        boris = session.query(Person).filter_by(user_id=7).one()
    writer = world.app.extensions["services"].settings_writer

    def write_for_boris(*_arguments: object, **_keywords: object) -> object:
        return type(writer).edit(writer, world.known(), boris, parse_edits([("view", "day")]))

    anna = world.session("anna")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(writer), "undo", write_for_boris)
        world.browser.post("/me/undo", data={"change": "1"}, headers=anna)

    assert world.bitrix24.world.log.writes()
    with pytest.raises(AssertionError, match="without a click"):
        clicks.check_writes(world.bitrix24)
    world.bitrix24.world.log = RequestLog()
