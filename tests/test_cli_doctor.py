"""`doctor`: it finds what is wrong, says how to mend it, and gives nothing away."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from app import create_app
from dashboard import config, schema
from dashboard.models import Chore
from tests.emulator import Emulator
from tests.world import FERNET_KEY, SECRET_KEY, World


def doctor(world: World, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the findings by what was looked at."""
    app = create_app(config.load(world.environment | environment), database=world.database)
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    return result.exit_code, {one["what"]: one for one in json.loads(result.output)}


def beat(world: World) -> None:
    """Be the worker that shows that it lives."""
    with world.database.writing() as session:
        session.add(Chore(name="heartbeat", next_at=datetime.now(UTC) + timedelta(seconds=30)))


def test_a_healthy_one_is_healthy(each_world: World) -> None:
    beat(each_world)

    code, found = doctor(each_world, VENDOR_NAME="Alder", VENDOR_EMAIL="help@alder.example")

    found.pop("database file", None)
    assert code == 0
    assert {one["state"] for one in found.values()} == {"good"}
    assert "postgres" not in json.dumps(found)


def test_it_speaks_to_people(world: World) -> None:
    result = world.app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 0
    assert "warning  worker" in result.output
    assert "Start the worker" in result.output
    for secret in (FERNET_KEY, SECRET_KEY, world.bitrix24.client_secret):
        assert secret not in result.output


@pytest.mark.parametrize("due_in", [timedelta(minutes=-3), timedelta(hours=3)], ids=["late", "ahead"])
def test_a_worker_that_fell_silent_is_a_warning(world: World, due_in: timedelta) -> None:
    with world.database.writing() as session:
        session.add(Chore(name="heartbeat", next_at=datetime.now(UTC) + due_in))

    assert doctor(world)[1]["worker"]["state"] == "warning"


def test_a_lost_key_is_wrong_and_an_old_one_a_warning(world: World) -> None:
    new = Fernet.generate_key().decode()

    code, found = doctor(world, TOKEN_KEYS=new)
    assert code == 1
    assert found["token keys"]["says"].startswith("3 of 3")

    code, found = doctor(world, TOKEN_KEYS=f"{new},{FERNET_KEY}")
    assert code == 0
    assert "rotate-keys" in found["token keys"]["mend"]


def test_a_schema_that_is_behind_is_wrong(world: World) -> None:
    schema.downgrade(world.database, "-1")

    code, found = doctor(world)

    assert code == 1
    assert "db upgrade" in found["migrations"]["mend"]


def test_a_database_that_is_away_is_wrong(world: World) -> None:
    away = {"DATABASE_URL": "postgresql://me:a-password-nobody-sees@127.0.0.1:1/x"}
    app = create_app(config.load(world.environment | away))

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    assert "wrong    database" in result.output
    assert "a-password-nobody-sees" not in result.output


@pytest.mark.parametrize(("place", "state"), [("first", "wrong"), ("last", "warning")])
def test_an_authorization_server_that_is_away_is_told(
    bitrix24: Emulator, world: World, place: str, state: str
) -> None:
    away, here = "http://127.0.0.1:1", bitrix24.authorization_server
    both = f"{away},{here}" if place == "first" else f"{here},{away}"

    code, found = doctor(world, BITRIX24_AUTH_SERVERS=both)

    assert code == (1 if state == "wrong" else 0)
    assert found["127.0.0.1:1"]["state"] == state
    assert found[here.partition("//")[2]]["state"] == "good"


def test_a_database_file_open_to_all_is_a_warning(world: World) -> None:
    file = Path(world.environment["DATABASE_URL"].removeprefix("sqlite:///"))

    file.chmod(0o604)
    assert doctor(world)[1]["database file"]["state"] == "warning"

    file.chmod(0o600)
    assert "database file" not in doctor(world)[1]


def test_nothing_is_sent_that_opens_anything(world: World) -> None:
    world.bitrix24.clear()

    doctor(world)

    (request,) = world.bitrix24.requests
    assert (request.method, request.granted) == ("rest/app.info", False)
    assert world.bitrix24.secrets_in_urls == 0
