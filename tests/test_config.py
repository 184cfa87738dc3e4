"""Configuration: the defaults, lists, files and one-line errors of every variable."""

from __future__ import annotations

import base64
import os
import runpy
import secrets
import socket
import string
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from dashboard.core import config
from dashboard.core.config import Config, ConfigError
from tests.waiting import HANG_SECONDS

FIRST_KEY, SECOND_KEY = (base64.urlsafe_b64encode(byte * 32).decode() for byte in (b"1", b"2"))
RANDOM_KEY = "kJ9vQ2mZt7xLp4wRb8nYc3dHf6sGa5eT"
# The required variables.
PRODUCTION = {
    "SECRET_KEY": "first-signing-key",
    "TOKEN_KEYS": FIRST_KEY,
    "BITRIX24_CLIENT_ID": "app.test.1",
    "BITRIX24_CLIENT_SECRET": "the-client-secret",
    "PUBLIC_URL": "https://dashboard.example",
}
DEVELOPMENT = PRODUCTION | {"PUBLIC_URL": "http://127.0.0.1:8000", "TRUST_LOOPBACK": "1"}
NEEDED = sorted(PRODUCTION)
# Values that must never be printed.
SECRETS = {
    "SECRET_KEY": "a-signing-key-nobody-sees",
    "TOKEN_KEYS": SECOND_KEY,
    "BITRIX24_CLIENT_SECRET": "a-client-secret-nobody-sees",
    "DATABASE_URL": "postgresql://someone:a-password-nobody-sees@db.example/dashboard",
    "METRICS_TOKEN": "a-metrics-token-nobody-sees",
}
HIDDEN = (
    "a-signing-key-nobody-sees",
    SECOND_KEY,
    "a-client-secret-nobody-sees",
    "a-password-nobody-sees",
    "a-metrics-token-nobody-sees",
)


def load(**changes: str) -> Config:
    return config.load(PRODUCTION | changes)


def error_line(environment: dict[str, str]) -> str:
    """Return the one line of the error."""
    with pytest.raises(ConfigError) as caught:
        config.load(environment)
    (line,) = str(caught.value).splitlines()
    return line


def test_required_variables_are_enough() -> None:
    settings = load()

    assert settings.bitrix24_client_id == "app.test.1"
    assert settings.bitrix24_client_secret.get_secret_value() == "the-client-secret"
    assert settings.public_url == "https://dashboard.example"


@pytest.mark.parametrize(
    ("name", "default"),
    [
        (
            "bitrix24_auth_servers",
            ("https://oauth.bitrix.info", "https://oauth.bitrix24.tech", "https://oauth.bitrix24.info"),
        ),
        ("bx24_js_url", "https://api.bitrix24.com/api/v1/"),
        ("trust_loopback", False),
        ("allow_private_portals", False),
        ("port", 8000),
        ("web_threads", 8),
        ("worker_threads", 8),
        ("metrics_token", None),
        ("metrics_port", None),
        ("trusted_proxies", 0),
        ("log_level", "info"),
        ("log_format", "json"),
    ],
)
def test_defaults(name: str, default: object) -> None:
    assert getattr(load(), name) == default


def test_the_default_database_is_an_sqlite_file() -> None:
    assert load().database_url.get_secret_value() == "sqlite:///var/dashboard.db"


def test_the_default_number_of_processes_depends_on_the_cores() -> None:
    assert 1 <= load().web_concurrency <= (os.cpu_count() or 1)


@pytest.mark.parametrize("name", ["DATABASE_URL", "PORT", "BX24_JS_URL", "LOG_LEVEL", "WEB_CONCURRENCY"])
def test_an_empty_variable_counts_as_absent(name: str) -> None:
    assert load(**{name: ""}) == load()


@pytest.mark.parametrize("switch", ["1", "true", "True", "on", "yes", "t", "y"])
def test_development_logs_readable_text(switch: str) -> None:
    assert config.load(DEVELOPMENT | {"TRUST_LOOPBACK": switch}).log_format == "console"
    assert config.load(DEVELOPMENT | {"TRUST_LOOPBACK": switch, "LOG_FORMAT": "json"}).log_format == "json"


def test_the_log_level_is_case_insensitive() -> None:
    assert load(LOG_LEVEL="WARNING").log_level == "warning"


