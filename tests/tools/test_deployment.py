"""The image, the compose file and the platforms' files start what the Procfile starts, with variables that exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboard.core import config
from dashboard.core.config import FILE_VARIABLES, Config
from dashboard.core.version import VERSION
from tests.test_config import PRODUCTION

ROOT = Path(__file__).parents[2]
VARIABLES = {name.upper() for name in Config.model_fields}
PROCESSES = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text(encoding="utf-8").splitlines())
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OUR_SERVICES = ("keys", "release", "web", "worker")
APP_JSON: dict[str, Any] = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))
RENDER: dict[str, Any] = yaml.safe_load((ROOT / "render.yaml").read_text(encoding="utf-8"))
# As the platforms generate them: Heroku's is hexadecimal, Render's base64 of 32 bytes.
GENERATED = "9c1185a5c5e9fc54612808977ee8f548b2258d31"


def required_variables(given: set[str]) -> set[str]:
    """Return the required variables that are not given."""
    return {name for name in PRODUCTION if name not in given and f"{name}_FILE" not in given}


# The image


def test_the_image_contains_what_production_runs_and_nothing_else() -> None:
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines().count("*") == 1
    assert {"app.py", "gunicorn.conf.py", "dashboard", "migrations", "static", "templates", "translations"} < {*allowed}
    assert SERVICES["keys"]["command"].split()[1] in allowed
    assert {*allowed}.isdisjoint({"tests", "bench", "var", ".env", ".git", ".venv"})
    assert all((ROOT / path).exists() for path in allowed)


def test_the_image_installs_pinned_files_and_runs_as_an_ordinary_user() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]

    assert len(stages) == 2
    assert "--require-hashes" in stages[0]
    assert "pip install" not in stages[1]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", stages[1], re.MULTILINE)
    assert "/readyz" in stages[1].partition("HEALTHCHECK")[2]
    assert f"ARG VERSION={VERSION}\n" in stages[1]
    command = json.loads(re.findall(r"^CMD (.+)$", stages[1], re.MULTILINE)[-1])
    assert command == PROCESSES["web"].replace('"', "").split()


# compose.yaml


@pytest.mark.parametrize("name", PROCESSES)
def test_compose_starts_the_processes_of_the_procfile(name: str) -> None:
    assert SERVICES[name]["command"] == PROCESSES[name]
    assert SERVICES[name]["init"] is SERVICES[name]["read_only"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_compose_starts_in_order() -> None:
    done, healthy = {"condition": "service_completed_successfully"}, {"condition": "service_healthy"}

    assert SERVICES["db"]["depends_on"] == {"keys": done}
    assert SERVICES["release"]["depends_on"] == {"db": healthy}
    assert SERVICES["web"]["depends_on"] == SERVICES["worker"]["depends_on"] == {"release": done}
    assert SERVICES["keys"]["restart"] == SERVICES["release"]["restart"] == "no"
    assert SERVICES["db"]["healthcheck"]["test"][1] == "pg_isready"
    # gunicorn and the worker take up to 25 seconds to stop.
    assert SERVICES["web"]["stop_grace_period"] == SERVICES["worker"]["stop_grace_period"] == "35s"


@pytest.mark.parametrize("name", OUR_SERVICES)
def test_compose_sets_every_required_variable_and_only_known_ones(name: str) -> None:
    environment = SERVICES[name]["environment"]

    assert {*environment} <= VARIABLES | {f"{variable}_FILE" for variable in FILE_VARIABLES}
    assert required_variables({*environment}) == set()


def test_compose_starts_without_any_variable() -> None:
    interpolated = re.findall(r"\$\{(\w+)(:-[^}]*)?\}", (ROOT / "compose.yaml").read_text(encoding="utf-8"))

    assert {name for name, default in interpolated if not default} == set()
    assert {name for name, _ in interpolated} - VARIABLES == {"LISTEN"}
    defaults = {name: default.removeprefix(":-") for name, default in interpolated}
    assert config.load(PRODUCTION | {name: value for name, value in defaults.items() if name in VARIABLES})


def test_compose_publishes_only_the_web_process_and_the_proxy() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"web", "caddy"}
    assert SERVICES["caddy"]["profiles"] == ["https"]
    assert SERVICES["web"]["ports"] == ["${LISTEN:-127.0.0.1}:${PORT:-8000}:8000"]
    assert SERVICES["caddy"]["environment"]["UPSTREAM"] == "web:8000"


def test_every_file_and_volume_that_compose_mounts_exists() -> None:
    mounts = [volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"]]

    assert {mount for mount in mounts if not mount.startswith("./")} == {*COMPOSE["volumes"]}
    assert all((ROOT / mount).is_file() for mount in mounts if mount.startswith("./"))


class ComposeLoader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads the tags with which a compose file changes another one."""


