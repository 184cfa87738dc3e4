"""The documents tell the truth: links lead somewhere, commands exist, tables are the code's own."""

import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from app import create_app
from dashboard.commands.config import update_document
from dashboard.core import config
from dashboard.core.config import Config
from dashboard.core.version import VERSION
from tests.test_config import PRODUCTION

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
DEPLOY = ROOT / "docs" / "deploy"
OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
MARKET = (ROOT / "docs" / "market.md").read_text(encoding="utf-8")

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture(scope="module")
def application() -> Flask:
    """Give an application that is asked for nothing but its commands."""
    return create_app(config.load(PRODUCTION | {"DATABASE_URL": "sqlite://"}))


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """Return what a link into a document may name, as GitHub spells it."""
    titles = re.findall(r"^#+ (.+)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_document
def test_paths_in_code_exist(document: Path) -> None:
    named = re.findall(r"`((?:dashboard|templates|tests|docs|static|migrations)/[^`\s:<>]*)", text_of(document))

    for path in named:
        assert (ROOT / path).exists(), path


@every_document
def test_tests_that_are_named_exist(document: Path) -> None:
    for file, test in re.findall(r"(tests/test_\w+\.py)::(test_\w+)", text_of(document)):
        assert re.search(rf"^def {test}\(", text_of(ROOT / file), re.MULTILINE), f"{file}::{test}"


@every_document
def test_commands_exist(document: Path, application: Flask) -> None:
    for words in commands_in(text_of(document)):
        result: click.Command = application.cli
        for word in words.split():
            if not isinstance(result, click.Group):
                break
            # What comes after a group's name is one of its commands.
            assert word in result.commands, f"flask --app app {words}"
            result = result.commands[word]


def commands_in(text: str) -> Iterator[str]:
    """Yield what follows `flask --app app`, up to the first argument or option."""
    yield from re.findall(r"flask --app app ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", text)
    yield from re.findall(r"^calendar-dashboard ([a-z]+ ?[a-z]*)$", text, re.MULTILINE)


@every_document
def test_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.MULTILINE))

    spans = re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", text_of(document), re.MULTILINE)
    assert {one or other for one, other in spans} <= targets


def test_the_operators_table_lists_every_command(application: Flask) -> None:
    names = set(re.findall(r"`([a-z][a-z-]*(?: [a-z][a-z-]*)?)", OPERATE.partition("## Commands")[2]))

    ours = {name: one for name, one in application.cli.commands.items() if name not in ("run", "shell", "routes")}
    for name, command in ours.items():
        subcommands = command.commands if isinstance(command, click.Group) else {"": command}
        for subcommand in subcommands:
            assert f"{name} {subcommand}".strip() in names


# Events that the code names by something else than a text.
NAMED_EVENTS = {
    "PortalFull.CODE": {"portal_full"},
    "error.code": {"too_many_failed_proofs", "too_many_openings"},
    "log_event": set[str](),  # the parameter of `_log_failure`
}


def test_every_event_of_the_log_is_described() -> None:
    sources = "".join(map(text_of, [ROOT / "app.py", *(ROOT / "dashboard").rglob("*.py")]))
    logged = re.findall(r"\b(?:log\.(?:debug|info|warning|error)|_log_failure)[(,]\s*([^\s,:)]+)", sources)
    events = set[str]().union(*({one.strip('"')} if '"' in one else NAMED_EVENTS[one] for one in logged))

    table = OPERATE.partition("### Events of the log")[2].partition("\n#")[0]
    described = {
        name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall("`(.+?)`", row)
    }
    assert described == events


def test_every_metric_is_described() -> None:
    sources = "".join(map(text_of, (ROOT / "dashboard" / "monitoring").glob("*.py")))
    metrics = re.findall(r'\b_(gauge|counter|histogram)\(\s*"(\w+)"', sources)

    table = OPERATE.partition("### Metrics")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    described = {name for row in rows for name in re.findall("`dashboard_(.+?)`", row)}
    assert described == {name + "_total" * (kind == "counter") for kind, name in metrics}


def test_the_table_of_variables_is_the_codes_own() -> None:
    assert update_document(OPERATE) == OPERATE, "`make documents` writes it anew"


def test_the_template_names_every_variable() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z0-9_]+)=", text_of(ROOT / ".env.example"), re.MULTILINE))

    assert named == {name.upper() for name in Config.model_fields}


def test_the_template_is_a_configuration_once_filled_in() -> None:
    lines = re.findall(r"^([A-Z0-9_]+)=(.*)$", text_of(ROOT / ".env.example"), re.MULTILINE)

    assert config.load(dict(lines) | PRODUCTION).log_format == "json"


def test_there_is_one_version() -> None:
    assert f'version = "{VERSION}"' in text_of(ROOT / "pyproject.toml")


# The Market's card


def field(name: str) -> str:
    result = re.search(rf"^\| {name} \| (.+) \|$", MARKET, re.MULTILINE)
    assert result, name
    return result[1]


def test_the_card_keeps_the_markets_limits() -> None:
    assert len(field("Categories").split(";")) <= 5
    assert len(field("Tags").split(",")) <= 5
    assert len(field("Keywords")) <= 2000
    assert "bitrix24" not in field("Keywords").lower()
    (short,) = re.findall(r"\*\*Short description\*\*\n\n> (.+)\n", MARKET)
    assert short.count(". ") <= 1
    assert "calendar settings" not in short.lower()
    assert "Bitrix24 Market" in MARKET
    (slogan,) = re.findall(r"\*\*Marketing slogan\*\*\n\n> (.+)\n", MARKET)
    assert slogan.count(". ") <= 1


