"""A database that answers but cannot be written to (a full disk, a read-only server)."""

from __future__ import annotations

import json
from collections.abc import Callable
from sqlite3 import Connection

import pytest
from flask import Flask
from sqlalchemy import event

from app import create_app
from dashboard.core import config
from dashboard.core.database import upsert
from dashboard.core.database_errors import OutageLog
from dashboard.models import PeriodicTask
from dashboard.monitoring.readiness import WRITE_CHECK
from tests.emulator import Emulator
from tests.world import World, errors_on

TOKEN = "a token for the metrics alone"


def fill_the_disk(world: World) -> None:
    """Make the database refuse every write from now on."""
    _limit(world, only_read, "default_transaction_read_only = on")


def fill_the_disk_but_for_a_row(world: World) -> None:
    """Let the database's file grow no more, or Postgres write no temporary file, from now on."""
    _limit(world, not_grow, "temp_file_limit = 0")


def _limit(world: World, on_connect: Callable[[Connection, object], None], setting: str) -> None:
    """Limit the new connections of SQLite, or those of Postgres by a setting of the database."""
    world.is_database_dirty = True
    engine = world.database.engine
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", on_connect)
    else:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET {setting}")
    engine.dispose()


def only_read(connection: Connection, _record: object) -> None:
    """Make a new SQLite connection read-only."""
    connection.execute("PRAGMA query_only = ON")


def not_grow(connection: Connection, _record: object) -> None:
    """Limit a new SQLite connection to the pages that the file has."""
    connection.execute("PRAGMA max_page_count = 1")


def started_anew(world: World) -> Flask:
    """Return the application as a new process would create it."""
    return create_app(config.load(world.environment | {"METRICS_TOKEN": TOKEN}), database=world.database)


def test_an_opening_is_503(each_world: World) -> None:
    opening = each_world.portal().open_as("boris")
    fill_the_disk(each_world)

    answer = each_world.post("/", opening)

    assert (answer.status_code, errors_on(answer.text)) == (503, ["database_unavailable"])


# Of a database that was not restored whole, of a read-only one, and of a server at its limits.
REFUSALS = {
    "42501": "lacks a right",
    "42P01": "schema",
    "42703": "schema",
    "42P10": "lacks its key",
    "3F000": "may use no schema",
    "25006": "read-only",
    "53100": "disk is full",
    "53200": "out of memory",
    "53300": "takes no more connections",
}
REFUSE = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$
"""


def test_each_refusal_of_the_server_is_503_and_one_line(
    bitrix24: Emulator, migrated_postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with World(bitrix24, migrated_postgres_url) as world:
        world.is_database_dirty = True
        world.install("alpha")
        for code, meaning in REFUSALS.items():
            with world.database.engine.begin() as connection:
                connection.exec_driver_sql(REFUSE.format(code=code))
                trigger = "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON people EXECUTE FUNCTION refuse()"
                connection.exec_driver_sql(trigger)
            world.database.outages = OutageLog()
            capsys.readouterr()

            answer = world.open("boris")

            log = capsys.readouterr().err
            lines = [line for line in log.splitlines() if "database_away" in line]
            assert (answer.status_code, errors_on(answer.text)) == (503, ["database_unavailable"]), code
            assert [meaning in line for line in lines] == [True], code
            assert "Traceback" not in log


def test_readyz_is_503(each_world: World) -> None:
    requests = started_anew(each_world).test_client()
    assert requests.get("/readyz").status_code == 200
    fill_the_disk(each_world)

    answer = started_anew(each_world).test_client().get("/readyz")
    # A process that has just written does not try again at once: the address is public.
    again = requests.get("/readyz")

    assert (answer.status_code, answer.json) == (
        503,
        {"status": "unready", "down": ["database"]},
    )
    assert again.status_code == 200


def test_readyz_is_503_if_there_is_room_for_a_row_only(each_world: World) -> None:
    fill_the_disk_but_for_a_row(each_world)
    with each_world.database.write_session() as session:
        upsert(session, PeriodicTask, {"name": WRITE_CHECK, "next_at": each_world.now()})
    answer = started_anew(each_world).test_client().get("/readyz")

    assert (answer.status_code, answer.json) == (503, {"status": "unready", "down": ["database"]})


def test_the_metric_of_the_alert_is_0(each_world: World) -> None:
    requests, token = started_anew(each_world).test_client(), {"Authorization": f"Bearer {TOKEN}"}
    assert "dashboard_database_up 1.0" in requests.get("/metrics", headers=token).text
    fill_the_disk(each_world)

    text = started_anew(each_world).test_client().get("/metrics", headers=token).text

    assert "dashboard_database_up 0.0" in text
    assert 'dashboard_portals{state="active"} 1.0' in text


def test_the_doctor_reports_it(each_world: World) -> None:
    fill_the_disk(each_world)

    result = started_anew(each_world).test_cli_runner().invoke(args=["doctor", "--json"])

    results = {one["what"]: one for one in json.loads(result.output)}
    assert result.exit_code == 1
    assert results["database"]["state"] == "good"
    assert (results["writing"]["state"], "disk" in results["writing"]["mend"]) == ("wrong", True)
    assert "worker" not in results  # nobody looked for one
