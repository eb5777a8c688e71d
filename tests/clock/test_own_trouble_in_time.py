"""Time lost to the monitor's own trouble is not the endpoint's: what is left of the deadline proves nothing."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from support.ports import TrioClock
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict
from monitor.core.model import Status
from monitor.probing import probe_once


class Connection:
    def close(self) -> None:
        pass


class Busy:
    """A net that has no free DNS worker for a while, and an endpoint that then takes its time."""

    drive = None

    def __init__(self, wait: float, answer: float) -> None:
        self._wait = wait
        self._answer = answer

    async def connect(self, *args: Any, trace: Any, **kwargs: Any) -> Any:
        trace.phase("resolve")
        trace.own_trouble = "no DNS worker was free in time"
        await trio.sleep(self._wait)
        trace.own_trouble = None
        trace.phase("connect")
        await trio.sleep(self._answer)
        return Connection()


@attrs.frozen(kw_only=True)
class Connects(Check):
    async def probe(self, probe: Probe) -> Verdict:
        await probe.connect("it.example.org", 80)
        return Verdict.up()


@pytest.mark.parametrize(
    ("wait", "answer", "expected"),
    [
        (4.9, 0.05, Status.UP),
        (4.9, 1.0, Status.UNKNOWN),  # it might have answered, had it been asked in time
        (99.0, 0.0, Status.UNKNOWN),
        (0.2, 99.0, Status.DOWN),  # a moment's wait excuses nothing
    ],
)
async def test_a_wait_of_our_own_is_no_failure_of_the_endpoint(
    autojump_clock: trio.testing.MockClock, wait: float, answer: float, expected: Status
) -> None:
    seen = await probe_once(endpoint(Connects()), net=Busy(wait, answer), clock=TrioClock(), mask=None)
    assert seen.status is expected, seen.reason.message
