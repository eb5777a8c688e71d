"""A real daemon under test: the process, its URL, its log; whatever happens it is gone afterwards."""

from __future__ import annotations

import contextlib
import re
import signal
from typing import TYPE_CHECKING, Any

import httpx
import trio

from support.cli import killed, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

PATIENCE = 30.0  # seconds; only what hangs needs them


class Daemon:
    """A running `monitor run`."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.url = ""
        self.log = ""
        self.ended = trio.Event()

    async def listen(self) -> None:
        """Keep what it logs; a full pipe would be another test."""
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.log += chunk.decode()
        self.ended.set()

    async def ready(self) -> None:
        assert self.process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            more = await self.process.stdout.receive_some()
            if not more:
                await self.ended.wait()
                raise AssertionError(self.log)
            line += more
        match = re.fullmatch(rb"ready: (http://\S+)\n", line)
        assert match, line
        self.url = match[1].decode()

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(self.url + path)
            assert answer.status_code == 200, answer.text
            return answer.json()

    async def metric(self, sample: str) -> float:
        """The number of *sample*, a name with its labels, on /metrics; 0 where it is not there."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(self.url + "/metrics", timeout=30)
        lines = (line.rpartition(" ") for line in answer.text.splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    async def state(self, name: str) -> str:
        endpoints = (await self.get("/api/v1/endpoints"))["endpoints"]
        return str(next(each["state"] for each in endpoints if each["name"] == name))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; the exit code."""
        self.process.send_signal(number)
        code = await self.process.wait()
        await self.ended.wait()
        return code

    async def crash(self) -> None:
        """Kill it, as a power cut would."""
        self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def daemon(directory: Path, *args: str, ready: bool = True, **more: str) -> AsyncIterator[Daemon]:
    """Start `monitor run` in *directory*, and wait until it is ready unless told not to."""
    async with trio.open_nursery() as nursery:
        running = Daemon(await start("run", *args, cwd=directory, **more))
        try:
            nursery.start_soon(running.listen)
            if ready:
                with trio.fail_after(PATIENCE):
                    await running.ready()
            yield running
        finally:
            nursery.cancel_scope.cancel()
            await killed(running.process)


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until *condition* holds; fail, saying *what* did not happen, when it takes much too long."""
    with trio.move_on_after(PATIENCE):
        while not await condition():
            await trio.sleep(0.05)
        return
    raise AssertionError(f"waited {PATIENCE:.0f} s in vain: {what}")
