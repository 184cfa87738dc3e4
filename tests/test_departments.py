"""Departments: read with the list of employees, found with those below them, and harmless whatever a portal answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from dashboard.bitrix24 import departments as bitrix24_departments
from dashboard.bitrix24.schemas import parse_as
from dashboard.models import Department as StoredDepartment
from dashboard.models import DepartmentMember, Person
from dashboard.people import departments, storage_limit
from tests.databases import on_both_databases, url_for
from tests.emulator import Emulator, Fault
from tests.emulator.departments import Department
from tests.world import World

METHOD = "department.get"


@pytest.fixture(name="company")
def _company(bitrix24: Emulator, request: pytest.FixtureRequest) -> Iterator[World]:
    """Install in a portal that grants the permission for departments, on each database."""
    bitrix24.portal("alpha").application.scopes.append("department")
    with World(bitrix24, url_for(request)) as world:
        world.install()
        yield world


def stored(world: World) -> dict[int, tuple[Any, ...]]:
    """Return the stored departments by id: parent, name, head, sort."""
    rows = world.rows("SELECT * FROM departments ORDER BY department_id")
    return {row["department_id"]: (row["parent_id"], row["name"], row["head_id"], row["sort"]) for row in rows}


def members(world: World, department_id: int) -> set[int]:
    """Return the user ids of the people of a department, and of those below it."""
    portal = world.known()
    with world.database.read_session() as session:
        in_department = departments.in_department(session, portal, department_id)
        return set(session.scalars(select(Person.user_id).where(Person.portal_id == portal.id, in_department)))


@on_both_databases("company")
def test_departments_are_read_with_the_list_of_employees(company: World) -> None:
    assert company.sync()["state"] == "done"

    assert stored(company) == {
        1: (None, "Alpha", 1, 500),
        2: (1, "Engineering", 7, 100),
        3: (2, "Platform <b>", None, 100),
        4: (1, "Sales & partners", 9, 200),
        5: (4, "Поддержка", 999, 300),
    }
    assert members(company, 3) == {10, 11}
    assert members(company, 2) == {7, 8, 10, 11}
    assert members(company, 4) == {8, 9, 14}
    assert len(members(company, 1)) == 12
    assert members(company, 77) == set()


@on_both_databases("company")
def test_changes_replace_what_was_stored(company: World) -> None:
    company.sync()
    portal = company.portal()
    portal.departments = [Department(1, "Alpha"), Department(2, "Research", parent=4, head=8), Department(9, "New", 2)]
    portal.people["boris"].departments = [9, 9]
    portal.people["marcus"].departments = []

    company.sync()

    assert stored(company) == {
        1: (None, "Alpha", None, 500),
        2: (4, "Research", 8, 500),
        9: (2, "New", None, 500),
    }
    assert members(company, 2) == {7, 8}
    assert members(company, 3) == set()


def test_without_the_permission_nothing_is_asked_or_stored(world: World) -> None:
    assert world.sync()["state"] == "done"

    assert world.bitrix24.count(inner=METHOD) == 0
    assert stored(world) == {}


def test_a_permission_granted_later_is_used_at_once(world: World) -> None:
    world.session("anna")
    world.sync()
    world.open("anna")
    runs = len(world.rows("SELECT id FROM runs"))
    world.portal().grant_scope("department")
    world.portal().update()
    world.portal().deliver_events()

    world.open("anna")

    assert len(world.rows("SELECT id FROM runs")) == runs + 1
    world.sync()
    assert len(world.rows("SELECT id FROM runs")) == runs + 1
    assert stored(world)


def test_a_withdrawn_permission_deletes_the_departments(company: World) -> None:
    company.sync()
    company.portal().drop_scope("department")

    assert company.sync()["state"] == "done"

    assert stored(company) == {}


@on_both_databases("company")
def test_a_cycle_of_parents_ends(company: World) -> None:
    company.portal().departments = [Department(2, "A", parent=3), Department(3, "B", parent=2), Department(4, "C", 4)]
    company.sync()

    assert members(company, 2) == members(company, 3) == {7, 8, 10, 11}
    assert members(company, 4) == {8, 9}


@on_both_databases("company")
def test_five_thousand_departments_in_a_chain_are_followed(company: World) -> None:
    """Of every second one Boris is the head, so from each of them all below it would be found again."""
    company.sync()
    portal = company.known()
    rows = [
        {"portal_id": portal.id, "department_id": n, "parent_id": n - 1, "name": "", "head_id": 7 * (n % 2), "sort": 1}
        for n in range(10, 5_000)
    ]
    with company.database.write_session() as session:
        session.execute(insert(StoredDepartment), rows)
        session.execute(update(DepartmentMember).where(DepartmentMember.department_id == 5).values(department_id=4_999))
        boris = session.scalars(select(Person).where(Person.user_id == 7)).one()
        began = time.thread_time()
        is_led = departments.is_led_by(session, portal, boris)
        led = session.scalars(select(Person.user_id).where(Person.portal_id == portal.id, is_led)).all()

    assert {14, 7} <= set(led)
    assert members(company, 10) == {14}
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("people", [0, 10_000])
def test_postgres_searches_the_departments_once(bitrix24: Emulator, migrated_postgres_url: str, people: int) -> None:
    """Right after the first sync it has no statistics, and later it expects ten times the people there are.

    Its plan was then to read the people of a branch again for each person, for minutes.
    """
    statements = (
        f"INSERT INTO people (portal_id, user_id, name, is_admin, time_zone, language, listed)"
        f" SELECT 1, i, '', false, '', '', true FROM generate_series(1000, {people + 999}) i",
        "INSERT INTO departments SELECT 1, i, (i + 3) / 5, '', i, 500 FROM generate_series(1, 2000) i",
        "INSERT INTO department_members (person_id, department_id, portal_id)"
        " SELECT id, 1 + (user_id * 7 + k * 13) % 2000, 1 FROM people, generate_series(0, 2) k",
        "ANALYZE",
    )
    with World(bitrix24, migrated_postgres_url) as world:
        world.install()
        portal, engine = world.known(), world.database.engine
        with engine.begin() as connection:
            for statement in statements if people else statements[1:2]:
                connection.execute(text(statement))
        with world.database.read_session() as session:
            head = Person(id=1, user_id=7)
            conditions = [departments.in_department(session, portal, 2), departments.is_led_by(session, portal, head)]
        for condition in conditions:
            query = select(Person.id).where(Person.portal_id == portal.id, condition)
            compiled = query.compile(engine, compile_kwargs={"literal_binds": True})
            plan = "\n".join(row["QUERY PLAN"] for row in world.rows(f"EXPLAIN {compiled}"))
            assert "Materialize" not in plan
            # Not a hash table of the memberships of all portals, which took longer than a statement may.
            assert "Index Cond: (person_id = people.id)" in plan


def test_five_thousand_departments_are_the_limit(company: World) -> None:
    company.portal().departments = [Department(number, f"Team {number}") for number in range(1, 5_102)]
    company.bitrix24.clear()
    company.sync()

    assert len(stored(company)) == bitrix24_departments.MAX_PORTAL_DEPARTMENTS
    assert company.bitrix24.count(inner=METHOD) <= 102
    size = company.one("SELECT stored_bytes FROM portals")
    assert size >= bitrix24_departments.MAX_PORTAL_DEPARTMENTS * storage_limit.DEPARTMENT_BYTES


def test_pages_that_repeat_end_the_list(company: World) -> None:
    company.portal().departments = [Department(number, f"Team {number}") for number in range(1, 200)]
    company.bitrix24.world.strictness.ignores_start = True
    company.sync()

    assert len(stored(company)) == 50


def test_an_error_keeps_the_stored_departments_and_the_run_goes_on(company: World) -> None:
    company.sync()
    before = stored(company)
    company.bitrix24.faults.add(Fault("error:ERROR_CORE:400", "portal", inner=METHOD))

    run = company.sync()

    assert (run["state"], stored(company)) == ("done", before)


@pytest.mark.parametrize(
    "answer",
    [
        {"ID": "2"},
        {"ID": 2, "NAME": False, "SORT": "x", "PARENT": "", "UF_HEAD": []},
        {"ID": "2", "NAME": "N" * 9000, "SORT": 10**30, "PARENT": 0, "UF_HEAD": "0", "DEPTH": {}},
        {"ID": "2", "NAME": "A\x00B", "PARENT": 10**40, "UF_HEAD": -1},
    ],
)
def test_a_department_of_any_shape_is_read(answer: dict[str, Any]) -> None:
    department = parse_as(bitrix24_departments.ListedDepartment, answer)

    assert (department.ID, department.PARENT, department.UF_HEAD) == (2, None, None)
    assert len(department.NAME) <= 255
    assert "\x00" not in department.NAME
    assert 0 <= department.SORT <= bitrix24_departments.MAX_SORT


@on_both_databases("company")
def test_departments_are_deleted_with_the_portals_data(company: World) -> None:
    company.sync()
    session = company.session("anna")

    company.browser.post("/admin/forget", headers=session, data={"domain": company.portal().domain})

    assert stored(company) == {}
    assert company.one("SELECT count(*) FROM department_members") == 0
