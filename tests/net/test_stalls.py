"""A monitor that was held up cannot tell: what it measured meanwhile is `unknown`, whatever it looks like."""

from __future__ import annotations

import time

import attrs
import pytest
import trio
from support.probes import look

from monitor.api import Check, Probe, Verdict
from monitor.core.model import Code, Status

UP = Verdict.up()


@attrs.frozen(kw_only=True)
class Slow(Check):
    """Takes its time, blocking the loop for a part of it."""

    blocking: float = 0.0
    waiting: float = 0.0
    verdict: Verdict = UP

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("processing")
        time.sleep(self.blocking)  # noqa: ASYNC251 - this is what must not make an endpoint down
        await trio.sleep(self.waiting)
        return self.verdict


@pytest.mark.parametrize("waiting", [0.0, 30.0])
async def test_a_deadline_that_passed_while_the_loop_stood_still_is_unknown(waiting: float) -> None:
    seen = await look(Slow(blocking=0.3, waiting=waiting), timeout=0.2)
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)
    assert seen.reason.message.startswith("the monitor was held up for ")
    assert seen.reason.phase == "processing"


async def test_a_latency_that_is_the_monitors_own_is_unknown() -> None:
    seen = await look(Slow(blocking=0.3), timeout=1.0, expect=["latency < duration('50ms')"])
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)


async def test_a_short_hold_up_may_be_most_of_a_latency() -> None:
    seen = await look(Slow(blocking=0.3), timeout=20.0, degraded=["latency < duration('50ms')"])
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)


async def test_a_refusal_is_one_however_long_it_took() -> None:
    refused = Slow(blocking=0.3, verdict=Verdict.down("refused", code=Code.CONNECT))
    seen = await look(refused, timeout=1.0, expect=["latency < duration('50ms')"])
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.CONNECT)


@pytest.mark.parametrize("code", [Code.TIMEOUT, Code.DNS])
async def test_what_was_given_up_on_while_the_loop_stood_still_is_unknown(code: Code) -> None:
    seen = await look(Slow(blocking=0.3, verdict=Verdict.down("no answer", code=code)), timeout=1.0)
    assert (seen.status, seen.reason.code) == (Status.UNKNOWN, Code.INTERNAL)


async def test_what_has_nothing_to_do_with_time_stands() -> None:
    seen = await look(Slow(blocking=0.3, verdict=Verdict.down("wrong answer")), timeout=1.0)
    assert (seen.status, seen.reason.message) == (Status.DOWN, "wrong answer")
    assert (await look(Slow(blocking=0.3), timeout=1.0)).status is Status.UP


async def test_a_short_hold_up_excuses_no_long_timeout() -> None:
    seen = await look(Slow(blocking=0.15, waiting=30.0), timeout=2.0)
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.TIMEOUT)
