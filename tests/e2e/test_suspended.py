"""A daemon that was stopped in the middle of a probe blames nobody."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import trio
from support.daemon import daemon, until
from support.probes import http, read_request, serve

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_stop_of_the_process_makes_nothing_down(tmp_path: Path, nursery: trio.Nursery) -> None:
    asked, may_answer = trio.Event(), trio.Event()
    may_answer.set()

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        asked.set()
        await may_answer.wait()
        await stream.send_all(http(200))

    port = await serve(nursery, handler)
    (tmp_path / "config.toml").write_text(f"""
        [monitor]
        listen = "127.0.0.1:0"
        [defaults]
        interval = "2s"
        timeout = "1s"
        failure_threshold = 1
        [[endpoint]]
        name = "it"
        url = "http://127.0.0.1:{port}/"
    """)
    async with daemon(tmp_path) as running:

        async def first_seen() -> bool:
            return await running.state("it") == "up"

        async def held_up() -> bool:
            [it] = (await running.get("/api/v1/endpoints"))["endpoints"]
            return it["status"] == "unknown"

        await until(first_seen, "the first probe")
        asked, may_answer = trio.Event(), trio.Event()
        await asked.wait()  # a probe is under way
        running.process.send_signal(signal.SIGSTOP)
        await trio.sleep(2)  # beyond its deadline
        running.process.send_signal(signal.SIGCONT)
        await until(held_up, "an unknown observation")
        may_answer.set()
        moves = (await running.get("/api/v1/transitions"))["transitions"]
        assert [(move["from"], move["to"]) for move in moves] == [("pending", "up")]
        assert await running.stop() == 0
    nursery.cancel_scope.cancel()


async def test_a_check_that_blocks_is_named_and_makes_nobody_down(tmp_path: Path) -> None:
    (tmp_path / "blocks.py").write_text("""
import time
import attrs
from monitor.api import Check, Probe, Verdict

@attrs.frozen(kw_only=True)
class Blocks(Check):
    seconds: float = 0.0
    target = "here"

    async def probe(self, probe: Probe) -> Verdict:
        time.sleep(self.seconds)
        return Verdict.up()
""")
    (tmp_path / "config.toml").write_text("""
        [monitor]
        listen = "127.0.0.1:0"
        [plugins.checks]
        blocks = "blocks.py:Blocks"
        [defaults]
        interval = "2s"
        timeout = "500ms"
        failure_threshold = 1
        [[endpoint]]
        name = "blocker"
        check = "blocks"
        seconds = 1.7
        [[endpoint]]
        name = "sleeper"
        check = "exec"
        command = ["sleep", "0.1"]
    """)
    async with daemon(tmp_path) as running:

        async def named() -> bool:
            return "the check of blocker holds up the event loop" in running.log

        async def counted() -> bool:
            return await running.metric('monitor_loop_stalls_total{endpoint="blocker"}') >= 1

        await until(named, "the log says who it is")
        await until(counted, "the metric counts it")
        moves = (await running.get("/api/v1/transitions"))["transitions"]
        assert "down" not in {move["to"] for move in moves}
        assert await running.stop() == 0