def test_the_cards_name_is_that_of_the_license_agreement() -> None:
    assert f"**Name** · {Config.model_fields['app_name'].default} (" in MARKET


def test_the_pictures_are_small_enough_for_the_card() -> None:
    for picture in (ROOT / "docs" / "pictures").glob("*.png"):
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
        assert (width <= 1280, height <= 720) == (True, True), picture.name


# Deployment


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("calendar-dashboard*.s*")), ids=lambda path: path.name)
def test_units_are_what_systemd_reads(unit: Path, tmp_path: Path) -> None:
    section = ""
    for line in filter(None, text_of(unit).splitlines()):
        assert re.fullmatch(r"#.*|\[(Unit|Service|Socket|Timer|Install)\]|[A-Z]\w+=.*", line), line
        section = line if line.startswith("[") else section
    assert section == "[Install]" or "Type=oneshot" in text_of(unit)  # which its timer starts
    if (analyze := shutil.which("systemd-analyze")) is None:
        return
    # The programs they start are not where they will be; everything else is judged.
    there = re.sub(r"(?<=ExecStart=)\S+", sys.executable, text_of(unit))
    for other in DEPLOY.glob("calendar-dashboard*.s*"):
        (tmp_path / other.name).write_text(there if other == unit else text_of(other))
    judged = subprocess.run([analyze, "verify", str(tmp_path / unit.name)], capture_output=True, text=True)
    complaints = [line for line in judged.stderr.splitlines() if unit.name in line]
    assert not complaints


def test_the_processes_are_those_of_the_procfile() -> None:
    units = "".join(map(text_of, DEPLOY.glob("*.service")))
    started = re.findall(r"^ExecStart=\S+/bin/(.+)$", units, re.MULTILINE)
    named = dict(line.split(": ") for line in text_of(ROOT / "Procfile").splitlines())

    assert set(started) == {named["web"].replace('"', ""), named["worker"]}


def test_the_proxies_pass_on_to_where_the_socket_listens() -> None:
    (address,) = re.findall(r"^ListenStream=(.+)$", text_of(DEPLOY / "calendar-dashboard.socket"), re.MULTILINE)

    assert f"proxy_pass http://{address};" in text_of(DEPLOY / "nginx.conf")
    assert f"reverse_proxy {{$UPSTREAM:{address}}}" in text_of(DEPLOY / "Caddyfile")
    assert text_of(DEPLOY / "nginx.conf").count("{") == text_of(DEPLOY / "nginx.conf").count("}")


def test_the_proxies_log_no_query_string_and_no_address() -> None:
    (log_format,) = re.findall(r"^log_format \w+ (.+?);$", text_of(DEPLOY / "nginx.conf"), re.MULTILINE | re.DOTALL)
    variables = set(re.findall(r"\$(\w+)", log_format))
    assert not variables & {"remote_addr", "http_x_forwarded_for", "request", "request_uri", "args", "http_referer"}
    # Lines of other levels quote the request.
    assert re.findall(r"^ *error_log \S+ (\w+);$", text_of(DEPLOY / "nginx.conf"), re.MULTILINE) == ["emerg"]

    fields = re.findall(r"^\t*request>(\S+) (\S+)", text_of(DEPLOY / "Caddyfile"), re.MULTILINE)
    assert set(fields) >= {("remote_ip", "delete"), ("client_ip", "delete"), ("headers", "delete"), ("uri", "regexp")}


# What production installs


def test_every_file_production_may_install_is_known_by_its_hash() -> None:
    text = text_of(ROOT / "requirements.txt").replace("\\\n", "")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]

    assert len(lines) > 20
    for pin, *hashes in lines:
        assert re.fullmatch(r"[\w.\-]+==[\w.]+", pin)
        assert hashes, f"{pin} has no hash; `make pins` looks them up"
        assert not [one for one in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one)]
    # A wheel of a compiled package for each kind of machine that may serve.
    assert min(len(line) for line in lines if line[0].startswith(("psycopg-binary", "cryptography"))) > 20
    assert "--require-hashes" in text_of(ROOT / "Makefile")


def test_the_bill_of_materials_names_every_package() -> None:
    printed = subprocess.run([sys.executable, ".ci/sbom.py"], cwd=ROOT, capture_output=True, text=True, check=True)

    bill = json.loads(printed.stdout)
    pins = re.findall(r"^([\w.\-]+)==", text_of(ROOT / "requirements.txt"), re.MULTILINE)
    assert bill["bomFormat"] == "CycloneDX"
    assert {one["name"] for one in bill["components"]} == {re.sub(r"[-_.]+", "-", name).lower() for name in pins}
    assert all(one["purl"].endswith(one["version"]) for one in bill["components"])


def test_every_test_named_exists() -> None:
    promised = set(re.findall(r"`((?:test_|Test)\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8")))
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    present = set(re.findall(r"^(?:def |class )?((?:test_|Test)\w+)\b", sources, re.MULTILINE))

    assert len(promised) > 60
    assert promised - present == set()
