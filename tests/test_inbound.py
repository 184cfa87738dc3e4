"""The forms that Bitrix24 posts: old and new openings, events, and whatever a stranger posts instead."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from werkzeug.datastructures import MultiDict

from dashboard.bitrix24.address_policy import AddressPolicy
from dashboard.bitrix24.http import RestHttp
from dashboard.bitrix24.inbound import (
    FORM_FIELDS,
    QUERY_FIELDS,
    BadField,
    Event,
    OpeningRequest,
    is_ip_literal,
    parse_domain,
    parse_event,
    parse_opening,
)
from dashboard.bitrix24.oauth import AuthorizationServers
from dashboard.bitrix24.schemas import TokenResponse, parse_as
from dashboard.bitrix24.transport import Transport
from dashboard.core.json_values import Json
from tests.emulator import Portal
from tests.rest_fixtures import alpha

__all__ = ["alpha"]

ACCESS, REFRESH, APPLICATION = "a" * 70, "b" * 70, "c" * 32
MEMBER_ID = "a223c6b3710f85df22e9377d6c4f7553"
QUERY = {"DOMAIN": "acme.bitrix24.com", "PROTOCOL": "1", "LANG": "en"}
OLD_FORM = {
    "AUTH_ID": ACCESS,
    "AUTH_EXPIRES": "3600",
    "REFRESH_ID": REFRESH,
    "member_id": MEMBER_ID,
    "PLACEMENT": "DEFAULT",
}
NEW_FORM = OLD_FORM | {
    "SERVER_ENDPOINT": "https://oauth.bitrix.info/rest/",
    "APPLICATION_TOKEN": APPLICATION,
}
EVENT = {
    "event": "ONAPPUNINSTALL",
    "event_handler_id": "7",
    "data[LANGUAGE_ID]": "en",
    "data[CLEAN]": "1",
    "ts": "1790000000",
    "auth[domain]": "acme.bitrix24.com",
    "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
    "auth[client_endpoint]": "https://acme.bitrix24.com/rest/",
    "auth[member_id]": MEMBER_ID,
    "auth[application_token]": APPLICATION,
}
SERVERS = AuthorizationServers(
    RestHttp(Transport(AddressPolicy()), lambda call: None),
    ("https://oauth.bitrix.info",),
    "app.1",
    SecretStr("s"),
)

Posted = dict[str, str]


def opening(query: Posted | None = None, form: Posted | None = None) -> OpeningRequest:
    """Parse a complete opening with some fields changed."""
    return parse_opening(MultiDict(QUERY | (query or {})), MultiDict(NEW_FORM | (form or {})))


def event(**changes: str) -> Event:
    return parse_event(MultiDict(EVENT | changes))


def refused(work: Any, *arguments: Any) -> BadField:
    with pytest.raises(BadField) as caught:
        work(*arguments)
    return caught.value


# Openings


def test_an_opening_is_parsed() -> None:
    assert opening() == OpeningRequest(
        domain="acme.bitrix24.com",
        secure=True,
        language="en",
        access_token=SecretStr(ACCESS),
        refresh_token=SecretStr(REFRESH),
        expires_in=3600,
        member_id=MEMBER_ID,
        placement="DEFAULT",
        options={},
        server_endpoint="https://oauth.bitrix.info/rest/",
        application_token=SecretStr(APPLICATION),
    )


def test_the_old_form_lacks_two_fields() -> None:
    old = parse_opening(MultiDict(QUERY), MultiDict(OLD_FORM))

    assert old == replace(opening(), server_endpoint=None, application_token=None)


@pytest.mark.parametrize("form", ["new", "old"])
def test_the_emulators_form_is_parsed(alpha: Portal, form: Any) -> None:
    alpha.people["boris"].lang = "de"
    posted = alpha.open_as("boris", form=form, options={"IFRAME": "Y", "URI": "/company/?a=1"})

    parsed = parse_opening(MultiDict(posted.query), MultiDict(posted.form))

    assert (parsed.domain, parsed.secure, parsed.language) == (alpha.domain, False, "de")
    assert parsed.access_token.get_secret_value() == posted.access_token
    assert parsed.options == {"IFRAME": "Y", "URI": "/company/?a=1"}


def test_no_secret_is_in_the_repr() -> None:
    text = f"{opening()!r} {event()!r}"

    assert [secret for secret in (ACCESS, REFRESH, APPLICATION) if secret in text] == []


@pytest.mark.parametrize("name", ["DOMAIN", "AUTH_ID", "member_id"])
def test_a_missing_required_field_is_named(name: str) -> None:
    query = {key: QUERY[key] for key in QUERY if key != name}
    form = {key: NEW_FORM[key] for key in NEW_FORM if key != name}

    error = refused(parse_opening, MultiDict(query), MultiDict(form))
    empty = refused(parse_opening, MultiDict(QUERY | {name: ""}), MultiDict(NEW_FORM | {name: ""}))

    assert (error.field, error.reason) == (empty.field, empty.reason) == (name, "is missing")


@pytest.mark.parametrize("name", sorted({*QUERY, *NEW_FORM} - {"DOMAIN", "AUTH_ID", "member_id"}))
def test_any_other_field_may_be_missing_or_empty(name: str) -> None:
    query = {key: QUERY[key] for key in QUERY if key != name}
    form = {key: NEW_FORM[key] for key in NEW_FORM if key != name}

    missing = parse_opening(MultiDict(query), MultiDict(form))

    empty = parse_opening(
        MultiDict(QUERY | {key: "" for key in QUERY if key == name}),
        MultiDict(NEW_FORM | {key: "" for key in NEW_FORM if key == name}),
    )
    assert missing == empty


@pytest.mark.parametrize("name", [*QUERY, *NEW_FORM])
def test_a_repeated_field_is_refused(name: str) -> None:
    query, form = MultiDict(QUERY), MultiDict(NEW_FORM)
    (query if name in QUERY else form).add(name, "another")

    error = refused(parse_opening, query, form)

    assert (error.field, error.reason) == (name, "is repeated")


@pytest.mark.parametrize("name", ["DOMAIN", "AUTH_ID", "member_id"])
def test_a_field_in_the_wrong_place_does_not_count(name: str) -> None:
    """A stranger can make a link with any token or portal, but not a form."""
    query, form = MultiDict(QUERY), MultiDict(NEW_FORM)
    here, there = (query, form) if name in QUERY_FIELDS else (form, query)
    there[name] = here.pop(name)

    assert refused(parse_opening, query, form).reason == "is missing"


def test_unknown_fields_are_ignored() -> None:
    form = MultiDict(NEW_FORM)
    for name in ("", "FROM_THE_FUTURE", "FROM_THE_FUTURE[]"):
        form.setlist(name, ["a", "b"])

    assert parse_opening(MultiDict(QUERY), form) == opening()


def test_an_impossible_lifetime_is_the_usual_one() -> None:
    forms = (MultiDict(NEW_FORM | {"AUTH_EXPIRES": seconds}) for seconds in ("0", "1800", "999999999"))

    assert [parse_opening(MultiDict(QUERY), form).expires_in for form in forms] == [3600, 1800, 3600]


def test_a_field_in_both_places_is_read_in_its_own() -> None:
    crossed = parse_opening(MultiDict(NEW_FORM | QUERY), MultiDict(NEW_FORM | {"DOMAIN": "evil.example"}))

    assert (crossed.domain, crossed.access_token) == ("acme.bitrix24.com", opening().access_token)
    query = MultiDict(QUERY | {"AUTH_ID": "x" * 70, "member_id": "beta"})
    assert parse_opening(query, MultiDict(NEW_FORM)) == opening()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROTOCOL", "2"),
        ("PROTOCOL", "https"),
        ("PROTOCOL", "١"),
        ("LANG", "en us"),
        ("LANG", "<b>"),
        ("LANG", "x" * 65),
        ("LANG", "en\n"),
        ("AUTH_ID", "has a space"),
        ("AUTH_ID", "line\nbreak"),
        ("AUTH_ID", "\0"),
        ("AUTH_ID", "токен"),
        ("AUTH_ID", "x" * 2049),
        ("REFRESH_ID", "has a space"),
        ("AUTH_EXPIRES", "-1"),
        ("AUTH_EXPIRES", "1e3"),
        ("AUTH_EXPIRES", "9" * 10),
        ("member_id", "alpha/../beta"),
        ("member_id", "x" * 65),
        ("member_id", "альфа"),
        ("member_id", "a\0"),
        ("PLACEMENT", "DEFAULT;"),
        ("PLACEMENT", "x" * 65),
        ("APPLICATION_TOKEN", "line\nbreak"),
        ("PLACEMENT_OPTIONS", "x" * (16 * 1024 + 1)),
    ],
)
def test_a_malformed_field_is_named_and_not_quoted(name: str, value: str) -> None:
    changed = {name: value}

    error = refused(opening, changed if name in QUERY else None, changed if name not in QUERY else None)

    assert error.field == name
    assert value not in str(error) or value in name


@pytest.mark.parametrize(
    ("posted", "read"), [("de", "de"), ("xx", "xx"), ("EN", "en"), ("zh-Hans", "zh-hans"), ("", "en")]
)
def test_any_language_is_accepted(posted: str, read: str) -> None:
    """An unsupported language is no reason to refuse an opening."""
    assert opening({"LANG": posted}).language == read


# Domains


@pytest.mark.parametrize(
    ("posted", "read"),
    [
        ("acme.bitrix24.com", "acme.bitrix24.com"),
        ("ACME.Bitrix24.COM", "acme.bitrix24.com"),
        ("acme.bitrix24.com:443", "acme.bitrix24.com"),
        ("acme.bitrix24.com:80", "acme.bitrix24.com:80"),
        ("acme.bitrix24.com:8443", "acme.bitrix24.com:8443"),
        ("acme.bitrix24.com:0443", "acme.bitrix24.com"),
        ("acme.bitrix24.com:08443", "acme.bitrix24.com:8443"),
        ("xn--80apmps.example", "xn--80apmps.example"),
        ("my_portal.corp-net.local", "my_portal.corp-net.local"),
        ("intranet", "intranet"),
        ("localhost:8001", "localhost:8001"),
    ],
)
def test_a_domain_is_normalized_like_location_host(posted: str, read: str) -> None:
    assert parse_domain(posted, secure=True) == read


def test_the_default_port_depends_on_the_protocol() -> None:
    assert parse_domain("acme.example:80", secure=False) == "acme.example"
    assert parse_domain("acme.example:443", secure=False) == "acme.example:443"


HOSTILE = [
    "anna@acme.bitrix24.com",
    "anna:secret@acme.bitrix24.com",
    "acme.bitrix24.com@evil.example",
    "acme.bitrix24.com/",
    "acme.bitrix24.com/rest/",
    "acme.bitrix24.com\\.evil.example",
    "acme.bitrix24.com?a=b",
    "acme.bitrix24.com#evil.example",
    "https://acme.bitrix24.com",
    "//acme.bitrix24.com",
    "acme.bitrix24.com.",
    ".acme.bitrix24.com",
    "acme..bitrix24.com",
    ".",
    "acme.bitrix24.com:",
    "acme.bitrix24.com:0",
    "acme.bitrix24.com:65536",
    "acme.bitrix24.com:99999",
    "acme.bitrix24.com:-1",
    "acme.bitrix24.com:443:443",
    "acme.bitrix24.com:٨٠٨٠",
    "acme.bitrix24.com:https",
    "acme bitrix24.com",
    " acme.bitrix24.com",
    "acme.bitrix24.com ",
    "acme.bitrix24.com\n",
    "acme.bitrix24.com\r\nHost: evil.example",
    "acme.bitrix24.com\0",
    "acme.bitrix24.com%00",
    "acme%2ebitrix24.com",
    "фирма.example",
    "acme。bitrix24.com",
    "acme.bitrix24.com\u200b",
    "\u212aelvin.example",
    "acme\u2024bitrix24.com",
    "\ud800.example",
    "-acme.example",
    "acme-.example",
    "[::1]",
    "[::1]:443",
    "::1",
    "[::ffff:127.0.0.1]",
    "[fe80::1%25eth0]",
    f"{'a' * 64}.example",
    "a." * 127 + "aa",
    "a" * 5000,
    "*",
    "*.bitrix24.com",
    "acme.bitrix24.com;evil.example",
    "acme.bitrix24.com,evil.example",
    "'self'",
    "acme.example' *",
]


@pytest.mark.parametrize("posted", HOSTILE)
def test_a_hostile_domain_is_refused(posted: str) -> None:
    error = refused(opening, {"DOMAIN": posted})

    assert error.field == "DOMAIN"
    assert posted not in str(error) or posted in ".*"


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.0.0.1:8443",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "0177.0x0.1",
        "0",
        "0x0",
        "169.254.169.254",
        "10.0.0.1",
        "8.8.8.8",
        "4294967295",
    ],
)
def test_an_ip_address_is_recognized_in_every_notation(text: str) -> None:
    assert is_ip_literal(parse_domain(text, secure=True))


@pytest.mark.parametrize(
    "name", ["acme.bitrix24.com", "0x7f000001.example", "1.2.3.4.5", "1c.example", "face.b00c", "1.2.3.com"]
)
def test_a_host_name_is_no_ip_address(name: str) -> None:
    assert not is_ip_literal(parse_domain(name, secure=True))


@given(st.text("0123456789abcdefx.", min_size=1, max_size=16))
@example("0x.0x.0x.0x")
def test_whatever_the_system_accepts_is_an_ip_address(text: str) -> None:
    """Resolvers decide by `inet_aton`."""
    try:
        socket.inet_aton(text)
        domain = parse_domain(text, secure=True)
    except (OSError, BadField):
        return

    assert is_ip_literal(domain)


@given(st.text() | st.from_regex(r"[\w.:@/\[\]-]{1,40}", fullmatch=True), st.booleans())
def test_any_text_is_a_plain_host_or_refused(text: str, secure: bool) -> None:
    try:
        domain = parse_domain(text, secure=secure)
    except BadField:
        return

    assert domain.isascii()
    assert domain == domain.lower()
    assert not set(domain) - set("abcdefghijklmnopqrstuvwxyz0123456789_.-:")
    # It is normalized already.
    assert parse_domain(domain, secure=secure) == domain


# PLACEMENT_OPTIONS


@pytest.mark.parametrize(
    ("posted", "read"),
    [
        ("", {}),
        ("[]", {}),
        ("undefined", {}),
        ("null", {}),
        ('"text"', {}),
        ("{", {}),
        (r'{"any":"28\/"}', {"any": "28/"}),
        ('{"viewRangeFrom":"2026-11-01","days":7}', {"viewRangeFrom": "2026-11-01", "days": 7}),
        ('{"a":NaN}', {}),
        ('{"a":Infinity}', {}),
        ('{"a":1e999}', {"a": "1e999"}),
        (r'{"a":"\ud800"}', {"a": "?"}),
        ('{"a":' + "9" * 5000 + "}", {}),
        ("[" * 16_000, {}),
        ('{"a":' * 2000 + "1" + "}" * 2000, {}),
        ('{"a":' * 500 + "1" + "}" * 500, {}),
    ],
)
def test_options_are_a_map_or_empty(posted: str, read: Json) -> None:
    assert opening(form={"PLACEMENT_OPTIONS": posted}).options == read


# Events


def test_an_event_is_parsed() -> None:
    assert event() == Event(
        name="ONAPPUNINSTALL",
        member_id=MEMBER_ID,
        application_token=SecretStr(APPLICATION),
        access_token=None,
        server_endpoint="https://oauth.bitrix.info/rest/",
        sent_at=1790000000,
        clean=True,
    )


def test_an_event_with_tokens_is_parsed() -> None:
    parsed = event(**{"event": "onAppInstall", "auth[access_token]": ACCESS, "auth[refresh_token]": REFRESH})

    assert (parsed.name, parsed.access_token) == ("ONAPPINSTALL", SecretStr(ACCESS))


@pytest.mark.parametrize("name", ["event", "auth[member_id]"])
def test_a_missing_required_field_of_an_event_is_named(name: str) -> None:
    without = {key: EVENT[key] for key in EVENT if key != name}

    assert refused(parse_event, MultiDict(without)).field == name
    assert refused(parse_event, MultiDict(EVENT | {name: ""})).field == name


@pytest.mark.parametrize(
    "name", ["ts", "event_handler_id", "data[CLEAN]", "auth[application_token]", "auth[server_endpoint]"]
)
def test_an_event_may_lack_its_other_fields(name: str) -> None:
    without = {key: EVENT[key] for key in EVENT if key != name}

    assert parse_event(MultiDict(without)).name == "ONAPPUNINSTALL"


@pytest.mark.parametrize("name", ["event", "ts", "auth[member_id]", "auth[application_token]"])
def test_a_repeated_field_of_an_event_is_refused(name: str) -> None:
    form = MultiDict(EVENT)
    form.add(name, "another")

    error = refused(parse_event, form)

    assert (error.field, error.reason) == (name, "is repeated")


def test_an_unknown_field_of_an_event_may_be_repeated() -> None:
    """An error names its field, also in the log; the name of an unknown field may be anything."""
    form = MultiDict(EVENT)
    for value in ("1", "2"):
        form.add(f"auth[{'x' * 9000}]", value)

    assert parse_event(form).name == "ONAPPUNINSTALL"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event", "ON APP"),
        ("event", "x" * 65),
        ("auth[member_id]", "../beta"),
        ("auth[member_id]", "x" * 65),
    ],
)
def test_a_malformed_required_field_of_an_event_is_named(name: str, value: str) -> None:
    error = refused(parse_event, MultiDict(EVENT | {name: value}))

    assert error.field == name
    assert value not in str(error)


@pytest.mark.parametrize("ts", ["soon", "1.5", "9" * 20, ""])
def test_a_malformed_time_is_ignored(ts: str) -> None:
    assert parse_event(MultiDict(EVENT | {"ts": ts})).sent_at is None


@pytest.mark.parametrize("token", ["line\nbreak", "x" * 2049, "ключ"])
def test_a_malformed_token_of_an_event_is_ignored(token: str) -> None:
    odd = {"auth[application_token]": token, "auth[access_token]": token}

    event = parse_event(MultiDict(EVENT | odd))

    assert (event.application_token, event.access_token) == (None, None)


def test_odd_brackets_are_ignored() -> None:
    odd = {
        "auth": "x",
        "auth[]": "x",
        "auth[member_id][]": "x",
        "auth[member_id": "x",
        "auth[[member_id]]": "x",
        "auth]member_id[": "x",
        "[auth][member_id]": "x",
        "data[QUERY][a][b]": "deep",
        "data": "x",
        "": "x",
        "[]": "x",
        "[" * 1000: "x",
    }

    assert parse_event(MultiDict(odd | EVENT)) == event()


# Anything at all

NAMES = [*QUERY, *NEW_FORM, "PLACEMENT_OPTIONS", *EVENT, "auth[access_token]"]
VALUES = st.text(max_size=30) | st.sampled_from(
    [*QUERY.values(), *NEW_FORM.values(), *EVENT.values(), *HOSTILE[:8], "-1", "0", "[]", '{"a":{"b":[1]}}']
)
FORMS = st.lists(st.tuples(st.sampled_from(NAMES) | st.text(max_size=20), VALUES), max_size=6)


@given(query=FORMS, form=FORMS)
def test_any_form_is_an_opening_or_a_bad_field(query: list[tuple[str, str]], form: list[tuple[str, str]]) -> None:
    """From nothing, and from a good one that something was done to."""
    for requests, posted in (
        (MultiDict(query), MultiDict(form)),
        (MultiDict(QUERY | dict(query)), MultiDict(NEW_FORM | dict(form))),
    ):
        try:
            parsed = parse_opening(requests, posted)
        except BadField as error:
            assert error.field
            continue
        assert parsed.domain
        assert parsed.expires_in >= 0


@given(form=FORMS)
def test_any_form_is_an_event_or_a_bad_field(form: list[tuple[str, str]]) -> None:
    for posted in (MultiDict(form), MultiDict(EVENT | dict(form))):
        try:
            parsed = parse_event(posted)
        except BadField as error:
            assert error.field
            continue
        assert parsed.member_id


FILLINGS = {
    "letters": "a" * 250_000,
    "labels": "a." * 125_000,
    "brackets": "[" * 250_000,
    "pairs of brackets": "a[b]" * 60_000,
    "hexadecimals": "0x" * 125_000,
    "digits": "9" * 250_000,
    "braces": "{" * 250_000,
    # Normalizing them takes a time that grows with the square of their number: half a minute here.
    "combining marks": "https://a" + "\u0301\u0316" * 60_000,
}


@pytest.mark.parametrize("text", FILLINGS.values(), ids=FILLINGS)
def test_no_long_field_takes_long(text: str) -> None:
    """Each field and each name as long as a body may be: no value is parsed before its length is checked."""
    began = time.process_time()

    for name in QUERY:
        assert refused(opening, {name: text}).field == name
    for name in FORM_FIELDS:
        assert refused(opening, None, {name: text}).field == name
    opening(None, {text: text})
    for name in EVENT:
        with suppress(BadField):
            SERVERS.choose(parse_event(MultiDict(EVENT | {name: text})).server_endpoint)
    parse_event(MultiDict(EVENT | {text: text, f"data[{text}]": text, f"auth{text}": text}))
    for name in ("client_endpoint", "member_id"):
        assert parse_as(TokenResponse, {"access_token": "a", name: text}).origin is None

    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("endpoint", ["https://\u0430.example/", "https://a.example/ b", f"https://{'a' * 255}/"])
def test_an_endpoint_is_short_and_ascii(endpoint: str) -> None:
    assert refused(opening, None, {"SERVER_ENDPOINT": endpoint}).field == "SERVER_ENDPOINT"
    # An event is sent only once, and is proven by other fields.
    assert event(**{"auth[server_endpoint]": endpoint}).server_endpoint is None
