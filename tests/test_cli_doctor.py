"""`doctor`: what it reports as wrong, what it advises, and that it reveals no secret."""

import json
import socket
import ssl
import threading
import uuid
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text, update
from sqlalchemy.engine import make_url

from app import create_app
from dashboard.core import config, migrations
from dashboard.core.database import Database
from dashboard.models import PeriodicTask, Portal
from dashboard.portals.throttle import UNTRUSTED_PROXY, Limit
from tests.emulator import Emulator, Fault
from tests.emulator.wire import Answer, Server
from tests.test_transport import answer_without_tls, self_signed
from tests.world import FERNET_KEY, SECRET_KEY, World, environment_for


def doctor(world: World, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the results by subject."""
    app = create_app(config.load(world.environment | environment), database=world.database, now=world.now)
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    return result.exit_code, {result["what"]: result for result in json.loads(result.output)}


def send_heartbeat(world: World) -> None:
    """Store a worker's heartbeat."""
    with world.database.write_session() as session:
        session.add(PeriodicTask(name="heartbeat", next_at=world.now() + timedelta(seconds=30)))


def test_a_healthy_installation_is_all_good(each_world: World) -> None:
    send_heartbeat(each_world)

    code, results = doctor(each_world, VENDOR_NAME="Alder", VENDOR_EMAIL="help@alder.example")

    results.pop("database file", None)
    assert code == 0
    assert {result["state"] for result in results.values()} == {"good"}
    assert "postgres" not in json.dumps(results)


def test_the_report_for_people(world: World) -> None:
    result = world.app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 0
    assert "warning     worker" in result.output
    assert "Start the worker" in result.output
    for secret in (FERNET_KEY, SECRET_KEY, world.bitrix24.client_secret):
        assert secret not in result.output


@pytest.mark.parametrize("due_in", [timedelta(minutes=-3), timedelta(hours=3)], ids=["late", "ahead"])
def test_a_worker_without_heartbeat_is_a_warning(world: World, due_in: timedelta) -> None:
    with world.database.write_session() as session:
        session.add(PeriodicTask(name="heartbeat", next_at=world.now() + due_in))

    assert doctor(world)[1]["worker"]["state"] == "warning"


def test_a_missing_key_is_wrong_and_an_old_one_a_warning(world: World) -> None:
    new = Fernet.generate_key().decode()

    code, results = doctor(world, TOKEN_KEYS=new)
    assert code == 1
    assert results["token keys"]["says"].startswith("3 of 3")

    code, results = doctor(world, TOKEN_KEYS=f"{new},{FERNET_KEY}")
    assert code == 0
    assert "rotate-keys" in results["token keys"]["mend"]


def test_an_older_schema_is_wrong(world: World) -> None:
    migrations.downgrade(world.database, "-1")

    code, results = doctor(world)

    assert code == 1
    assert "db upgrade" in results["migrations"]["mend"]


def test_an_unavailable_database_is_wrong(world: World) -> None:
    away = {"DATABASE_URL": "postgresql://me:a-password-nobody-sees@127.0.0.1:1/x"}
    app = create_app(config.load(world.environment | away))

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    assert "wrong       database" in result.output
    assert "a-password-nobody-sees" not in result.output


@pytest.mark.parametrize(("place", "state"), [("first", "wrong"), ("last", "warning")])
def test_an_unavailable_authorization_server_is_reported(
    bitrix24: Emulator, world: World, place: str, state: str
) -> None:
    away, here = "http://127.0.0.1:1", bitrix24.authorization_server
    both = f"{away},{here}" if place == "first" else f"{here},{away}"

    code, results = doctor(world, BITRIX24_AUTH_SERVERS=both)

    assert code == (1 if state == "wrong" else 0)
    assert results["127.0.0.1:1"]["state"] == state
    assert results[here.partition("//")[2]]["state"] == "good"


def test_a_database_file_that_everyone_can_read_is_a_warning(world: World) -> None:
    file = Path(world.environment["DATABASE_URL"].removeprefix("sqlite:///"))

    file.chmod(0o604)
    assert doctor(world)[1]["database file"]["state"] == "warning"

    file.chmod(0o600)
    assert "database file" not in doctor(world)[1]


def test_no_token_is_sent(world: World) -> None:
    world.bitrix24.clear()

    doctor(world)

    sent = world.bitrix24.requests
    assert {request.method for request in sent} == {"rest/app.info", "oauth/token"}
    assert not any(request.granted for request in sent)
    assert world.bitrix24.secrets_in_urls == 0


@pytest.mark.parametrize("wrong", ["BITRIX24_CLIENT_SECRET", "BITRIX24_CLIENT_ID"])
def test_wrong_keys_are_reported_and_not_printed(world: World, wrong: str) -> None:
    app = create_app(config.load(world.environment | {wrong: "a-mistyped-key-nobody-sees"}), database=world.database)

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    assert "client id or secret is refused" in result.output
    assert "nobody-sees" not in result.output


def test_keys_are_not_checked_if_the_server_refuses_every_secret(world: World) -> None:
    refuse = Fault("error:invalid_grant:400", "authorization", method="oauth/token", times=2)
    world.bitrix24.faults.add(refuse)

    code, results = doctor(world)

    assert (code, results[f"keys at {server_of(world)}"]["state"]) == (0, "not checked")


@pytest.mark.parametrize(
    ("ahead", "state", "says"),
    [(10, "good", "within"), (90, "warning", " s ahead of"), (-900, "wrong", "15 min behind")],
)
def test_our_clock_is_compared_with_the_authorization_servers(world: World, ahead: int, state: str, says: str) -> None:
    settings, delay = config.load(world.environment), timedelta(seconds=ahead)
    app = create_app(settings, database=world.database, now=lambda: world.now() + delay)

    results = json.loads(app.test_cli_runner().invoke(args=["doctor", "--json"]).output)

    (clock,) = [result for result in results if result["what"] == "clock"]
    assert clock["state"] == state
    assert says in clock["says"]


def test_a_mistyped_public_url_is_reported(world: World, bitrix24: Emulator) -> None:
    elsewhere = {
        "http://127.0.0.1:1": ("not checked", "connection_refused"),
        bitrix24.authorization_server: ("wrong", "another server answers"),
        world.portal().origin: ("wrong", "another server answers"),
    }

    for address, (state, says) in elsewhere.items():
        code, results = doctor(world, PUBLIC_URL=address)
        assert results["PUBLIC_URL"]["state"] == state, address
        assert says in results["PUBLIC_URL"]["says"]
        assert results["TRUSTED_PROXIES"]["state"] == "not checked"
        assert code == (1 if state == "wrong" else 0)


def test_a_public_url_with_an_unknown_host_is_wrong(world: World) -> None:
    result = doctor(world, PUBLIC_URL="http://no-such-host.invalid")[1]["PUBLIC_URL"]

    # A machine without a name server cannot know.
    cannot_tell = "name_lookup_failed" in result["says"]
    assert result["state"] == ("not checked" if cannot_tell else "wrong")


def test_another_installation_at_public_url_is_wrong(world: World) -> None:
    code, results = doctor(world, PUBLIC_URL=world.config.public_url.replace("127.0.0.1", "localhost"))

    assert (code, results["PUBLIC_URL"]["says"]) == (1, "another installation of this application answers")


def test_the_proxies_in_front_are_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    serve = world.app.wsgi_app

    def behind_two_proxies(environ: Any, start_response: Any) -> Any:
        return serve(environ | {"HTTP_X_FORWARDED_FOR": "192.0.2.9, 192.0.2.8"}, start_response)

    # Simulate two proxies, which add the header.
    monkeypatch.setattr(world.app, "wsgi_app", behind_two_proxies)

    states = {trusted: doctor(world, TRUSTED_PROXIES=str(trusted))[1] for trusted in range(4)}

    results = {trusted: results["TRUSTED_PROXIES"] for trusted, results in states.items()}
    assert [results[trusted]["state"] for trusted in results] == ["wrong", "wrong", "good", "wrong"]
    assert results[0]["mend"] == "Set TRUSTED_PROXIES=2."
    assert "visitors can forge" in results[3]["says"]


def test_visitors_that_came_through_a_proxy_are_reported(world: World) -> None:
    world.services.throttle.record_failure(UNTRUSTED_PROXY, Limit(depth=5, seconds=60))

    code, results = doctor(world, PUBLIC_URL="http://127.0.0.1:1")

    assert (code, results["TRUSTED_PROXIES"]["state"]) == (1, "wrong")


def test_a_missing_sqlite_file_is_reported_and_not_created(world: World, tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'mistyped' / 'dashboard.db'}"
    app = create_app(config.load(world.environment | {"DATABASE_URL": address}))

    outputs = {
        words: app.test_cli_runner().invoke(args=words.split())
        for words in (
            "doctor",
            "portals list",
            "people list",
            "db current",
            "runs list",
            "db downgrade base --yes",
        )
    }

    for words, result in outputs.items():
        assert result.exit_code == 1, words
        assert "the file does not exist" in result.output, words
    assert list(tmp_path.iterdir()) == []
    assert app.test_cli_runner().invoke(args=["db", "upgrade"]).exit_code == 0


def server_of(world: World) -> str:
    return world.bitrix24.authorization_server.partition("//")[2]


# One portal


def check(world: World, member_id: str, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    app = create_app(config.load(world.environment | environment), database=world.database)
    result = app.test_cli_runner().invoke(args=["doctor", "--portal", member_id, "--json"])
    return result.exit_code, {result["what"]: result for result in json.loads(result.output)}


def move_to(world: World, origin: str) -> None:
    with world.database.write_session() as session:
        session.execute(update(Portal).values(origin=origin))


@pytest.mark.parametrize("by", ["member_id", "id"])
def test_a_portal_is_checked_without_sending_a_secret(world: World, by: str) -> None:
    member_id = str(world.one(f"SELECT {by} FROM portals"))
    world.bitrix24.clear()

    code, results = check(world, member_id)

    assert code == 0
    assert list(results) == ["name", "address", "connection", "answer"]
    assert {result["state"] for result in results.values()} == {"good"}
    (request,) = world.bitrix24.requests
    assert (request.method, request.granted) == ("app.info", False)


def test_the_failed_step_of_an_unreachable_portal_is_reported(world: World, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server = Server(lambda request: Answer(200, b"<html>"))
    server.start()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("127.0.0.1", 0)) as plain,
    ):
        threading.Thread(target=shake_hands, args=(listener, context), daemon=True).start()
        threading.Thread(target=answer_without_tls, args=(plain,), daemon=True).start()
        steps = {}
        for origin in (
            "https://127.0.0.1:1",
            f"https://127.0.0.1:{listener.getsockname()[1]}",
            f"https://127.0.0.1:{plain.getsockname()[1]}",
            f"http://127.0.0.1:{server.port}",
            "https://169.254.169.254",
        ):
            move_to(world, origin)
            code, results = check(world, world.portal().member_id)
            *before, last = results.values()
            assert code == 1
            assert {result["state"] for result in before} == {"good"}
            assert last["mend"]
            steps[origin.partition(":")[0], last["what"], last["says"]] = last["state"]
    server.stop()

    assert steps == dict.fromkeys(
        [
            ("https", "connection", "is refused"),
            ("https", "certificate", "is not trusted"),
            (
                "https",
                "certificate",
                "cannot be read: the server does not speak TLS, or only an outdated version",
            ),
            ("http", "answer", "is not a Bitrix24 portal's (bad_answer)"),
            ("https", "address", "may not be called by this application"),
        ],
        "wrong",
    )


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        context.wrap_socket(connection, server_side=True).close()


def test_an_unknown_portal_is_one_line(world: World) -> None:
    result = world.app.test_cli_runner().invoke(args=["doctor", "--portal", "987654321"])

    assert result.exit_code == 1
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("right", "named"),
    [
        ("INSERT, DELETE ON people", "the role lacks INSERT on people, DELETE on people"),
        # GRANT … ON ALL TABLES leaves them out, as after `pg_restore --no-owner`.
        ("USAGE ON ALL SEQUENCES IN SCHEMA public", "USAGE on people_id_seq"),
        ("SELECT ON chains", "the role lacks SELECT on chains"),
    ],
)
def test_a_right_that_the_role_lacks_is_named(
    bitrix24: Emulator, migrated_postgres_url: str, right: str, named: str
) -> None:
    """The check's own row can be written, but nobody could open the application."""
    with World(bitrix24, migrated_postgres_url) as world:
        world.is_database_dirty = True
        role = f"limited_{uuid.uuid4().hex[:12]}"
        with world.database.engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE {role} LOGIN"))
            connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"))
            connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"))
            connection.execute(text(f"REVOKE {right} FROM {role}"))
        url = make_url(migrated_postgres_url).set(username=role).render_as_string(hide_password=False)
        limited = create_app(config.load(world.environment | {"DATABASE_URL": url}), now=world.now)

        unready = limited.test_client().get("/readyz")
        result = limited.test_cli_runner().invoke(args=["doctor"])
        with world.database.engine.begin() as connection:
            connection.execute(text(f"GRANT {right} TO {role}"))
        ready = limited.test_client().get("/readyz")

        limited.extensions["services"].database.engine.dispose()
        with world.database.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
    assert (unready.status_code, unready.json) == (503, {"status": "unready", "down": ["database"]})
    assert (result.exit_code, named in result.output) == (1, True)
    assert ready.status_code == 200


