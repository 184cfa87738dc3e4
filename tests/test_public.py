"""Addresses that need no session: readiness, and the two documents of a Market card."""

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from app import create_app
from dashboard.core import config, migrations
from tests.emulator import Emulator
from tests.world import World

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """A page read strictly: every element is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.feed(html)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"


@pytest.fixture
def vended(bitrix24: Emulator, sqlite_url: str) -> Iterator[World]:
    """Give an application whose vendor is configured."""
    vendor = {"APP_NAME": "Hours & Zones", "VENDOR_NAME": "Alder & Sons", "VENDOR_EMAIL": "help@alder.example"}
    with World(bitrix24, sqlite_url, **vendor) as it:
        yield it


# The documents


@pytest.mark.parametrize("path", ["/privacy", "/terms"])
def test_the_documents_open_in_any_browser(vended: World, path: str) -> None:
    response = vended.browser.get(path)

    page = Page(response.text)
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    assert [page.seen.count(tag) for tag in ("html", "head", "title", "body", "main", "h1")] == [1] * 6
    assert "script" not in page.seen
    assert response.text.startswith("<!doctype html>")
    assert 'lang="en"' in response.text


@pytest.mark.parametrize("path", ["/privacy", "/terms"])
def test_they_name_who_to_ask(vended: World, path: str) -> None:
    response = vended.browser.get(path)

    assert "Alder &amp; Sons" in response.text
    assert "mailto:help@alder.example" in Page(response.text).links
    assert "VENDOR_" not in response.text


@pytest.mark.parametrize("path", ["/privacy", "/terms"])
def test_they_say_what_is_missing(world: World, path: str) -> None:
    text = world.browser.get(path).text

    assert "VENDOR_NAME" in text
    assert "VENDOR_EMAIL" in text


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_the_terms_name_application_and_licensor_word_for_word(vended: World, language: str) -> None:
    text = vended.browser.get(f"/terms?lang={language}").text

    assert "<bdi>Hours &amp; Zones</bdi>" in text
    assert "<bdi>Alder &amp; Sons</bdi></p>" in text
    assert "/privacy" in Page(text).links


@pytest.mark.parametrize("path", ["/privacy", "/terms"])
def test_the_vendor_console_may_check_them(world: World, path: str) -> None:
    assert world.browser.head(path).status_code == 200
    assert world.browser.get(f"{path}?lang=nonsense").status_code == 200


# Readiness


def test_it_is_ready_with_everything_there(each_world: World) -> None:
    response = each_world.browser.get("/readyz")

    assert response.status_code == 200
    assert response.json == {"status": "ok", "down": []}


def test_a_database_that_is_down_is_named(world: World) -> None:
    away = config.load(world.environment | {"DATABASE_URL": "postgresql://127.0.0.1:1/x"})

    response = create_app(away).test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json == {"status": "unready", "down": ["database"]}


def test_a_schema_behind_is_not_ready_and_one_ahead_is(world: World) -> None:
    """A release migrates while the version before it serves."""
    with world.database.write_session() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert world.browser.get("/readyz").status_code == 200

    with world.database.write_session() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert world.browser.get("/readyz").json == {"status": "unready", "down": ["migrations"]}
    assert migrations.revision(world.database) == "0001"
