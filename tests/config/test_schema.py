"""The JSON Schema: what is right is right by it, and it finds what can be said to be wrong of one key at a time."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date, time
from pathlib import Path

import jsonschema
import pytest
from support.cli import monitor

from monitor.config.jsonschema import schema_of
from monitor.config.load import registry_of
from monitor.plugins import Registry

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "tests/configs"
LOCAL = registry_of(CONFIGS / "good-everything.toml", environ={"READ_TOKEN": "", "PASSWORD": "", "TOKEN": ""})
SCHEMA = schema_of(LOCAL.checks, LOCAL.sinks)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SNIPPETS = [
    snippet
    for name in ("configuration", "sinks")
    for snippet in re.findall(
        r"^```toml\n(.*?)^```$", (ROOT / f"docs/{name}.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
]


def mistakes(text):
    """What the schema has against a config, each by its path."""
    tree = json.loads(
        json.dumps(
            tomllib.loads(text), default=lambda value: value.isoformat() if isinstance(value, date | time) else None
        )
    )
    return {".".join(map(str, each.absolute_path)): each.message for each in VALIDATOR.iter_errors(tree)}


def test_it_is_a_schema_of_draft_7():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize(
    "path",
    [ROOT / "config.toml", *CONFIGS.glob("good-*.toml"), *CONFIGS.glob("conf.d/good-*.toml")],
    ids=lambda path: path.stem,
)
def test_good_configs_are_good(path):
    assert mistakes(path.read_text("utf-8")) == {}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_documented_snippets_are_good(snippet):
    assert mistakes(snippet) == {}


FINDS = (
    *("access-type", "alert-on", "defaults", "durations", "exec", "expect-types", "http", "missing", "not-tables"),
    *("numbers", "plugins-keys", "targets", "tcp", "types", "unknown-key", "unknown-kind", "unknown-table"),
)


@pytest.mark.parametrize("name", FINDS)
def test_bad_configs_are_bad(name):
    assert mistakes((CONFIGS / f"bad-{name}.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('[monitor]\nlissten = "x:1"', "monitor"),
        ("[monitor]\nmax_concurrent_probes = 1.5", "monitor.max_concurrent_probes"),
        ("[defaults]\ninterval = 5", "defaults.interval"),
        ('[defaults]\ninterval = "5"', "defaults.interval"),
        ('[defaults.http]\nurls = "x"', "defaults.http"),
        ('[[endpoint]]\nname = "a"\nurl = "https://x/"\nstarttls = "smtp"', "endpoint.0"),
        ('[[endpoint]]\nname = "a"\ncheck = "http"', "endpoint.0"),
        ('[[endpoint]]\nname = "a"\nurl = "https://x/"\nheaders = { A = 5 }', "endpoint.0.headers.A"),
        ('[[endpoint]]\nurl = "https://x/"', "endpoint.0"),
        ('[[endpoint]]\nname = "a"\ncheck = "picky"\nsurprise = 5', "endpoint.0"),
        ('[[sink]]\nname = "a"\ntype = "webhook"\nlevel = "info"', "sink.0"),
        ('[[sink]]\nname = "a"\ntype = "paper"\nsurprise = 1', "sink.0"),
        ('[module.x]\ncheck = "http"\ngrace = "5s"', "module.x"),
    ],
)
def test_a_mistake_is_found_where_it_is(text, path):
    assert path in mistakes(text)


@pytest.mark.parametrize(
    "text",
    [
        '[defaults]\ninterval = "${INTERVAL}"',
        '[defaults]\ninterval = { file = "interval" }',
        '[[endpoint]]\nname = "a"\ncheck = "${KIND}"\nwhatever = 5'.replace("\nwhatever = 5", ""),
        '[[endpoint]]\nname = "a"\ncheck = "http"\ntargets = ["a"]',
        '[[endpoint]]\nname = "a"\nurl = "${URL}"\nbody_limit = 1024',
    ],
)
def test_what_is_inserted_may_be_anything(text):
    assert mistakes(text) == {}


async def test_the_command_knows_local_plugins(tmp_path):
    (tmp_path / "my.py").write_text(
        "import attrs\nfrom monitor.api import Check, check_option\n"
        "@attrs.frozen(kw_only=True)\nclass Mine(Check):\n    'Mine.'\n"
        "    most: int = check_option(doc='at most', default=3)\n"
    )
    plain = await monitor("schema", cwd=tmp_path)
    assert (plain.code, plain.err) == (0, "")
    assert json.loads(plain.out)["definitions"].keys() >= {"endpoint.http", "sink.webhook"}
    (tmp_path / "config.toml").write_text('[plugins.checks]\nmine = "my.py:Mine"\n[[endpoint]]\nname = 5\n')
    local = json.loads((await monitor("schema", cwd=tmp_path)).out)
    assert local["definitions"]["check-options.mine"]["properties"]["most"] == {
        "type": "integer", "description": "at most", "default": 3,
    }  # fmt: skip


def test_a_broken_plugin_is_left_out(tmp_path):
    registry = Registry()
    assert "http" in registry.checks
    broken = {**registry.checks, "broken": type(registry.checks["http"])("broken", object, "no.such:Thing", "x")}
    assert "endpoint.broken" not in schema_of(broken, {})["definitions"]
