"""Whatever stands in a config: it is accepted, or every mistake is told. No other exception, and no crash.

`make fuzz CASES=10000` tries as many, holds each to a second of CPU and all of them to 200 MB, and prints what it saw.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.load import load
from monitor.core.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"
ENVIRON = {"READ_TOKEN": "reader-token", "PASSWORD": "pass-word", "TOKEN": "tok-12345"}
MANY = """
[[endpoint]]
name = "many"
check = "http"
targets = ["a.example.org", "https://b.example.org/health", "https://${TOKEN}.example.org/"]
invert = true
[[endpoint]]
name = "ports"
check = "tcp"
targets_file = "targets.*"
depends_on = ["many"]
"""
GOOD = (CONFIGS / "good-everything.toml").read_text("utf-8") + MANY
LINES = GOOD.splitlines(keepends=True)
INCLUDED = (CONFIGS / "conf.d/good-1.toml").read_text("utf-8")
TARGETS = json.dumps(
    [{"targets": ["a.example.org:80", "tcp://b.example.org:81"], "labels": {"team": "x"}}, {"targets": []}]
)
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
    '"{target}"',
    "[[",
    "'",
]

ASKED = int(os.environ.get("FUZZ", "0"))
LONGEST, MOST = 1.0, 200  # seconds of CPU for one config; MB for all


@attrs.define
class Seen:
    """What came of it."""

    accepted: int = 0
    told: int = 0
    slowest: float = 0.0


SEEN = Seen()


def megabytes():
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024**2 if sys.platform == "darwin" else 1024)


@pytest.fixture(scope="module", autouse=True)
def summary():
    yield
    if ASKED:
        print(
            f"\n{SEEN.accepted} accepted, {SEEN.told} told; slowest {SEEN.slowest:.3f} s of CPU; {megabytes():.0f} MB"
        )
        assert SEEN.slowest < LONGEST
        assert megabytes() < MOST


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """The path of a config beside the files that the good one names."""
    directory = tmp_path_factory.mktemp("fuzz")
    (directory / "files").symlink_to(CONFIGS / "files")
    (directory / "conf.d").mkdir()
    (directory / "conf.d/good-1.toml").write_text(INCLUDED, "utf-8")
    for name in (CONFIGS / "conf.d").iterdir():
        if name.name != "good-1.toml":
            (directory / "conf.d" / name.name).symlink_to(name)
    (directory / "targets.json").write_text(TARGETS)
    (directory / "config.toml").write_text(GOOD, "utf-8")
    return directory / "config.toml"


def accepted_or_told(config, content, name="config.toml"):
    """Read *config* with *content* in the file *name*."""
    path = config.parent / name
    before = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    told = None
    began = time.process_time()
    try:
        load(config, environ=ENVIRON)
    except ConfigError as exc:
        told = exc.problems
    finally:
        SEEN.slowest = max(SEEN.slowest, time.process_time() - began)
        path.unlink() if before is None else path.write_bytes(before)
    if told is None:
        SEEN.accepted += 1
    else:
        SEEN.told += 1
        assert told
        assert all(each.message and each.file and "\n" not in each.message for each in told)
        assert "tok-12345" not in str(told)


def cut(source, at, length, insert):
    return source[:at] + insert + source[at + length :]


def changed(source):
    """*source*, a piece of it replaced by anything."""
    return st.builds(cut, st.just(source), st.integers(0, len(source)), st.integers(0, 30), st.text(max_size=8))


TESTS = 7
bounded = settings(
    max_examples=-(-ASKED // TESTS) if ASKED else 15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_the_good_one_is_good(config):
    assert len(load(config, environ=ENVIRON).endpoints) > 5


@bounded
@given(changed(GOOD))
def test_any_change_of_characters(config, text):
    accepted_or_told(config, text.encode("utf-8", "replace"))


@bounded
@given(st.integers(0, len(GOOD)), st.integers(0, 3), st.binary(max_size=8))
def test_any_change_of_bytes(config, at, length, insert):
    accepted_or_told(config, cut(GOOD.encode(), at, length, insert))


@bounded
@given(st.data())
def test_any_other_value_for_any_key(config, data):
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        line = data.draw(st.integers(0, len(LINES) - 1))
        key, equals, _ = lines[line].partition("=")
        value = data.draw(st.sampled_from(VALUES))
        lines[line] = f"{key}= {value}\n" if equals else ""
    accepted_or_told(config, "".join(lines).encode())


@bounded
@given(st.lists(st.sampled_from(LINES), max_size=25))
def test_any_order_of_lines(config, lines):
    accepted_or_told(config, "".join(lines).encode())


@bounded
@given(changed(INCLUDED))
def test_any_included_file(config, text):
    accepted_or_told(config, text.encode("utf-8", "replace"), "conf.d/good-1.toml")


@bounded
@given(
    changed(TARGETS)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["targets", "labels", "x"]), inner),
        max_leaves=8,
    ).map(json.dumps)
)
def test_any_file_of_targets(config, text):
    accepted_or_told(config, text.encode("utf-8", "replace"), "targets.json")


@bounded
@given(st.text(st.sampled_from("-:[]{}&*!|>'\"#%@ \n\tabx"), max_size=60))
def test_any_yaml_of_targets(config, text):
    accepted_or_told(config, text.encode(), "targets.yaml")