@pytest.mark.parametrize(
    ("is_migrated", "statement", "named"),
    [
        # From Postgres 15, GRANT ALL ON DATABASE includes no right to create tables.
        (False, "REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}", "CREATE on schema public"),
        (False, "REVOKE USAGE, CREATE ON SCHEMA public FROM PUBLIC, {role}", "USAGE on schema public"),
        (True, "REVOKE USAGE, CREATE ON SCHEMA public FROM PUBLIC, {role}", "USAGE on schema public"),
        (True, "REVOKE ALL ON alembic_version FROM PUBLIC, {role}", "SELECT on alembic_version"),
        (True, "UPDATE alembic_version SET version_num = '0001'", "ownership of people"),
    ],
)
def test_doctor_and_migration_name_the_right_that_a_migration_takes(
    bitrix24: Emulator, postgres_url: str, is_migrated: bool, statement: str, named: str
) -> None:
    """Otherwise each of the two commands refers to the other."""
    owner, role = Database(postgres_url), f"limited_{uuid.uuid4().hex[:12]}"
    if is_migrated:
        migrations.upgrade(owner)
    with owner.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
        connection.execute(text(f"GRANT ALL ON SCHEMA public TO {role}"))
        connection.execute(text(statement.format(role=role)))
    url = make_url(postgres_url).set(username=role).render_as_string(hide_password=False)
    limited = create_app(config.load(environment_for(bitrix24, url)))

    results = [limited.test_cli_runner().invoke(args=args) for args in (["doctor"], ["db", "upgrade"])]

    limited.extensions["services"].database.engine.dispose()
    with owner.engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    owner.engine.dispose()
    assert [(result.exit_code, named in result.output) for result in results] == [(1, True)] * 2
