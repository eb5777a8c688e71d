"""Whatever stands in a config: it is accepted, or every mistake is told. No other exception, and no crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.load import load
from monitor.core.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"
GOOD = (CONFIGS / "good-everything.toml").read_text("utf-8")
ENVIRON = {"READ_TOKEN": "reader-token", "PASSWORD": "pass-word", "TOKEN": "tok-12345"}
LINES = GOOD.splitlines(keepends=True)
VALUES = [
    "5",
    '"x"',
    "true",
    "[]",
    "{}",
    "[1, {}]",
    "{ a = 1 }",
    "nan",
    "-1.5",
    '""',
    "1979-05-27",
    '"${',
    '"${X}"',
    "[[",
    "'",
]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The path of a config beside the files that the good one names."""
    directory = tmp_path_factory.mktemp("fuzz")
    for name in ("files", "conf.d"):
        (directory / name).symlink_to(CONFIGS / name)
    return directory / "config.toml"


def accepted_or_told(path, content):
    path.write_bytes(content)
    told = None
    try:
        load(path, environ=ENVIRON)
    except ConfigError as exc:
        told = exc.problems
    assert told is None or (told and all(each.message and "\n" not in each.message for each in told))
    assert "tok-12345" not in str(told)


def cut(source, at, length, insert):
    return source[:at] + insert + source[at + length :]


bounded = settings(
    max_examples=int(os.environ.get("FUZZ", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@bounded
@given(st.integers(0, len(GOOD)), st.integers(0, 30), st.text(max_size=8))
def test_any_change_of_characters(config, at, length, insert):
    accepted_or_told(config, cut(GOOD, at, length, insert).encode("utf-8", "replace"))


@bounded
@given(st.integers(0, len(GOOD)), st.integers(0, 3), st.binary(max_size=8))
def test_any_change_of_bytes(config, at, length, insert):
    accepted_or_told(config, cut(GOOD.encode(), at, length, insert))


@bounded
@given(st.data())
def test_any_other_value_for_any_key(config, data):
    changed = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        line = data.draw(st.integers(0, len(LINES) - 1))
        key, equals, _ = changed[line].partition("=")
        value = data.draw(st.sampled_from(VALUES))
        changed[line] = f"{key}= {value}\n" if equals else ""
    accepted_or_told(config, "".join(changed).encode())


@bounded
@given(st.lists(st.sampled_from(LINES), max_size=25))
def test_any_order_of_lines(config, lines):
    accepted_or_told(config, "".join(lines).encode())
