"""Static files: addresses, caching, compression, bundles."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from dashboard.web.http.static_files import ROOT, StaticFiles
from tests.world import World

ADDRESS = re.compile(r'(?:href|src)="(/static/[^"]+)"')
GZIP = {"Accept-Encoding": "gzip, br"}


def addresses(page: TestResponse) -> list[str]:
    return ADDRESS.findall(page.text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "css/tokens.css": "1",
        "css/base.css": "2",
        "css/layout.css": "3",
        "css/components/b.css": "5",
        "css/components/a.css": "4",
        "css/pages/me.css": "6",
        "js/app.js": 'import { a } from "./app/a.js";\nexport { b } from "./app/b.js";\na(b);\n',
        "js/app/a.js": 'import { b } from "./b.js";\nexport const a = () => import("../team.js");\n',
        "js/app/b.js": "export const b = 7;\n",
        "js/team.js": 'import { c } from "./team/c.js";\n',
        "js/team/c.js": 'import * as page from "../app.js";\nexport const c = page.b;\n',
        "js/team/d.js": 'import * as page from "../app.js";\nexport const d = page.a;\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_first_page_needs_one_stylesheet_and_two_scripts(world: World) -> None:
    names = [address.rpartition("/")[2] for address in addresses(world.open("anna"))]

    assert names == ["before_paint.js", "app.css", "app.js"]


def test_the_first_page_needs_no_style_of_later_pages(world: World) -> None:
    session = world.session("anna")
    world.browser.post("/me/settings", headers=session, data={"view": "day"})
    pages = [world.browser.get(path, headers=session).text for path in ("/me", "/me/history")]
    pages.append(world.open("boris").text)
    files = StaticFiles()
    first, later = (set(re.findall(rb"\.([a-z][\w-]+)", files.find(name).plain)) for name in ("app.css", "pages.css"))  # type: ignore[union-attr]

    used = {name.encode() for page in pages for names in re.findall(r'class="([^"]*)"', page) for name in names.split()}

    assert used & (later - first) == set()


def test_files_are_cached_forever(world: World) -> None:
    for address in addresses(world.open("anna")):
        response = world.browser.get(address)

        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert response.headers["Vary"] == "Accept-Encoding"
        assert response.mimetype in ("text/css", "text/javascript")


def test_files_are_compressed_if_the_browser_accepts_it(world: World) -> None:
    for address in addresses(world.open("anna")):
        plain, packed = world.browser.get(address), world.browser.get(address, headers=GZIP)

        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data


def test_the_first_page_stays_within_its_budget(world: World) -> None:
    page = world.open("anna")
    files = [world.browser.get(address, headers=GZIP).data for address in addresses(page)]

    # With the page itself and the portal's own library.
    assert len(files) + 2 <= 5
    assert len(gzip.compress(page.data)) + sum(map(len, files)) < 25_000


def test_an_address_of_another_version_is_served_uncached(world: World) -> None:
    digest = addresses(world.open("anna"))[0].split("/")[2]
    response = world.browser.get("/static/0123456789ab/app.css")

    assert digest != "0123456789ab"
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "name",
    ["css/tokens.css", "js/gone.js", "js/app/router.js", "js/../css/base.css", "../app.py", "app.css/"],
)
def test_other_addresses_are_not_found(world: World, name: str) -> None:
    digest = addresses(world.open("anna"))[0].split("/")[2]

    assert world.browser.get(f"/static/{digest}/{name}").status_code == 404


def test_styles_are_joined_in_layer_order(folder: Path) -> None:
    (folder / "css/pages/team.css").write_text("7")
    files = StaticFiles(folder)

    assert [files.find(name).plain for name in ("app.css", "pages.css")] == [b"123456", b"7"]  # type: ignore[union-attr]


def test_a_script_is_bundled_with_its_modules(folder: Path) -> None:
    app, team = (StaticFiles(folder).find(f"js/{name}.js") for name in ("app", "team"))

    assert app
    assert team
    assert app.plain == b'export const a = () => import("./team.js");\nexport const b = 7;\na(b);\n'
    assert team.plain == (b'import * as page from "./app.js";\nexport const c = page.b;\nexport const d = page.a;\n')
    assert StaticFiles(folder).find("js/app/a.js") is None


@pytest.mark.parametrize("name", ["app", "before_paint", "plan", "team"])
def test_modules_of_a_script_share_no_top_level_name(name: str) -> None:
    file = StaticFiles().find(f"js/{name}.js")

    assert file
    names = re.findall(rb"(?m)^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", file.plain)
    assert sorted(names) == sorted(set(names))


def test_imported_names_are_exported() -> None:
    for path in (ROOT / "js").rglob("*.js"):
        for names, source in re.findall(r'(?:import|export) \{ (.+) \} from "(.+)";', path.read_text()):
            exporting = (path.parent / source).read_text()
            for name in names.split(", "):
                assert re.search(rf"export .*\b{name}\b", exporting), f"{path} imports {name} from {source}"


def test_a_change_of_any_file_changes_every_address(folder: Path) -> None:
    before = StaticFiles(folder).url("js/app.js")
    (folder / "js/app/a.js").write_text("8")

    assert StaticFiles(folder).url("js/app.js") != before


def test_only_watched_files_are_read_again(folder: Path) -> None:
    unwatched, watched = StaticFiles(folder), StaticFiles(folder, watch=True)
    (folder / "css/layout.css").write_text("38")

    assert [files.find("app.css").plain for files in (unwatched, watched)] == [b"123456", b"1238456"]  # type: ignore[union-attr]


def test_an_unknown_file_fails_in_a_template(folder: Path) -> None:
    with pytest.raises(KeyError):
        StaticFiles(folder).url("js/gone.js")


def test_only_tokens_css_names_colors() -> None:
    literal = re.compile(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch|lab|color-mix)a?\(", re.IGNORECASE)
    for path in (ROOT / "css").rglob("*.css"):
        rules = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert path.name == "tokens.css" or not literal.search(rules), path
        assert "!important" not in rules, path
        assert not re.search(r"(?m)^\s*#", rules), f"{path} styles an id"


def test_comments_and_indentation_are_not_served(folder: Path) -> None:
    (folder / "css/base.css").write_text("/* Why\n   it is so. */\n\n.a {\n  color: red; /* why */\n}\n")
    (folder / "js/app/b.js").write_text('// Why.\n\nexport const b = "https://b";\n\n  // Why.\n  b();\n')

    files = StaticFiles(folder)

    style, script = files.find("app.css"), files.find("js/app.js")
    assert style
    assert script
    assert style.plain == b"1\n.a {\ncolor: red;\n}\n3456"
    assert b'export const b = "https://b";\n  b();\n' in script.plain
    assert b"Why" not in script.plain
