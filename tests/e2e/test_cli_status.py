"""`monitor status` against a real daemon: as a table, as JSON, on a terminal."""

from __future__ import annotations

import json
import pty
import subprocess
import termios
from typing import TYPE_CHECKING

import trio
from support.cli import PROGRAM, environment, killed, monitor
from support.daemon import Daemon, daemon, until
from support.loopback import serve_http
from support.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path


async def write_config(nursery: trio.Nursery, directory: Path, *, down: bool = True) -> None:
    port = await nursery.start(serve_http, lambda path: (503 if path == "/bad" else 200, b""))
    bad = f'[[endpoint]]\nname = "bad"\nurl = "http://127.0.0.1:{port}/bad"\n' if down else ""
    (directory / "config.toml").write_text(f"""
[monitor]
listen = "127.0.0.1:0"
[defaults]
interval = "200ms"
retry_interval = "50ms"
[[endpoint]]
name = "good"
url = "http://127.0.0.1:{port}/"
{bad}""")


async def settled(running: Daemon, *names: str) -> None:
    for name in names:
        await until(lambda name=name: _known(running, name), f"{name} is known")  # type: ignore[misc]


async def _known(running: Daemon, name: str) -> bool:
    return await running.state(name) != "pending"


async def test_the_worst_news_first_and_a_line_for_each(nursery: trio.Nursery, tmp_path: Path) -> None:
    await write_config(nursery, tmp_path)
    async with daemon(tmp_path) as running:
        await settled(running, "good", "bad")
        done = await monitor("status", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.lines[:2] == ["bad is down", "1 down, 1 up"]
    good, bad = done.lines[-2:]
    assert good.startswith("✓ up         good ")
    assert bad.startswith("✗ down       bad ")
    assert bad.endswith("expected status 200-299, got 503")


async def test_json_is_what_the_api_says(nursery: trio.Nursery, tmp_path: Path) -> None:
    await write_config(nursery, tmp_path, down=False)
    async with daemon(tmp_path) as running:
        await settled(running, "good")
        done = await monitor("status", "--format", "json", "--url", running.url, cwd=tmp_path)
    (good,) = json.loads(done.out)["endpoints"]
    assert (good["name"], good["state"]) == ("good", "up")


async def test_without_a_daemon_it_says_so(nursery: trio.Nursery, tmp_path: Path) -> None:
    await write_config(nursery, tmp_path)
    done = await monitor("status", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: no daemon runs in ")
    done = await monitor("status", "--watch", cwd=tmp_path)
    assert done.err.startswith("error: --watch wants a terminal.")


async def test_watching_redraws_and_outlives_the_daemon(nursery: trio.Nursery, tmp_path: Path) -> None:
    await write_config(nursery, tmp_path)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (20, 100))
    screen = Screen(100, 20)
    async with daemon(tmp_path) as running, trio.lowlevel.FdStream(ours) as terminal:
        await settled(running, "good", "bad")
        process = await trio.lowlevel.open_process(
            [*PROGRAM, "status", "--watch", "--every", "100ms"],
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env=environment(TERM="xterm"),
        )
        try:
            await _shows(terminal, screen, "bad is down")
            await running.stop()
            await _shows(terminal, screen, "as it was")
            assert "bad is down" in "\n".join(screen.lines)
        finally:
            await killed(process)


async def _shows(terminal: trio.lowlevel.FdStream, screen: Screen, text: str) -> None:
    with trio.fail_after(30):
        while text not in "\n".join(screen.lines):
            screen.feed((await terminal.receive_some()).decode())


async def test_who_clears_the_data_directory_still_finds_the_daemon(nursery: trio.Nursery, tmp_path: Path) -> None:
    await write_config(nursery, tmp_path, down=False)
    async with daemon(tmp_path) as running:
        await settled(running, "good")
        for file in (tmp_path / "data").iterdir():
            file.unlink()

        async def found() -> bool:
            return (await monitor("status", cwd=tmp_path)).code == 0

        await until(found, "the daemon is found again")
