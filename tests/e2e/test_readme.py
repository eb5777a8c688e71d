"""What README.md, the other pages and the shipped config show is true: every snippet is run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.cli import monitor
from support.daemon import daemon, until
from support.loopback import free_port, serve, serve_http

from monitor.cli.root import COMMANDS

if TYPE_CHECKING:
    import trio

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def snippets(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def all_snippets(language: str) -> list[object]:
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        for number, text in enumerate(snippets(page, language))
    ]


def write_local_checks(directory: Path) -> None:
    """Every local check that a page shows, under the name that its first line gives."""
    for page in PAGES:
        for text in snippets(page, "python"):
            if match := re.match(r"# (\w+\.py)", text):
                file = directory / page.stem / match[1]
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)


def test_the_readme_opens_with_the_two_commands() -> None:
    first = (ROOT / "README.md").read_text().split("```")[1]
    assert first.splitlines() == ["console", "$ make run", "$ make test"]


@pytest.mark.parametrize("text", all_snippets("console"))
def test_every_command_shown_exists(text: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in text.splitlines():
        prompt, program, *args = shlex.split(line)
        assert prompt == "$"
        match program:
            case "make":
                assert args[0] in targets, line
            case "monitor":
                assert args[0] in COMMANDS, line
            case _:
                pytest.fail(f"nothing is known of {program!r}")


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs/plugins.md"], ids=lambda page: page.name)
async def test_every_config_shown_is_valid(page: Path, tmp_path: Path) -> None:
    write_local_checks(tmp_path)
    directory = tmp_path / page.stem
    directory.mkdir(exist_ok=True)
    for text in snippets(page, "toml"):
        (directory / "config.toml").write_text(text)
        environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "https://hooks.example.org/x")
        done = await monitor("validate", cwd=directory, **environ)
        assert (done.code, done.err) == (0, ""), text


@pytest.mark.parametrize(("waiting", "code", "message"), [(50, 0, ""), (51, 2, "51 jobs wait, at most 50 may")])
async def test_the_readmes_own_check_works(
    waiting: int, code: int, message: str, nursery: trio.Nursery, tmp_path: Path
) -> None:
    port = await nursery.start(serve_http, lambda _: (200, b"%d" % waiting))
    write_local_checks(tmp_path)
    config = snippets(ROOT / "README.md", "toml")[1].replace("127.0.0.1:9000", f"127.0.0.1:{port}")
    (tmp_path / "README" / "config.toml").write_text(config)
    done = await monitor("check", "--format", "json", cwd=tmp_path / "README")
    assert done.code == code
    (result,) = json.loads(done.out)["endpoints"]
    assert (result["check"], result["facts"]["depth"], result["reason"]["message"]) == ("queue_depth", waiting, message)


@pytest.mark.parametrize(("greeting", "code"), [(b"220 mail ready\r\n", 0), (b"554 go away\r\n", 2)])
async def test_the_check_of_the_plugin_page_works(
    greeting: bytes, code: int, nursery: trio.Nursery, tmp_path: Path
) -> None:
    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(greeting)

    port = await nursery.start(serve, greet)
    write_local_checks(tmp_path)
    shown = next(each for each in snippets(ROOT / "docs/plugins.md", "toml") if "greeting" in each)
    config = shown.replace("port = 25", f"port = {port}")
    (tmp_path / "plugins" / "config.toml").write_text(config)
    done = await monitor("check", cwd=tmp_path / "plugins")
    assert done.code == code, done.out + done.err


async def test_the_readmes_checks_command_shows_its_check(tmp_path: Path) -> None:
    write_local_checks(tmp_path)
    (tmp_path / "README" / "config.toml").write_text(snippets(ROOT / "README.md", "toml")[1])
    done = await monitor("checks", "queue_depth", cwd=tmp_path / "README")
    assert done.code == 0
    assert "how many may wait" in done.out


async def test_the_shipped_config_is_valid_as_it_stands_and_with_its_examples(tmp_path: Path) -> None:
    text = (ROOT / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(text)
    done = await monitor("validate", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    write_local_checks(tmp_path)
    # What is commented out is TOML where the line has a key, a table or what continues one.
    uncommented = re.sub(r"^# (?=\[|\]|\w+ = |  \{)", "", text, flags=re.MULTILINE)
    assert uncommented.count("[[endpoint]]") == 4
    (tmp_path / "README" / "config.toml").write_text(uncommented)
    environ = {"ALERT_WEBHOOK_URL": "https://hooks.example.org/x", "ALERT_WEBHOOK_SECRET": ""}
    done = await monitor("validate", cwd=tmp_path / "README", **environ)
    assert (done.code, done.out, done.err) == (0, "config.toml: 4 endpoints, 2 sinks\n", "")


async def test_the_shipped_config_sees_the_monitor_itself(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text((ROOT / "config.toml").read_text().replace(":8080", f":{free_port()}"))
    async with daemon(tmp_path) as running:

        async def all_up() -> bool:
            endpoints = (await running.get("/api/v1/endpoints"))["endpoints"]
            states = {each["name"]: each["state"] for each in endpoints}
            assert states.keys() == {"status page", "live feed"}
            assert "down" not in states.values(), states
            return set(states.values()) == {"up"}

        await until(all_up, "both are up")
