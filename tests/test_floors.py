"""The house stands: imports point down only, and the walls to the vendor and to HTTP hold."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up. A floor is made of wings, a wing of steps (`<`). A module may import from the floors
# below its own and from the steps below its own in the same wing; nothing else of ours.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "core.json_values",
        "core.config_types < core.config",
        "core.database_errors core.postgres < core.database",
        *(
            "team.small_groups",
            "core.search_text",
            "core.single_flight",
            "core.process_memory",
            "core.stored_times",
            "tokens.store_retry",
            "core.version",
        ),
    ),
    (
        "models < portals.portal_lock",
        "core.encryption",
        "calendar.working_hours calendar.holidays calendar.time_zones < team.availability"
        " calendar.reminders < calendar.values < calendar.parser < calendar.encoding < team.settings_counts <"
        " team.insights",
        "bitrix24.errors bitrix24.masking bitrix24.leaky_bucket bitrix24.dns bitrix24.address_policy"
        " bitrix24.host_limit < bitrix24.schemas bitrix24.connections < bitrix24.transport"
        " < bitrix24.envelope < bitrix24.inbound bitrix24.http < bitrix24.client bitrix24.oauth"
        " bitrix24.webhook < bitrix24.users",
        "sync.schedule",
    ),
    (
        "portals.call_log_space portals.throttle < portals.rate_limits < portals.call_log sync.progress",
        *(
            "core.migrations",
            "tokens.store",
            "tokens.key_rotation",
            "portals.bindings",
            "people.indexed_columns",
            "people.connection_state < people.access",
            "portals.vacuum",
        ),
    ),
    (
        "monitoring.readiness < monitoring.gauges",
        "portals.personal_data < portals.installations core.database_copy monitoring.metrics",
        "team.statistics < team.statistics_cache team.listing",
        "portals.requirements",
        "portals.call_log_pages",
        "team.insight_queries",
    ),
    ("people.accounts", "tokens.refresh < launch.events < launch.event_spool"),
    ("people.snapshots", "people.directory", "sync.runs", "people.permission_checks"),
    ("sync.person_sync < sync.engine", "launch.openings"),
    ("sync.periodic_tasks",),
    ("sync.worker",),
    (
        "web.http.request_hooks web.presenters.team_query web.http.static_files"
        " web.presenters.charts web.presenters.day_chart web.http.security_headers"
        " web.i18n.translations"
        " web.views.health web.http.preload"
        " < web.auth.proof_throttle web.http.templating web.auth.sessions web.presenters.findings"
        " web.views.legal web.errors.notices"
        " web.presenters.reminder_timeline web.presenters.labels < web.errors.unreachable <"
        " web.errors.error_labels"
        " < web.errors.responses web.presenters.filters web.presenters.page_context"
        " web.presenters.run_history"
        " < web.presenters.setup_checklist web.errors.handlers web.presenters.team_row"
        " web.views.metrics web.presenters.run_status web.presenters.setting_display"
        " < web.views.my_settings"
        " web.auth.permissions web.views.styleguide < web.views.team"
        " < web.views.insight_people < web.views.admin web.views.admin_calls web.views.team_export"
        " web.views.admin_data web.views.hooks web.views.insights web.views.team_sync",
        "commands.found commands.output < commands.findings < commands.network_checks commands.portal_check"
        " < commands.config commands.db commands.doctor commands.log commands.people commands.portals"
        " commands.runs commands.settings commands.tokens commands.worker < commands.register",
        "core.logging_setup",
    ),
    ("app",),
)

# What of the outside only some of us may import: the module, or all modules under a name ending with a dot.
WALLS: dict[str, tuple[str, ...]] = {
    "flask": ("web.", "commands.", "app"),
    "werkzeug": ("web.",),
    "click": ("commands.",),
    "requests": ("bitrix24.transport", "bitrix24.connections"),
    "urllib3": ("bitrix24.transport", "bitrix24.connections"),
    "socket": ("bitrix24.connections", "bitrix24.dns"),
    "alembic": ("core.migrations",),
    "cryptography": ("core.encryption", "core.config_types"),
}
STORES = ("sqlalchemy", "alembic", "sqlite3", "psycopg")


def sources() -> dict[str, Path]:
    """Return our modules by their names without the package's; packages themselves are left out."""
    package = ROOT / "dashboard"
    inside = {path.relative_to(package): path for path in package.rglob("*.py") if path.stem != "__init__"}
    return {".".join(path.with_suffix("").parts): inside[path] for path in inside} | {"app": ROOT / "app.py"}