ComposeLoader.add_constructor("!reset", lambda loader, node: None)
ComposeLoader.add_constructor("!override", lambda loader, node: loader.construct_mapping(node, deep=True))


def test_the_compose_file_of_sqlite_takes_postgres_out() -> None:
    text = (ROOT / "docs/deploy/compose.sqlite.yaml").read_text(encoding="utf-8")
    services: dict[str, Any] = yaml.load(text, ComposeLoader)["services"]

    assert services["db"] is None
    for name in PROCESSES:
        environment = SERVICES[name]["environment"] | services[name]["environment"]
        # An empty variable counts as absent, so that the other one is used.
        assert (environment["DATABASE_URL_FILE"], environment["DATABASE_URL"]) == ("", "sqlite:////data/dashboard.db")
    assert {*services["release"]["depends_on"]} == {"restore"}
    for name in ("restore", "litestream"):
        assert services[name]["user"] == re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[0]
        assert services[name]["environment"]["DATABASE_FILE"] == "/data/dashboard.db"


# Its secrets


def create_keys(folder: Path, **environment: str) -> dict[str, str]:
    """Run the step that creates the secrets, and return the content of every file."""
    for name in ("keys", "password"):
        (folder / name).mkdir(exist_ok=True)
    command = ["sh", str(ROOT / "docs/deploy/create-keys"), str(folder / "keys"), str(folder / "password")]
    subprocess.run(command, env={"PATH": os.environ["PATH"]} | environment, check=True, timeout=30)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in files} == {0}
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8").strip() for path in files}


def test_secrets_are_generated_once_and_yield_to_those_that_are_set(tmp_path: Path) -> None:
    generated = create_keys(tmp_path)
    ours = create_keys(tmp_path, SECRET_KEY="", TOKEN_KEYS=f"{GENERATED},{generated['keys/token_keys']}")

    assert ours == generated | {"keys/token_keys": f"{GENERATED},{generated['keys/token_keys']}"}
    assert create_keys(tmp_path) == generated
    assert len({generated[name] for name in ("keys/secret_key", "keys/token_keys", "password/password")}) == 3
    assert generated["password/password"] in generated["keys/database_url"]
    names = ("secret_key", "token_keys", "database_url")
    files = {f"{name.upper()}_FILE": str(tmp_path / "keys" / name) for name in names}
    without = {name: PRODUCTION[name] for name in PRODUCTION if name not in ("SECRET_KEY", "TOKEN_KEYS")}
    assert config.load(without | files).database_url.get_secret_value().endswith("@db/calendar")


# Platforms


def test_app_json_sets_or_asks_for_every_required_variable() -> None:
    environment = APP_JSON["env"]

    assert {*environment} <= VARIABLES
    assert required_variables({*environment}) == set()
    assert {*APP_JSON["formation"]} == {*PROCESSES} - {"release"}
    assert [name for name in environment if environment[name].get("generator") == "secret"] == [
        "SECRET_KEY",
        "TOKEN_KEYS",
    ]
    assert len(APP_JSON["name"]) <= 30
    assert len(APP_JSON["description"]) <= 140
    defaults = {name: field["value"] for name, field in environment.items() if "value" in field}
    assert config.load(PRODUCTION | defaults | {"SECRET_KEY": GENERATED, "TOKEN_KEYS": GENERATED}).trusted_proxies == 1


def test_the_blueprint_starts_the_processes_with_every_required_variable() -> None:
    groups = {group["name"]: {entry["key"]: entry for entry in group["envVars"]} for group in RENDER["envVarGroups"]}
    web, worker = RENDER["services"]

    assert (web["preDeployCommand"], web["startCommand"]) == (PROCESSES["release"], PROCESSES["web"])
    assert worker["startCommand"] == PROCESSES["worker"]
    for service in (web, worker):
        assert "--require-hashes" in service["buildCommand"]
        keys = {entry["key"] for entry in service["envVars"] if "key" in entry}
        for entry in service["envVars"]:
            keys |= {*groups.get(entry.get("fromGroup"), {})}
        assert keys - {"PYTHON_VERSION"} <= VARIABLES
        assert required_variables(keys) == set()
        assert "DATABASE_URL" in keys
    generated = [key for key, entry in groups["calendar-dashboard"].items() if entry.get("generateValue")]
    assert generated == ["SECRET_KEY", "TOKEN_KEYS"]