# Lists


def test_keys_are_a_list_in_its_order() -> None:
    settings = load(
        TOKEN_KEYS=f" {SECOND_KEY} ,{FIRST_KEY},", SECRET_KEY="the-newest-signing-key, the-older-one-before"
    )

    assert [key.get_secret_value() for key in settings.token_keys] == [SECOND_KEY, FIRST_KEY]
    assert [key.get_secret_value() for key in settings.secret_key] == [
        "the-newest-signing-key",
        "the-older-one-before",
    ]


def test_servers_are_origins_in_the_order_of_the_list() -> None:
    servers = load(BITRIX24_AUTH_SERVERS="https://second.example/, https://FIRST.example")

    assert servers.bitrix24_auth_servers == ("https://second.example", "https://first.example")


@pytest.mark.parametrize("spelled", ["https://oauth.example:443", "https://oauth.example:443/"])
def test_a_default_port_is_removed(spelled: str) -> None:
    # Bitrix24 names its servers without a port, so they must match.
    assert load(BITRIX24_AUTH_SERVERS=spelled).bitrix24_auth_servers == ("https://oauth.example",)


@pytest.mark.parametrize(
    "key",
    [
        secrets.token_hex(16),
        secrets.token_urlsafe(24),
        base64.b64encode(secrets.token_bytes(32)).decode(),
        "".join(secrets.choice(string.digits) for _ in range(32)),
        "Grüße-vom-großen-Zürichsee-9×täglich",
    ],
    ids=["hexadecimal", "url-safe", "base64", "digits", "words"],
)
def test_a_token_key_may_be_any_long_random_text(key: str) -> None:
    assert [one.get_secret_value() for one in load(TOKEN_KEYS=f"{key},{FIRST_KEY}").token_keys] == [key, FIRST_KEY]


# Databases


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_postgres_scheme_means_psycopg_3(scheme: str) -> None:
    url = load(DATABASE_URL=f"{scheme}://anna:p%40ss@db.example:5432/dashboard?sslmode=require").database_url

    assert url.get_secret_value() == ("postgresql+psycopg://anna:p%40ss@db.example:5432/dashboard?sslmode=require")


@pytest.mark.parametrize("name", ["QUEUE_URL", "QUEUE_URL_FILE"])
def test_a_variable_of_the_previous_version_is_accepted_and_reported(name: str) -> None:
    value = "amqp://someone:a-password@queue.example"

    assert not hasattr(load(**{name: value}), "queue_url")
    assert config.ignored_variables({name: value}) == (name,)
    assert config.ignored_variables(PRODUCTION | {name: ""}) == ()


# Files


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "a-key-from-a-file"),
        ("TOKEN_KEYS", f"{SECOND_KEY},{FIRST_KEY}"),
        ("BITRIX24_CLIENT_SECRET", "a-secret-from-a-file"),
        ("DATABASE_URL", "sqlite:///elsewhere.db"),
        ("METRICS_TOKEN", "a-token-from-a-file"),
    ],
)
def test_a_secret_is_read_from_a_file(tmp_path: Path, name: str, value: str) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{value}\n", encoding="utf-8")
    without = {key: PRODUCTION[key] for key in PRODUCTION if key != name}

    assert config.load(without | {f"{name}_FILE": str(file)}) == load(**{name: value})


@pytest.mark.parametrize("name", ["SECRET_KEY", "TOKEN_KEYS", "BITRIX24_CLIENT_SECRET", "DATABASE_URL"])
def test_an_unreadable_file_is_an_error(tmp_path: Path, name: str) -> None:
    garbled = tmp_path / "garbled"
    garbled.write_bytes(b"\xff\xfe secret")

    for path in (tmp_path / "nothing-here", tmp_path, garbled):
        assert error_line(PRODUCTION | {f"{name}_FILE": str(path)}).startswith(f"{name}_FILE: ")


def test_an_empty_file_is_a_missing_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n", encoding="utf-8")

    for name in ("SECRET_KEY", "TOKEN_KEYS", "BITRIX24_CLIENT_SECRET"):
        without = {key: PRODUCTION[key] for key in PRODUCTION if key != name}
        line = error_line(without | {f"{name}_FILE": str(tmp_path / "empty")})
        assert line == f"{name}: must be set"