def names_imported(path: Path) -> set[str]:
    """Return every name a file imports absolutely, inside functions and under TYPE_CHECKING too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(imported: str) -> str | None:
    """Return which module of ours an imported name stands in, None for the outside world."""
    if imported == "app" or imported.startswith("app."):
        return "app"
    parts = imported.split(".")
    if parts[0] != "dashboard":
        return None
    candidates = (".".join(parts[1:length]) for length in range(len(parts), 1, -1))
    return next((name for name in candidates if name in SOURCES), imported)


SOURCES = sources()
IMPORTED = {name: names_imported(path) for name, path in SOURCES.items()}
GRAPH = {name: {module for one in IMPORTED[name] if (module := ours(one))} for name in SOURCES}
# Where a module stands: floor, wing, step.
PLACES = {
    module: (floor, wing, step)
    for floor, wings in enumerate(FLOORS)
    for wing, steps in enumerate(wings)
    for step, modules in enumerate(steps.split("<"))
    for module in modules.split()
}


def is_below(lower: str, upper: str) -> bool:
    (floor, wing, step), (own_floor, own_wing, own_step) = PLACES[lower], PLACES[upper]
    return floor < own_floor or (floor == own_floor and wing == own_wing and step < own_step)


def test_every_module_has_its_floor() -> None:
    homeless, gone = set(SOURCES) - set(PLACES), set(PLACES) - set(SOURCES)

    assert not homeless, f"give these modules a place in FLOORS of tests/test_floors.py: {sorted(homeless)}"
    assert not gone, f"FLOORS of tests/test_floors.py still names modules that are gone: {sorted(gone)}"


@pytest.mark.parametrize("module", sorted(set(SOURCES) & set(PLACES)))
def test_imports_point_down(module: str) -> None:
    upwards = {one for one in GRAPH[module] if one not in PLACES or not is_below(one, module)}

    assert not upwards, f"{module} imports what does not lie below it: {sorted(upwards)}"


def test_there_is_no_circle() -> None:
    TopologicalSorter(GRAPH).prepare()


def test_imports_say_the_whole_name() -> None:
    for path in SOURCES.values():
        # What begins with a dot would go unseen by the tests above.
        assert "\nfrom ." not in path.read_text(encoding="utf-8"), f"{path}: imports are absolute here"


def test_packages_are_empty() -> None:
    for package in (ROOT / "dashboard").rglob("__init__.py"):
        assert not names_imported(package), f"{package}: children would import their own parent"


@pytest.mark.parametrize(("outside", "allowed"), WALLS.items())
def test_a_library_stays_behind_its_wall(outside: str, allowed: tuple[str, ...]) -> None:
    users = {name for name, found in IMPORTED.items() if any(one.split(".")[0] == outside for one in found)}

    strangers = {name for name in users if not any(name == one or _under(one, name) for one in allowed)}
    assert not strangers, f"{outside} is for {allowed} alone, not for {sorted(strangers)}"


def _under(folder: str, module: str) -> bool:
    return folder.endswith(".") and module.startswith(folder)


def test_what_speaks_bitrix24_stores_nothing() -> None:
    for module in (name for name in SOURCES if name.startswith("bitrix24.")):
        foreign = {one for one in GRAPH[module] if one != "core.json_values" and not one.startswith("bitrix24.")}
        assert not foreign, f"{module} imports {sorted(foreign)}"
        stores = {one for one in IMPORTED[module] if one.split(".")[0] in STORES}
        assert not stores, f"{module} imports {sorted(stores)}"


def test_only_the_web_stands_on_the_web() -> None:
    users = {name for name, found in GRAPH.items() if any(one.startswith("web.") for one in found)}

    assert {name for name in users if not name.startswith("web.")} <= {"app"}


def test_nobody_imports_the_application() -> None:
    assert [name for name, found in GRAPH.items() if "app" in found] == []


def test_the_pretend_bitrix24_knows_nothing_of_us() -> None:
    for path in (ROOT / "tests" / "emulator").rglob("*.py"):
        found = {one for one in names_imported(path) if ours(one) is not None}
        assert not found, f"{path} imports {sorted(found)}"
