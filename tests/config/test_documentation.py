"""docs/configuration.md has every key with its default, and no other; its snippets are valid."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import attrs
import pytest

from checks.connecting import CONNECTION_FACTS
from checks.http_steps import Request
from checks.tcp import TcpStep
from checks.websocket_steps import Step
from monitor.config.load import load
from monitor.config.schema import DefaultsTable
from monitor.declaring import key_of
from monitor.plugins import Registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
SINKS = (ROOT / "docs/sinks.md").read_text("utf-8")
SNIPPETS = [
    each for page in (PAGE, SINKS) for each in re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
]
REGISTRY = Registry()
GENERATE = runpy.run_path(str(ROOT / "docs/generate.py"))
TABLES = GENERATE["TABLES"]
told_elsewhere = GENERATE["told_elsewhere"]


def rows(section, head="key"):
    """The rows of the table whose first column is *head*: key -> default."""
    table = section.split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[2] if len(row) > 2 else "" for row in cells}


def available(cls):
    return {
        key_of(each): GENERATE["default_of"](each.default)
        for each in attrs.fields(cls)
        if each.init and each.metadata.get("available", True) and each.name not in told_elsewhere(cls)
    }


def unavailable(cls):
    return {each.name for each in attrs.fields(cls) if not each.metadata.get("available", True)}


def test_what_follows_from_the_code_was_made_from_it():
    assert GENERATE["page"](PAGE) == PAGE, "run `make docs`"
    assert (ROOT / "docs/monitor.schema.json").read_text("utf-8") == GENERATE["schema"](), "run `make docs`"


def test_a_new_key_comes_last_with_its_own_words():
    lines = [line for line in PAGE.splitlines(keepends=True) if not line.startswith("| `watch` |")]
    made = GENERATE["page"]("".join(lines))
    assert "| `watch` | boolean | `true` | read the config again when one of its files changes |\n\n" in made


@pytest.mark.parametrize(("title", "cls"), TABLES.items(), ids=TABLES)
def test_every_key_is_documented_with_its_default(title, cls):
    documented, keys = rows(SECTIONS[title]), available(cls)
    assert documented.keys() == keys.keys()
    assert {key: documented[key] for key, default in keys.items() if default is not None} == {
        key: default for key, default in keys.items() if default is not None
    }


@pytest.mark.parametrize(("kind", "step"), [("http", Request), ("websocket", Step), ("tcp", TcpStep)])
def test_every_key_of_a_step_is_documented(kind, step):
    assert rows(SECTIONS[f"Check `{kind}`"], "key of a step").keys() == available(step).keys()


def test_every_default_is_documented():
    told = set(re.findall(r"`(\w+)`", SECTIONS["`[defaults]`"].partition("```")[0]))
    assert available(DefaultsTable).keys() <= told


@pytest.mark.parametrize(
    "kind", ["http", "websocket", "tcp", "tls", "dns", "icmp", "udp", "grpc", "file", "exec", "heartbeat"]
)
def test_every_fact_is_documented(kind):
    section, cls = SECTIONS[f"Check `{kind}`"], REGISTRY.checks[kind].cls
    own = cls.facts.keys() - (CONNECTION_FACTS.keys() if told_elsewhere(cls) else set())
    assert rows(section, "fact").keys() == own


def test_what_every_connection_has_is_documented_once_and_pointed_to():
    assert rows(SECTIONS["Connections"], "fact").keys() == CONNECTION_FACTS.keys()
    for title, cls in TABLES.items():
        assert ("(#connections)" in SECTIONS[title]) == bool(told_elsewhere(cls)), title


def test_what_is_not_available_yet_is_listed():
    told = set(re.findall(r"`(\w+)`", SECTIONS["Not available yet"]))
    assert set().union(*map(unavailable, TABLES.values())) <= told


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_is_valid(snippet, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    path = tmp_path / "config.toml"
    path.write_text(snippet.replace("/run/secrets/token", str(token)))
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", snippet), "https://hooks.example.org/x") | {
        "APPRISE_URL": "json://example.org"
    }
    assert load(path, environ=environ).path == path
