"""The loop's watchdog, with loops that really stand still."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import attrs
import pytest
import trio
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock
from monitor.watchdog import watched

PATIENCE = 30.0  # seconds; only who is not seen needs them


@attrs.frozen(kw_only=True, eq=False)
class Holds(Check):
    """Holds up the loop until somebody has noticed."""

    noticed: Callable[[], bool]
    own_task = True

    async def probe(self, probe: Probe) -> Verdict:
        deadline = time.monotonic() + PATIENCE
        while not self.noticed() and time.monotonic() < deadline:
            time.sleep(0.02)  # noqa: ASYNC251 - what it is about
        return Verdict.up()


@attrs.frozen(kw_only=True, eq=False)
class HoldsHere(Holds):
    """The same in the task of whoever calls it."""

    own_task = False


def never(why: str) -> None:
    raise AssertionError(why)


@pytest.mark.parametrize("kind", [Holds, HoldsHere])
async def test_who_holds_up_the_loop_is_named_once(kind: type[Holds], caplog: pytest.LogCaptureFixture) -> None:
    clock, seen = SystemClock(), list[str]()
    clock.stalled()
    with watched(clock, count=seen.append, give_up=never):
        check = kind(noticed=lambda: bool(seen) and bool(caplog.records))
        await probe_once(endpoint(check, name="shop", timeout=60), net=SocketNet(), clock=clock, mask=None)
        with trio.fail_after(PATIENCE):
            while len(caplog.records) < 2:
                await trio.sleep(0.05)
    assert seen == ["shop"]
    held, over = (record.getMessage() for record in caplog.records)
    assert held.startswith("the check of shop holds up the event loop, and with it every other check, for 1")
    assert "at probe (test_watchdog.py:" in held
    assert 'isolation = "process"' in held
    assert over == "the event loop came round again"


async def test_what_is_no_check_is_told_as_what_it_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    clock, seen = SystemClock(), list[str]()
    clock.stalled()
    with watched(clock, count=seen.append, give_up=never):
        while not caplog.records:
            time.sleep(0.02)  # noqa: ASYNC251
    assert seen == [""]
    assert "test_what_is_no_check_is_told_as_what_it_is" in caplog.records[0].getMessage()


async def test_a_loop_with_nothing_to_do_is_in_order(caplog: pytest.LogCaptureFixture) -> None:
    clock, seen = SystemClock(), list[str]()
    clock.stalled()
    with watched(clock, count=seen.append, give_up=never, patience=20):
        await trio.sleep(0.8)
    assert seen == []


def test_a_loop_that_does_not_come_back_is_given_up() -> None:
    ran = subprocess.run(program("time.sleep(60)", 0.5), capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 3
    assert ran.stderr.startswith("the event loop has not come round for ")
    assert "; ended by force. It was here:" in ran.stderr
    assert "Current thread" in ran.stderr  # and every other
    assert ran.stderr.count('File "<string>", line 12 in main') == 1


def test_a_process_that_was_stopped_is_not_one_that_hangs() -> None:
    work = "print(flush=True); await trio.to_thread.run_sync(input)"
    running = subprocess.Popen(program(work, 2.0), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGSTOP)
        time.sleep(3)
        running.send_signal(signal.SIGCONT)
        running.communicate(b"\n", timeout=60)
        assert running.returncode == 0
    finally:
        running.kill()


def program(work: str, patience: float) -> list[str]:
    """A process whose loop does *work*, and is watched."""
    text = f"""
        import time, trio
        from monitor.signals import end_by_force
        from monitor.system import SystemClock
        from monitor.watchdog import watched

        async def main():
            clock = SystemClock()
            clock.stalled()
            end = lambda why: end_by_force(why, every_thread=True)
            with watched(clock, count=print, give_up=end, patience={patience}):
                {work}

        trio.run(main)
        """
    return [sys.executable, "-c", textwrap.dedent(text)]
