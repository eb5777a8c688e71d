"""docs/configuration.md has every key with its default, and no other; its snippets are valid."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from checks.connecting import CONNECTION_FACTS, Connecting, Reaching
from checks.requests import Request
from checks.steps import Step
from checks.tcp import TcpStep
from monitor.config.load import load
from monitor.config.schema import (
    AccessTable,
    AnnouncementTable,
    DefaultsTable,
    EndpointTable,
    MaintenanceTable,
    ModuleTable,
    MonitorTable,
    PluginsTable,
    SinkTable,
)
from monitor.plugin import key_of
from monitor.plugins import Registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
SINKS = (ROOT / "docs/sinks.md").read_text("utf-8")
SNIPPETS = [
    each for page in (PAGE, SINKS) for each in re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
]
REGISTRY = Registry()
TABLES = {
    "`[monitor]`": MonitorTable,
    "`[monitor.access]`": AccessTable,
    "`[plugins]`": PluginsTable,
    "`[[endpoint]]`": EndpointTable,
    "`[[maintenance]]`": MaintenanceTable,
    "`[[announcement]]`": AnnouncementTable,
    "`[module.NAME]`": ModuleTable,
    "`[[sink]]`": SinkTable,
    "Connections": Connecting,
    **{f"Check `{kind}`": plugin.cls for kind, plugin in REGISTRY.checks.items() if plugin.origin == "nursery-monitor"},
    **{f"Sink `{kind}`": plugin.cls for kind, plugin in REGISTRY.sinks.items() if plugin.origin == "nursery-monitor"},
}


def rows(section, head="key"):
    """The rows of the table whose first column is *head*: key -> default."""
    table = section.split(f"\n| {head} |", 1)[1].split("\n\n", 1)[0]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[2] if len(row) > 2 else "" for row in cells}


def in_toml(default):
    """How the page writes *default*; None where words must do."""
    if isinstance(default, attrs.Factory):
        default = default.factory()
    match default:
        case attrs.NOTHING:
            return "required"
        case None:
            return None
        case bool():
            return f"`{str(default).lower()}`"
        case int() if type(default) is int:
            return f"`{default}`"
        case tuple() | list():
            return "`[" + ", ".join(f'"{each}"' for each in default) + "]`"
        case dict():
            return "`{}`"
        case _:
            return f'`"{default}"`'


def told_elsewhere(cls):
    """What it has as every connection has it."""
    base = next((each for each in (Connecting, Reaching) if issubclass(cls, each) and cls is not Connecting), None)
    return set() if base is None else {each.name for each in attrs.fields(base)}


def available(cls):
    return {
        key_of(each): in_toml(each.default)
        for each in attrs.fields(cls)
        if each.init and each.metadata.get("available", True) and each.name not in told_elsewhere(cls)
    }


def unavailable(cls):
    return {each.name for each in attrs.fields(cls) if not each.metadata.get("available", True)}


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
