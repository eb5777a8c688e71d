"""Heartbeats to the real process: silence is down, a push is up, a kill loses none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from support.cli import killed, monitor
from support.daemon import Daemon, daemon, until

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
[[endpoint]]
name = "nightly backup"
check = "heartbeat"
token = "the-token-of-the-backup"
interval = "{interval}"
grace = "0s"
retry_interval = "50ms"
"""


async def push(running: Daemon, more: str = "") -> int:
    async with httpx.AsyncClient() as http:
        return (await http.get(f"{running.url}/api/v1/heartbeat/the-token-of-the-backup{more}")).status_code


async def becomes(running: Daemon, state: str) -> None:
    async def is_so() -> bool:
        return await running.state("nightly backup") == state

    await until(is_so, f"it is {state}")


async def test_from_silence_to_a_heartbeat_and_through_a_kill(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(interval="300ms"))
    async with daemon(tmp_path) as running:
        await becomes(running, "down")
    config.write_text(CONFIG.format(interval="1h"))
    async with daemon(tmp_path) as running:
        await becomes(running, "down")
        assert await push(running) == 200
        await becomes(running, "up")
        assert await push(running, "/3?msg=disk+full") == 200
        await killed(running.process)
    async with daemon(tmp_path) as running:
        await becomes(running, "down")
        seen = await running.get("/api/v1/endpoints/nightly%20backup")
        assert seen["reason"]["message"] == "it said that it failed: disk full"
        assert seen["target"] == "heartbeat"
        assert await push(running, "x") == 404


async def test_a_one_shot_check_leaves_heartbeats_out_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(CONFIG.format(interval="1h"))
    done = await monitor("check", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err.splitlines() == [
        "note: nightly backup is skipped: it sends heartbeats to a running daemon",
        "error: there is nothing else to check",
    ]
