"""How single values are read: strings and what is inserted into them, numbers, addresses, lines."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.api import ByteSize, Duration, Expression
from monitor.config.fields import Fields, Mistakes
from monitor.config.files import Source
from monitor.config.scalars import listen
from monitor.config.secrets import Masker
from monitor.config.texts import Texts, without_password

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME} $$", "_1": "x"}


@pytest.fixture
def masker():
    return Masker()


@pytest.fixture
def texts(masker, tmp_path):
    return Texts(ENVIRON, masker, tmp_path)


def read(kind, value, texts):
    cls = attrs.make_class("Table", {"key": attrs.field(type=kind)}, frozen=True)
    return Fields(texts).table(cls, {"key": value}).key


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("plain", "plain"),
        ("", ""),
        ("${NAME}", "value"),
        ("a${NAME}b${NAME}c", "avaluebvaluec"),
        ("${_1}", "x"),
        ("$${NAME}", "${NAME}"),
        ("$$$${NAME}", "$${NAME}"),
        ("$$${NAME}", "$value"),
        ("costs $5 or 5$", "costs $5 or 5$"),
        ("$NAME", "$NAME"),
        ("${NESTED}", "${NAME} $$"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${NAME:-default}", "value"),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b $$ ${}", "a:-b $$ ${"),
    ],
)
def test_strings(texts, text, meant):
    assert texts.read(text) == meant


@pytest.mark.parametrize("text", ["${", "${}", "${NAME", "${1A}", "${A B}", "${:-x}", "${NAME-x}", "${a.b}"])
def test_insertions_that_cannot_be(texts, text):
    with pytest.raises(ValueError, match=r"^expected \"\$\{NAME\}\" or"):
        texts.read(text)


def test_a_missing_variable_is_named(texts):
    with pytest.raises(ValueError, match=r"^the environment variable NONE is not set$"):
        texts.read("x${NONE}")


@given(st.text())
def test_text_without_dollar_is_taken_as_it_is(text):
    plain = text.replace("$", "")
    assert Texts({}, Masker(), Path()).read(plain) == plain


@given(st.text())
def test_doubling_dollars_makes_any_text_literal(text):
    assert Texts({}, Masker(), Path()).read(text.replace("$", "$$")) == text


def test_everything_inserted_is_masked_defaults_included(texts, masker, tmp_path):
    (tmp_path / "secret").write_text("from a file\n\n")
    assert texts.read({"file": "secret"}) == "from a file\n"  # one line end is dropped
    texts.read("${NAME} ${NONE:-some default}")
    assert masker("a value, some default, from a file\n!") == "a ***, ***, ***!"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org/a@b", "https://user:***@example.org/a@b"),
        ("https://user:se:cr@t@example.org", "https://user:***@example.org"),
        ("https://:secret@example.org", "https://:***@example.org"),
        ("https://user@example.org:80/", "https://user@example.org:80/"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
    ],
)
def test_passwords_of_urls(texts, masker, url, shown):
    assert without_password(url) == shown
    texts.read(url)
    assert ("secret" in masker("secret")) is ("secret" not in url)


def test_a_password_is_masked_as_it_is_sent_too(texts, masker):
    texts.read("https://user:p%40ssword@example.org/")
    assert masker("p%40ssword p@ssword") == "*** ***"
    texts.read("https://user:pw@example.org/")
    assert masker("Basic " + base64.b64encode(b"user:pw").decode()) == "Basic ***"


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        (str, "x", "x"),
        (int, 5, 5),
        (int, -(2**63) + 1, -(2**63) + 1),
        (float, 1.5, 1.5),
        (float, 2, 2.0),
        (bool, True, True),
        (Duration, "1m30s", 90.0),
        (Duration, "${NONE:-5s}", 5.0),
        (ByteSize, "1KiB", 1024),
        (ByteSize, 10, 10),
        (Expression, "${NAME} == '$$'", "${NAME} == '$$'"),
        (Literal["a", "b"], "b", "b"),
        (Literal["value"], "${NAME}", "value"),
        (Literal[4, 6], 6, 6),
        (str | None, "x", "x"),
        (str | list[str], ["${NAME}"], ["value"]),
        (str | list[str], "x", "x"),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "x"], (1, "x")),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Any, {"a": ["${NAME}", 1, True]}, {"a": ["value", 1, True]}),
    ],
)
def test_values_are_read(texts, kind, value, meant):
    got = read(kind, value, texts)
    assert got == meant
    assert type(got) is type(meant) or isinstance(got, kind)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (str, 5, "expected a string, got 5"),
        (str, {"a": 1}, "expected a string, got a table"),
        (int, "3", 'expected a whole number, got "3"'),
        (int, 3.0, "expected a whole number, got 3.0"),
        (int, True, "expected a whole number, got true"),
        (int, 2**63, "expected a whole number, got 9223372036854775808"),
        (float, "1.5", 'expected a number, got "1.5"'),
        (float, True, "expected a number, got true"),
        (float, float("nan"), "expected a number, got nan"),
        (float, float("-inf"), "expected a number, got -inf"),
        (float, 10**400, "expected a number, got 1000000000000"),
        (bool, 1, "expected true or false, got 1"),
        (bool, "true", 'expected true or false, got "true"'),
        (Duration, 5, 'expected a duration such as "5s", got 5'),
        (ByteSize, True, 'expected a size in bytes or such as "1MiB", got true'),
        (Literal["a", "b", "c"], "d", 'expected "a", "b" or "c", got "d"'),
        (Literal[4, 6], True, "expected 4 or 6, got true"),
        (Literal[1], True, "expected 1, got true"),
        (str | list[str], 5, "expected a string, got 5"),
        (list[int], "12", 'expected an array, got "12"'),
        (tuple[int, str], [1], "expected an array of 2, got one of 1"),
        (dict[str, int], [1], "expected a table, got an array"),
        (Path, "", "expected a path, got an empty string"),
        (Path, "a\0b", "expected a path, got one with NUL"),
    ],
)
def test_nothing_is_coerced(texts, kind, value, message):
    with pytest.raises(Mistakes) as caught:
        read(kind, value, texts)
    ((path, text),) = caught.value.found
    assert path == ("key",)
    assert text.startswith(message)


def test_every_mistake_of_a_value_is_found_where_it_stands(texts):
    with pytest.raises(Mistakes) as caught:
        read(dict[str, list[int]], {"a": [1, "x", True], "b": 5, "c": [2]}, texts)
    assert [path for path, _ in caught.value.found] == [("key", "a", 1), ("key", "a", 2), ("key", "b")]


def test_a_path_is_relative_to_the_config(texts, tmp_path):
    assert read(Path, "a/b", texts) == tmp_path / "a/b"
    assert read(Path, "/a/b", texts) == Path("/a/b")


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
        ("0.0.0.0:80", "0.0.0.0", 80),
    ],
)
def test_listen(text, host, port):
    address = listen(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize(
    "text",
    ["", "8080", ":8080", "[]:80", "a:", "a:-1", "a:65536", "a:9" * 30, "::1:80", "[a]:1", "a b:1", "a:٣", "[::1%]:1"],
)
def test_addresses_that_cannot_be(text):
    with pytest.raises(ValueError, match=r"^expected HOST:PORT such as"):
        listen(text)


def test_a_message_hides_even_a_piece_of_a_secret():
    masker = Masker()
    masker.remember("https://hooks.example.org/services/T0123456789/abcdefghijkl")
    masker.remember("short")
    for text, masked in (
        (
            'expected a URL such as "https://", got "https://hooks.examp…"',
            'expected a URL such as "https://", got "https:***…"',
        ),
        ("no host T0123456789 here", "no host *** here"),
        ("no host HOOKS.EXAMPLE.ORG here", "no host *** here"),
        ("short of shorts", "*** of shorts"),
        ("nothing to hide", "nothing to hide"),
    ):
        assert masker.thoroughly(text) == masked


def test_lines_are_those_of_toml_not_of_unicode(tmp_path):
    text = 'a = "\u2028\x85"\nb = 1\n[c.d]\n\n[[e]]\n[e.f]\n'
    tree = {"a": "\u2028\x85", "b": 1, "c": {"d": {}}, "e": [{"f": {}}]}
    positions = Source("x", tmp_path, text, tree).positions
    places = [("b",), ("c",), ("c", "d"), ("c", "d", "missing"), ("e", 0), ("e", 0, "f"), ("e", 5), ("nowhere",)]
    assert [positions.line(place) for place in places] == [2, 3, 3, 3, 5, 6, 5, None]