# Errors


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_variable_is_an_error(name: str) -> None:
    without = {key: PRODUCTION[key] for key in PRODUCTION if key != name}

    assert error_line(without) == f"{name}: must be set"
    assert error_line(without | {name: ""}) == f"{name}: must be set"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://db.example/dashboard"),
        ("DATABASE_URL", "var/dashboard.db"),
        ("DATABASE_URL", "postgresql+psycopg2://db.example/dashboard"),
        ("DATABASE_URL", "postgresql://anna:secret@db.example:port/dashboard"),
        ("METRICS_TOKEN", "too short"),
        ("METRICS_PORT", "65536"),
        ("METRICS_PORT", "9101"),  # without a token
        ("VENDOR_EMAIL", "nobody"),
        ("VENDOR_EMAIL", 'a@b.example" onclick="c'),
        ("VENDOR_NAME", "x" * 121),
        ("WORKER_THREADS", "0"),
        ("TRUSTED_PROXIES", "-1"),
        ("SECRET_KEY", "too short"),
        ("SECRET_KEY", "a-long-enough-signing-key,short"),
        ("SECRET_KEY", ","),
        ("TOKEN_KEYS", "too-short-a-text-for-a-key-42x7"),  # 31 characters
        ("TOKEN_KEYS", "kJ9 vQ2m Zt7x Lp4w Rb8n Yc3d Hf6s"),
        ("TOKEN_KEYS", "0123456789abcdefghijklmnopqrstuvwxyz"),
        ("TOKEN_KEYS", "1Qz9" * 8),
        ("TOKEN_KEYS", "kJ9vQ2mZt7xLp4wR" * 2),
        ("TOKEN_KEYS", "please-CHANGE-me-before-you-start-7Q"),
        ("TOKEN_KEYS", f"{FIRST_KEY},{FIRST_KEY[:-4]}"),
        ("TOKEN_KEYS", "ключ"),
        ("TOKEN_KEYS", f'"{RANDOM_KEY}"'),
        ("TOKEN_KEYS", f"b'{RANDOM_KEY}'"),
        ("TOKEN_KEYS", f"TOKEN_KEYS={RANDOM_KEY}"),
        ("TOKEN_KEYS", f"{RANDOM_KEY};{RANDOM_KEY}"),
        ("TOKEN_KEYS", f"\ufeff{RANDOM_KEY}"),
        # A list with line ends: the second key would be ignored.
        ("TOKEN_KEYS", f"{FIRST_KEY}\n{SECOND_KEY}"),
        ("TOKEN_KEYS", " , "),
        ("BITRIX24_CLIENT_ID", "  "),
        ("BITRIX24_CLIENT_SECRET", "  "),
        ("BITRIX24_AUTH_SERVERS", ","),
        ("BITRIX24_AUTH_SERVERS", "oauth.bitrix.info"),
        ("BITRIX24_AUTH_SERVERS", "https://oauth.bitrix.info,http://oauth.bitrix24.tech"),
        ("BITRIX24_AUTH_SERVERS", "https://oauth.bitrix.info/oauth/token/"),
        ("BITRIX24_AUTH_SERVERS", "https://anna:secret@oauth.bitrix.info"),
        ("PUBLIC_URL", "dashboard.example"),
        ("PUBLIC_URL", "ftp://dashboard.example"),
        ("PUBLIC_URL", "http://dashboard.example"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://dashboard.example/app"),
        ("PUBLIC_URL", "https://dashboard.example?a=b"),
        ("PUBLIC_URL", "https://[dashboard"),
        ("PUBLIC_URL", "https://dashboard.example:port"),
        ("PUBLIC_URL", "https://dashboard.example:99999"),
        ("PUBLIC_URL", "https://dash board.example"),
        ("BX24_JS_URL", "http://api.bitrix24.com/api/v1/"),
        ("BX24_JS_URL", "//api.bitrix24.com/api/v1/"),
        ("BX24_JS_URL", "https://[api"),
        ("TRUST_LOOPBACK", "maybe"),
        ("ALLOW_PRIVATE_PORTALS", "2"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_THREADS", "many"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_bad_value_is_an_error(name: str, value: str) -> None:
    assert error_line(PRODUCTION | {name: value}).startswith(f"{name}: ")


def test_all_wrong_variables_are_named_at_once(tmp_path: Path) -> None:
    wrong = {
        "BITRIX24_CLIENT_ID": "",
        "PUBLIC_URL": "http://dashboard.example",
        "TOKEN_KEYS_FILE": str(tmp_path / "nothing-here"),
        "DATABASE_URL": "mysql://db.example/dashboard",
        "BX24_JS_URL": "http://api.bitrix24.com/api/v1/",
        "METRICS_TOKEN": "too short",
        "METRICS_PORT": "9101",
        "LOG_LEVEL": "loud",
    }

    with pytest.raises(ConfigError) as caught:
        config.load({name: value for name, value in (PRODUCTION | wrong).items() if name != "TOKEN_KEYS"})

    named = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert sorted(named) == sorted(wrong.keys() - {"METRICS_PORT"})


def test_trust_loopback_is_refused_with_an_https_address() -> None:
    assert error_line(PRODUCTION | {"TRUST_LOOPBACK": "1"}).startswith("TRUST_LOOPBACK: ")


def test_http_is_accepted_only_in_development() -> None:
    servers = {"BITRIX24_AUTH_SERVERS": "http://127.0.0.1:9000"}

    settings = config.load(DEVELOPMENT | servers)

    assert settings.bitrix24_auth_servers == ("http://127.0.0.1:9000",)
    assert error_line(DEVELOPMENT | {"TRUST_LOOPBACK": ""}).startswith("PUBLIC_URL: ")
    assert error_line(PRODUCTION | servers).startswith("BITRIX24_AUTH_SERVERS: ")


# Secrets


def test_no_secret_is_in_the_repr() -> None:
    settings = load(**SECRETS)

    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert [secret for secret in HIDDEN if secret in text] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"SECRET_KEY": "nobody-sees,a-signing-key-nobody-sees"},
        {"TOKEN_KEYS": f"{SECOND_KEY},nobody-sees"},
        {"TOKEN_KEYS": f"{SECOND_KEY}\nnobody-sees"},
        {"DATABASE_URL": "mysql://someone:a-password-nobody-sees@db.example/dashboard"},
        {"DATABASE_URL": "postgresql://someone:a-password-nobody-sees@db.example:port/dashboard"},
        {"METRICS_TOKEN": "nobody-sees"},
        {"PORT": "a-password-nobody-sees"},
        {"PUBLIC_URL": "https://someone:a-password-nobody-sees@dashboard.example"},
    ],
)
def test_no_secret_is_in_an_error(broken: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**(SECRETS | broken))

    text = "".join(traceback.format_exception(caught.value)) + messages_of(caught.value)
    assert "nobody-sees" not in text
    assert [secret for secret in HIDDEN if secret in text] == []


