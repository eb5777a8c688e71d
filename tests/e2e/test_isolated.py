"""Isolated checks and programs below the real process: nothing outlives it, however it ends."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support.below import until_gone
from support.cli import monitor
from support.daemon import daemon, until

from monitor.processes.tree import below

if TYPE_CHECKING:
    from pathlib import Path

CHECK = """
import os, time
import attrs
from monitor.api import Check, Probe, Verdict

@attrs.frozen(kw_only=True)
class Blocks(Check):
    target = "here"

    async def probe(self, probe: Probe) -> Verdict:
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        time.sleep(1000)
"""
CONFIG = """
[monitor]
listen = "127.0.0.1:0"

[plugins.checks]
blocks = "blocks.py:Blocks"

[defaults]
interval = "1s"

[[endpoint]]
name = "blocked"
check = "blocks"
isolation = "process"
timeout = "{timeout}"

[[endpoint]]
name = "sleeping"
check = "exec"
command = ["sh", "-c", "sleep 1000 & sleep 1000"]
timeout = "{timeout}"

[[endpoint]]
name = "fine"
check = "exec"
command = ["true"]
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
async def test_nothing_outlives_the_daemon(tmp_path: Path, number: signal.Signals, code: int) -> None:
    (tmp_path / "blocks.py").write_text(CHECK)
    (tmp_path / "config.toml").write_text(CONFIG.format(timeout="1000s"))
    async with daemon(tmp_path) as running:
        pid = running.process.pid

        async def all_there() -> bool:
            # Two zygotes; a keeper, the check and its child; a keeper, the shell and its two.
            return len(below(pid)) >= 2 + 3 + 4

        await until(all_there, "everything is started")

        async def fine() -> bool:
            return await running.state("fine") == "up"

        await until(fine, "the one that is fine is up")
        started = below(pid)
        assert await running.stop(number) == code
        await until_gone(started)
        assert "traceback" not in running.log.lower()


async def test_a_one_shot_has_isolation_too(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text(CHECK)
    (tmp_path / "config.toml").write_text(CONFIG.format(timeout="1s"))
    ran = await monitor("check", "--format", "nagios", cwd=tmp_path)
    assert ran.code == 2
    assert ran.out.count("no answer within 1 s") == 2, ran.out
    assert ran.err == ""
