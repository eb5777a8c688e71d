"""The checks that misbehave: one class, and a function for each way. Every process leaves a file with its number."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import trio

from monitor.api import Check, Probe, Verdict, check_option


@attrs.frozen(kw_only=True)
class Misbehaving(Check):
    """Does what *how* says."""

    how: str = check_option(doc="the name of a function of this module")
    place: Path = check_option(doc="where each process leaves its number")

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("processing")
        self.place.joinpath(f"{os.getpid()}.worker").touch()  # which may go on where the rest must not
        answer = await WAYS[self.how](probe, self.place)
        return Verdict.up() if answer is None else answer


Way = Callable[[Probe, Path], Awaitable[Any]]
WAYS: dict[str, Way] = {}


def way(function: Way) -> Way:
    WAYS[function.__name__] = function
    return function


def here(place: Path) -> None:
    """Leave this process's number in *place*."""
    place.joinpath(str(os.getpid())).touch()


def daemon(place: Path, work: Callable[[], None] = lambda: time.sleep(1000)) -> None:
    """Do *work* in a process that has a session of its own, and no parent."""
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            here(place)
            os.closerange(0, 100)
            work()
        os._exit(0)
    os.waitpid(child, 0)


@way
async def behaves(probe: Probe, place: Path) -> None:
    probe.facts["depth"] = 3


@way
async def blocks(probe: Probe, place: Path) -> None:
    time.sleep(1000)  # noqa: ASYNC251 - what this file is about


@way
async def blocks_for_a_while(probe: Probe, place: Path) -> None:
    time.sleep(1.5)  # noqa: ASYNC251


@way
async def spins(probe: Probe, place: Path) -> None:
    while True:
        pass


@way
async def spins_and_lets_nobody_in(probe: Probe, place: Path) -> None:
    re.fullmatch("(a+)+b", "a" * 50)  # holds the interpreter's lock


@way
async def swallows_cancelled(probe: Probe, place: Path) -> None:
    while True:
        try:
            await trio.sleep_forever()
        except BaseException:  # noqa: BLE001
            continue


@way
async def hides_from_cancelled(probe: Probe, place: Path) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@way
async def hides_for_a_while(probe: Probe, place: Path) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(1.5)


@way
async def waits(probe: Probe, place: Path) -> None:
    probe.facts["depth"] = 3
    await trio.sleep_forever()


@way
async def raises(probe: Probe, place: Path) -> None:
    raise ValueError("boom")


@way
async def recurses(probe: Probe, place: Path) -> None:
    await recurses(probe, place)


@way
async def answers_nonsense(probe: Probe, place: Path) -> str:
    return "up"


@way
async def exits(probe: Probe, place: Path) -> None:
    sys.exit(7)


@way
async def exits_at_once(probe: Probe, place: Path) -> None:
    os._exit(7)


@way
async def aborts(probe: Probe, place: Path) -> None:
    os.abort()


@way
async def segfaults(probe: Probe, place: Path) -> None:
    ctypes.string_at(0)


@way
async def kills_itself(probe: Probe, place: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@way
async def stops_itself(probe: Probe, place: Path) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@way
async def kills_its_keeper(probe: Probe, place: Path) -> None:
    daemon(place)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)  # noqa: ASYNC251


@way
async def blocks_every_signal(probe: Probe, place: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    time.sleep(1000)  # noqa: ASYNC251


@way
async def leaves_a_daemon(probe: Probe, place: Path) -> None:
    daemon(place)


@way
async def leaves_zombies(probe: Probe, place: Path) -> None:
    for _ in range(20):
        if os.fork() == 0:
            here(place)
            os._exit(0)


@way
async def leaves_a_program(probe: Probe, place: Path) -> None:
    subprocess.Popen(["sh", "-c", f"(setsid sh -c 'touch {place}/$$; sleep 1000' &)"]).wait()  # noqa: ASYNC220


@way
async def daemons_and_blocks(probe: Probe, place: Path) -> None:
    for _ in range(5):
        daemon(place, lambda: daemon(place))
    time.sleep(1000)  # noqa: ASYNC251


@way
async def daemons_that_ignore_signals(probe: Probe, place: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    daemon(place)
    time.sleep(1000)  # noqa: ASYNC251


@way
async def forks_a_bomb(probe: Probe, place: Path) -> None:
    while sum(1 for _ in place.iterdir()) < 150:  # bounded, for the sake of the machine
        os.fork()
        here(place)
    while True:
        time.sleep(0.01)  # noqa: ASYNC251


@way
async def forks_ahead_of_whoever_looks(probe: Probe, place: Path) -> None:
    until = time.monotonic() + 20  # bounded, for the sake of the machine
    while time.monotonic() < until:
        if os.fork():
            os._exit(0)
    os._exit(0)


@way
async def floods_stdout(probe: Probe, place: Path) -> None:
    while True:
        print("flood" * 1000)


@way
async def floods_stderr_and_answers(probe: Probe, place: Path) -> None:
    for _ in range(2000):
        print("flood" * 1000, file=sys.stderr)


@way
async def floods_its_facts(probe: Probe, place: Path) -> None:
    probe.facts["text"] = "x" * 50_000_000
    for number in range(100_000):
        probe.facts[f"fact {number}"] = [number] * 10


@way
async def floods_its_phases(probe: Probe, place: Path) -> None:
    for number in range(20_000):
        probe.phase(f"phase {number}")


@way
async def talks_rubbish(probe: Probe, place: Path) -> None:
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\xff" * 100)
        except OSError:
            continue


@way
async def talks_json(probe: Probe, place: Path) -> None:
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\0\0\0\x14" + b'{"seen": {"a": NaN}}')
        except OSError:
            continue


@way
async def begins_a_message(probe: Probe, place: Path) -> None:
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\0\0\xff\xff")
        except OSError:
            continue
    await trio.sleep_forever()


@way
async def closes_everything(probe: Probe, place: Path) -> None:
    os.closerange(0, 100)


@way
async def takes_memory(probe: Probe, place: Path) -> None:
    kept = []
    while True:
        kept.append(bytearray(1_000_000))


@way
async def takes_memory_in_children(probe: Probe, place: Path) -> None:
    for _ in range(8):
        if os.fork() == 0:
            here(place)
            break
    kept = [bytearray(b"x" * 1_000_000) for _ in range(40)]
    time.sleep(1000 + len(kept))  # noqa: ASYNC251


@way
async def leaves_a_thread(probe: Probe, place: Path) -> None:
    threading.Thread(target=time.sleep, args=(1000,)).start()


@way
async def writes_to_nobody(probe: Probe, place: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, contextlib.suppress(BrokenPipeError):
        ours.send(b"hello?")


@way
async def changes_its_process(probe: Probe, place: Path) -> None:
    os.chdir("/")
    os.umask(0)
    sys.stdout = sys.stderr = None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.clear()


@way
async def leaks_a_nursery(probe: Probe, place: Path) -> None:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