def messages_of(error: BaseException | None) -> str:
    """Return the texts of an exception and of those it hides from the traceback."""
    return f"{error} {error!r}\n{messages_of(error.__cause__ or error.__context__)}" if error else ""


# The start of a process


def start(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from app import create_app; create_app()"],
        cwd=Path(__file__).parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def test_a_process_without_a_variable_ends_with_one_line() -> None:
    process = start({name: PRODUCTION[name] for name in PRODUCTION if name != "TOKEN_KEYS"})

    # systemd's units do not restart a process that ends with this code.
    assert process.returncode == os.EX_CONFIG == 78
    assert (process.stderr, process.stdout) == ("TOKEN_KEYS: must be set\n", "")


def test_a_port_that_is_taken_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for name, value in (DEVELOPMENT | {"PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": ""}).items():
            monkeypatch.setenv(name, value)
        gunicorn = runpy.run_path("gunicorn.conf.py")

        with pytest.raises(SystemExit, match=rf"^PORT: {port} cannot be used \(Address already in use\)$"):
            gunicorn["on_starting"](None)


def test_a_complete_configuration_starts_and_creates_no_database(tmp_path: Path) -> None:
    process = start(PRODUCTION | {"DATABASE_URL": f"sqlite:///{tmp_path / 'mistyped' / 'dashboard.db'}"})

    assert (process.returncode, process.stderr) == (0, "")
    assert not list(tmp_path.iterdir())
