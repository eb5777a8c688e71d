"""The live lines of `monitor check`, on a real pseudo-terminal, seen through a small terminal of our own."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
from typing import TYPE_CHECKING

import pytest
import trio
from support.cli import PROGRAM, environment, killed
from support.loopback import serve_http
from support.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS, ROWS = 100, 24


async def on_terminal(
    *args: str, cwd: Path, interrupt_after: bytes | None = None, **more: str
) -> tuple[int, str, Screen]:
    """Run `monitor` with stdout on a terminal; return its exit code, all it wrote, and how the screen looks."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    settings = termios.tcgetattr(theirs)
    settings[1] &= ~termios.OPOST  # newlines as they are
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    process = await trio.lowlevel.open_process(
        [*PROGRAM, *args], stdout=theirs, stderr=subprocess.DEVNULL, cwd=cwd, env=environment(TERM="xterm", **more)
    )
    os.close(theirs)
    written = b""
    try:
        with trio.fail_after(60):
            async with trio.lowlevel.FdStream(ours) as stream:
                while more_written := await _read(stream):
                    written += more_written
                    if interrupt_after is not None and interrupt_after in written:
                        process.send_signal(signal.SIGINT)
                        interrupt_after = None
            code = await process.wait()
    finally:
        await killed(process)
    screen = Screen(COLUMNS, ROWS)
    screen.feed(written.decode())
    return code, written.decode(), screen


async def _read(stream: trio.lowlevel.FdStream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except trio.BrokenResourceError:  # Linux says EIO when the other side is closed
        return b""


def write_config(directory: Path, port: int, count: int) -> None:
    base = f"http://127.0.0.1:{port}"
    tables = [f'[[endpoint]]\nname = "e{number:03}"\nurl = "{base}/{number}"\n' for number in range(count)]
    (directory / "config.toml").write_text("\n".join(tables))


@pytest.mark.parametrize("count", [3, 23, 24, 200])
async def test_what_stays_is_each_result_once_and_in_order(count: int, nursery: trio.Nursery, tmp_path: Path) -> None:
    # Every third answer takes its time, so that others are done before their turn.
    port = await nursery.start(_server, 0.4)
    write_config(tmp_path, port, count)
    code, written, screen = await on_terminal("check", cwd=tmp_path)
    assert code == 0
    results = [line.split() for line in screen.lines if line.startswith("✓")]
    assert [words[2] for words in results] == [f"e{number:03}" for number in range(count)]
    assert [line for line in screen.lines if line][-1] == f"{count} endpoints: {count} up"
    assert len([line for line in screen.lines if line]) == count + 1
    assert "checking" in written
    assert 0 < screen.highest < ROWS


async def _server(slow: float, *, task_status: trio.TaskStatus[int]) -> None:
    await serve_http(
        lambda _: (200, b"{}"),
        delay=lambda path: slow if int(path[1:]) % 3 == 0 else 0.0,
        task_status=task_status,
    )


async def test_colour_is_for_terminals_that_want_it(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await nursery.start(_server, 0.0)
    write_config(tmp_path, port, 1)
    _, coloured, _ = await on_terminal("check", cwd=tmp_path)
    assert "\x1b[32m✓ up" in coloured
    _, plain, screen = await on_terminal("check", cwd=tmp_path, NO_COLOR="1")
    assert "m✓ up" not in plain
    assert screen.lines[0].startswith("✓ up")


async def test_ctrl_c_leaves_what_is_done(nursery: trio.Nursery, tmp_path: Path) -> None:
    port = await nursery.start(_server, 3600.0)
    (tmp_path / "config.toml").write_text(
        f'[[endpoint]]\nname = "quick"\nurl = "http://127.0.0.1:{port}/1"\n'
        f'[[endpoint]]\nname = "slow"\nurl = "http://127.0.0.1:{port}/0"\ntimeout = "1h"\n'
    )
    code, _, screen = await on_terminal("check", cwd=tmp_path, interrupt_after=b"up        quick", NO_COLOR="1")
    assert code == 130
    assert [line.split()[2] for line in screen.lines if line] == ["quick"]
