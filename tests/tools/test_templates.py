"""Each component has one partial and one stylesheet, and classes begin with the component's or page's name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboard.web.http.static_files import ROOT
from tests.tools.stylesheets import COMPONENTS, styled

TEMPLATES = ROOT.parent / "templates"
PAGES = sorted(TEMPLATES.rglob("*.html"))
MAX_LINE = 120
# Components on which other components may lie.
CONTAINERS = {"card"}


def block(path: Path) -> str:
    """Return what the classes of a component begin with."""
    return path.stem.replace("_", "-")


def blocks(path: Path) -> set[str]:
    """Return what a stylesheet dresses: parts and kinds by the whole, nothing with its own sheet."""
    others = {block(other) for other in COMPONENTS if other != path}
    return {re.split("__|--", name)[0] for name in styled(path)} - others


def written(path: Path) -> set[str]:
    """Return the classes a template writes itself."""
    text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text(encoding="utf-8"))
    return set(" ".join(re.findall(r'class="([^"]*)"', text)).split())


def test_each_component_has_one_partial_and_one_stylesheet() -> None:
    partials = {path.stem for path in (TEMPLATES / "components").glob("*.html")}

    assert partials == {path.stem for path in COMPONENTS}


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_no_template_but_its_partial_makes_a_component(path: Path) -> None:
    partial = TEMPLATES / "components" / f"{path.stem}.html"
    makers = {page: written(page) & blocks(path) for page in PAGES if page != partial}

    assert {re.split("__|--", name)[0] for name in written(partial)} & blocks(path)
    assert [
        page for page, created in makers.items() if created - (CONTAINERS if page.parent == partial.parent else set())
    ] == []


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_a_components_classes_begin_with_its_name(path: Path) -> None:
    others = {name for other in COMPONENTS if other != path for name in styled(other)}
    # A list of them may be called by the plural.
    own = re.compile(rf"{block(path).removesuffix('s')}s?(?![a-z])")

    assert {name for name in styled(path) - others if not own.match(name)} == set()


PAGE_STYLES = [path for folder in ("pages", "plan") for path in sorted((ROOT / "css" / folder).glob("*.css"))]


@pytest.mark.parametrize("path", PAGE_STYLES, ids=lambda path: path.stem)
def test_a_pages_classes_begin_with_its_name(path: Path) -> None:
    components = {name for component in COMPONENTS for name in styled(component)}

    assert {name for name in styled(path) - components if not re.match(rf"{path.stem}(?![a-z])", name)} == set()


def test_what_holds_for_every_page_names_no_component() -> None:
    components = {name for component in COMPONENTS for name in styled(component)}

    assert styled(ROOT / "css" / "base.css") & components == set()


def test_a_class_has_one_stylesheet() -> None:
    homes = [(name, path.stem) for path in COMPONENTS for name in styled(path) if "__" in name]

    assert len({name for name, _stem in homes}) == len(homes)


def test_no_line_of_a_template_is_too_long() -> None:
    lines = {
        f"{path.relative_to(TEMPLATES)}:{number}": len(line)
        for path in [*PAGES, *TEMPLATES.rglob("*.txt")]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    }

    assert {place: length for place, length in lines.items() if length >= MAX_LINE} == {}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_template_has_a_style_or_a_script_of_its_own(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b[\"']|rgb\(|hsl\(", text), "a color outside the tokens"
