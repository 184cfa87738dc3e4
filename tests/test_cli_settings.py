"""`settings show`: a portal's settings in the terminal, by a webhook whose address is never printed."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import Result

from tests.emulator import Emulator, Fault
from tests.world import World


def show(world: World, *options: str, typed: str | None = None) -> Result:
    return world.app.test_cli_runner().invoke(args=["settings", "show", *options], input=typed)


def webhook(world: World, person: str = "anna") -> str:
    return world.portal().webhook_of(person, "calendar")


def test_it_prints_what_my_settings_shows(world: World) -> None:
    result = show(world, typed=f"{webhook(world)}\n")

    assert result.exit_code == 0, result.output
    assert "View: Week" in result.output
    assert "Working hours: 09:00 – 18:00 (Custom)" in result.output
    assert "Time zone: Europe/Moscow" in result.output
    assert "Timed events: 15 minutes before, 1 hour before" in result.output
    assert "Days off in this portal: Saturday and Sunday" in result.output


@pytest.mark.parametrize("person", ["olena", "marcus", "kenji", "mere", "amina", "otto"])
def test_every_response_format_is_printed(world: World, person: str) -> None:
    result = show(world, "--file", "-", typed=f"{webhook(world, person)}\n")

    assert result.exit_code == 0, result.output
    assert "Reminders" in result.output


def test_the_address_is_read_from_a_file_as_the_portal_displays_it(world: World, tmp_path: Path) -> None:
    file = tmp_path / "webhook"
    file.write_text(f"{webhook(world)}profile.json\n")

    assert "View: Week" in show(world, "--file", str(file)).output


def test_the_address_is_never_printed(world: World) -> None:
    address = webhook(world)
    secret = address.rstrip("/").rpartition("/")[2]

    printed = show(world, typed=f"{address}\n").output
    world.bitrix24.faults.add(Fault("error:INVALID_CREDENTIALS", where="portal"))
    refused = show(world, typed=f"{address}\n").output
    malformed = show(world, typed=f"ftp://{secret}\n").output

    assert "INVALID_CREDENTIALS" in refused
    assert secret not in printed + refused + malformed
    assert world.rows("SELECT * FROM api_calls WHERE method = 'calendar.user.settings.get'") == []


@pytest.mark.parametrize(
    "address", ["", "https://a.example/", "https://a.example/rest/1/", "http://a.example:x/rest/1/secret/"]
)
def test_an_address_that_is_no_webhook_is_refused_without_a_request(world: World, address: str) -> None:
    before = len(world.bitrix24.requests)

    result = show(world, "--file", "-", typed=f"{address}\n")

    assert result.exit_code == 1
    assert "must look like" in result.output
    assert len(world.bitrix24.requests) == before


def test_a_webhook_without_the_calendar_right(world: World) -> None:
    result = show(world, typed=world.portal().webhook_of("anna", "user_brief") + "\n")

    assert result.exit_code == 1
    assert "insufficient_scope" in result.output
    assert "`calendar`" in result.output


def test_a_portal_too_old_for_the_method(bitrix24: Emulator, world: World) -> None:
    bitrix24.world.strictness.missing_methods = frozenset({"calendar.user.settings.get"})

    result = show(world, typed=f"{webhook(world)}\n")

    assert result.exit_code == 1
    assert "too old" in result.output


def test_the_portals_settings_may_be_missing(bitrix24: Emulator, world: World) -> None:
    bitrix24.world.strictness.missing_methods = frozenset({"calendar.settings.get"})

    result = show(world, typed=f"{webhook(world)}\n")

    assert result.exit_code == 0
    assert "calendar.settings.get was refused: ERROR_METHOD_NOT_FOUND" in result.output


def test_json_contains_what_the_portal_sent(world: World) -> None:
    result = show(world, "--json", "--file", "-", typed=f"{webhook(world)}\n")

    assert json.loads(result.output)["settings"] == world.portal().people["anna"].settings


def test_control_characters_are_escaped(world: World) -> None:
    world.portal().people["anna"].settings["newKey"] = "\x1b[2J\x07 and more"

    result = show(world, "--file", "-", typed=f"{webhook(world)}\n")

    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "and more" in result.output


HOSTILE = "\x1b[2Jwe\x9b31mek\u202egnp\u2066\u200b\u2028\U000e0041\n  Time zone: forged"
OBEYED = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")


def obeyed(text: str) -> list[str]:
    """Return the characters that a terminal would obey or hide, except line ends."""
    return [mark for mark in text if mark != "\n" and unicodedata.category(mark) in OBEYED]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_text_of_a_portal_is_escaped_for_the_terminal(world: World, options: tuple[str, ...]) -> None:
    anna = world.portal().people["anna"]
    anna.settings |= {"view": HOSTILE, "timezoneName": HOSTILE, f"key {HOSTILE}": HOSTILE}

    result = show(world, *options, "--file", "-", typed=webhook(world))
    world.bitrix24.faults.add(Fault(f"body:{json.dumps({'error': HOSTILE})}", where="portal"))
    refused = show(world, "--file", "-", typed=webhook(world))

    assert result.exit_code == 0
    assert obeyed(result.output) == obeyed(refused.output) == []
    assert "\\u009b" in result.output
    if options:
        assert json.loads(result.output)["settings"]["view"] == HOSTILE
    else:
        assert "\n  Time zone: forged" not in result.output


def test_the_log_is_escaped_for_the_terminal() -> None:
    program = (
        "import structlog; from dashboard.core import logging_setup; "
        "logging_setup.configure(level='info', style='console');"
    )
    program += f"structlog.get_logger().info('x', code={HOSTILE!r})"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "\\u009b" in printed.stderr
    assert obeyed(printed.stderr) == []
