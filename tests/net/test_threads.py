"""Checks over synchronous libraries: real threads, some of which never come back while the test lasts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict, check_option
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock
from monitor.threads import Threads, use_in_this_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.core.model import Observation

SOON = 0.1  # a deadline that passes
LATE = 60.0  # one that does not


class Steady(SystemClock):
    """A busy machine is not what these tests are about."""

    def stalled(self) -> float:
        return 0.0


async def look(check: Check, **settings: Any) -> Observation:
    return await probe_once(endpoint(check, **settings), net=SocketNet(), clock=Steady(), mask=None)


@attrs.frozen(kw_only=True, eq=False)
class Calls(Check):
    """Calls what it was made with, in a thread."""

    work: Callable[[], object] = check_option(doc="what to call")

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("processing")
        probe.facts["returned"] = await probe.in_thread(self.work)
        return Verdict.up()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Who waits for it hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def test_what_it_returns_is_what_the_call_returned() -> None:
    seen = await look(Calls(work=lambda: threading.current_thread().name), name="db", timeout=LATE)
    assert (seen.status, seen.facts["returned"]) == ("up", "check:db")


@pytest.mark.parametrize(
    "error", [ValueError("no such table"), SystemExit("no such table"), RuntimeError("no such table")]
)
async def test_what_it_raises_is_what_the_call_raised(error: BaseException) -> None:
    def work() -> None:
        raise error

    seen = await look(Calls(work=work), timeout=LATE)
    text = f"the check crashed: {type(error).__name__}: no such table"
    assert (seen.status, seen.reason.code, seen.reason.message) == ("unknown", "crash", text)


async def test_a_call_that_hangs_is_left_behind_at_the_deadline(gate: threading.Event) -> None:
    seen = await look(Calls(work=gate.wait), timeout=SOON)
    assert (seen.status, seen.reason.message) == ("down", "no answer within 100 ms (during processing)")


async def test_calls_that_hang_stall_nobody(gate: threading.Event) -> None:
    use_in_this_run(Threads(at_once=2))
    for number in range(6):
        assert (await look(Calls(work=gate.wait), name=f"stuck-{number}", timeout=SOON)).reason.code == "timeout"
    assert (await look(Calls(work=lambda: 1), timeout=LATE)).status == "up"


async def test_an_endpoint_that_hangs_is_down_and_then_nobody_can_tell(gate: threading.Event) -> None:
    hangs = Calls(work=gate.wait)
    for _ in range(4):
        assert (await look(hangs, name="db", timeout=SOON)).status == "down"
    seen = await look(hangs, name="db", timeout=LATE)
    assert (seen.status, seen.reason.code) == ("unknown", "internal")
    assert seen.reason.message.startswith("4 calls of earlier probes have not come back, the first for ")
    assert (await look(Calls(work=lambda: 1), name="another", timeout=LATE)).status == "up"


async def test_once_a_call_is_back_there_is_room_again() -> None:
    use_in_this_run(Threads(most_left_by_one=1))
    gate = threading.Event()
    assert (await look(Calls(work=gate.wait), timeout=SOON)).status == "down"
    assert (await look(Calls(work=lambda: 1), timeout=LATE)).status == "unknown"
    gate.set()
    with trio.fail_after(LATE):
        while (await look(Calls(work=lambda: 1), timeout=LATE)).status == "unknown":
            await trio.sleep(0.001)


async def test_all_that_were_left_behind_are_bounded_too(gate: threading.Event) -> None:
    use_in_this_run(Threads(most_left=2))
    for name in ("a", "b"):
        assert (await look(Calls(work=gate.wait), name=name, timeout=SOON)).status == "down"
    seen = await look(Calls(work=lambda: 1), name="c", timeout=LATE)
    assert (seen.status, seen.reason.message) == ("unknown", "2 calls of probes have not come back: no more are begun")


async def test_no_free_thread_is_our_own_trouble(nursery: trio.Nursery, gate: threading.Event) -> None:
    use_in_this_run(Threads(at_once=1))
    begun = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def work() -> None:
        token.run_sync_soon(begun.set)
        gate.wait()

    nursery.start_soon(look, Calls(work=work))
    await begun.wait()
    seen = await look(Calls(work=lambda: 1), timeout=SOON)
    assert (seen.status, seen.reason.message) == ("unknown", "no thread was free in time")
    gate.set()


async def test_a_call_can_ask_whether_it_is_still_wanted() -> None:
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def work() -> None:
        try:
            while not threading.Event().wait(0.005):
                trio.from_thread.check_cancelled()
        finally:
            token.run_sync_soon(ended.set)

    assert (await look(Calls(work=work), timeout=SOON)).status == "down"
    with trio.fail_after(LATE):
        await ended.wait()


@attrs.frozen(kw_only=True)
class Hurries(Check):
    """Says how much time it has."""

    async def probe(self, probe: Probe) -> Verdict:
        probe.facts["left"] = probe.time_left()
        await trio.lowlevel.checkpoint()
        probe.facts["then"] = probe.time_left()
        return Verdict.up()


async def test_the_time_left_is_for_timeouts_of_the_librarys_own(autojump_clock: object) -> None:
    seen = await look(Hurries(), timeout=3.0)
    assert 0 < seen.facts["then"] <= seen.facts["left"] <= 3.0


NO_ROOM = """
import threading, trio
from monitor.core.errors import ProbeError
from monitor.probe import Probe
from monitor.system import SystemClock

async def main():
    threading.stack_size(1 << 46)
    try:
        await Probe(net=None, clock=SystemClock()).in_thread(print, "called")
    except ProbeError as error:
        print(error.reason.code.status, error.reason.message)

trio.run(main)
"""


def test_a_machine_without_room_for_a_thread_is_our_own_trouble() -> None:
    done = subprocess.run([sys.executable, "-c", NO_ROOM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "unknown the monitor cannot start a thread: can't start new thread\n"
