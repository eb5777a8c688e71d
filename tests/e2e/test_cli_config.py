"""`monitor validate` and `monitor checks`: what they print about a config and the installed checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.cli import monitor

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[[endpoint]]
name = "a"
url = "https://a.example.org/"
[[endpoint]]
name = "b"
url = "wss://b.example.org/"
enabled = false
[[sink]]
name = "log"
type = "log"
"""
LOCAL = """
import attrs
from monitor.api import Check, Probe, Verdict, check_option

@attrs.frozen(kw_only=True)
class Mine(Check):
    '''Looks at mine.'''

    depth: int = check_option(doc="how deep", default=3)

    async def probe(self, probe: Probe) -> Verdict:
        return Verdict.up()
"""


async def test_validate_counts(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(GOOD)
    done = await monitor("validate", cwd=tmp_path)
    assert (done.code, done.out.splitlines()[0], done.err) == (0, "config.toml: 2 endpoints (1 disabled), 1 sink", "")


async def test_validate_says_what_it_costs_that_there_is_no_reference(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(GOOD)
    counted, note = (await monitor("validate", cwd=tmp_path)).out.splitlines()
    assert note == (
        "note: [monitor] reference is not set, so when the monitor's own network fails, every endpoint goes down "
        "and alerts"
    )
    (tmp_path / "config.toml").write_text('[monitor]\nreference = ["tcp://192.0.2.1:53"]\n' + GOOD)
    assert (await monitor("validate", cwd=tmp_path)).out.splitlines() == [counted]


async def test_where_the_config_is(tmp_path: Path) -> None:
    for name in ("before", "after", "environment"):
        (tmp_path / f"{name}.toml").write_text(GOOD)
    runs = [
        (["--config", "before.toml", "validate"], {}, "before.toml"),
        (["validate", "--config", "after.toml"], {}, "after.toml"),
        (["--config", "before.toml", "validate", "--config", "after.toml"], {}, "after.toml"),
        (["validate"], {"MONITOR_CONFIG": "environment.toml"}, "environment.toml"),
        (["validate", "--config", "after.toml"], {"MONITOR_CONFIG": "environment.toml"}, "after.toml"),
    ]
    for args, environ, expected in runs:
        done = await monitor(*args, cwd=tmp_path, **environ)
        assert done.out.startswith(f"{expected}: "), args
    missing = await monitor("validate", cwd=tmp_path, MONITOR_CONFIG="")
    assert missing.code == 3
    assert missing.err.startswith("error: config.toml: ")


async def test_validate_tells_every_mistake_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[[endpoint]]\nname = "a"\nurl = "https://a.example.org/"\ntimeout = 5\n\n'
        '[[endpoint]]\nname = "a"\nurl = "https://a.example.org/"\nintervall = "5s"\n'
    )
    done = await monitor("validate", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    lines = done.err.splitlines()
    assert lines[0] == 'error: config.toml:4: endpoint[0].timeout: expected a duration such as "5s", got 5'
    assert len(lines) == 3
    assert all(line.startswith("error: config.toml:") for line in lines)
    for command in (["check"], ["run"]):
        assert (await monitor(*command, cwd=tmp_path)).err == done.err


@pytest.mark.parametrize("command", [["validate"], ["check"], ["run"]])
@pytest.mark.parametrize("kind", ["missing", "directory", "binary", "syntax"])
async def test_a_config_that_cannot_be_read_is_one_sentence(command: list[str], kind: str, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    match kind:
        case "directory":
            config.mkdir()
        case "binary":
            config.write_bytes(b'name = "\xff"')
        case "syntax":
            config.write_text("a = \n")
    done = await monitor(*command, cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("error: config.toml")
    assert "a bug" not in done.err


async def test_checks_lists_the_built_in_ones_without_a_config(tmp_path: Path) -> None:
    done = await monitor("checks", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.lines]
    assert rows[0][0] == "KIND"
    assert {row[0] for row in rows[1:]} >= {"http", "websocket"}
    assert all("nursery-monitor" in row for row in rows[1:] if row[0] in ("http", "websocket"))


async def test_checks_lists_local_ones_and_says_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOCAL)
    (tmp_path / "config.toml").write_text('[plugins.checks]\nmine = "mine.py:Mine"\n')
    done = await monitor("checks", cwd=tmp_path)
    assert any(line.startswith("mine") and "mine.py" in line for line in done.lines)
    one = await monitor("checks", "mine", cwd=tmp_path)
    assert one.code == 0
    assert "Looks at mine." in one.out
    assert any(line.split()[:3] == ["depth", "int", "3"] and "how deep" in line for line in one.lines)


async def test_a_mistake_elsewhere_in_the_config_does_not_hide_the_options(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(LOCAL)
    (tmp_path / "config.toml").write_text(
        '[plugins.checks]\nmine = "mine.py:Mine"\n[[endpoint]]\nname = "a"\ncheck = "mine"\ndepht = 1\n'
    )
    done = await monitor("checks", "mine", cwd=tmp_path)
    assert done.code == 0
    assert "depth" in done.out


async def test_checks_of_one_kind_shows_options_and_facts(tmp_path: Path) -> None:
    done = await monitor("checks", "http", cwd=tmp_path)
    assert done.code == 0
    options, facts = done.out.split("Facts:")
    rows = {line.split()[0]: line for line in options.splitlines() if line.startswith("  ")}
    assert "required" in rows["url"]
    assert "1 MiB" in rows["body_limit"]
    assert "not available yet" not in options
    assert "cert_expires_in" in facts


async def test_an_unknown_kind_is_an_error_with_a_hint(tmp_path: Path) -> None:
    done = await monitor("checks", "htpp", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: ")
    assert "http" in done.err
