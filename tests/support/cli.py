"""Drives the real process: `python -m monitor` with an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = (sys.executable, "-m", "monitor")
PATIENCE = 60.0  # seconds; only a process that hangs needs them


@attrs.frozen
class Result:
    """How the process ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed on stdout, line by line."""
        return self.out.splitlines()


def environment(**more: str) -> dict[str, str]:
    """A bare environment: what the tests' own says about colour, configs or Python stays out."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "PYTHONWARNINGS": "error", **more}


async def monitor(*args: str, cwd: Path, given: bytes = b"", **more: str) -> Result:
    """Run `monitor` with *args* in *cwd*, *given* on its stdin, *more* in its environment, to its end."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            [*PROGRAM, *args],
            stdin=given,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=cwd,
            env=environment(**more),
        )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


async def start(*args: str, cwd: Path, program: str = "monitor", **more: str) -> trio.Process:
    """Start `monitor`, or another *program* that is it in the end, with pipes for stdout and stderr."""
    return await trio.lowlevel.open_process(
        [*PROGRAM[:-1], program, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment(**more),
    )


async def killed(process: trio.Process) -> None:
    """See to it that *process* is gone, however the test ended."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                await stream.aclose()


async def rest(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes until the end."""
    read = b""
    async for chunk in stream:
        read += chunk
    return read
