"""`monitor check`: what the first probe of each kind has to import makes nothing unknown."""

from __future__ import annotations

import time
from typing import ClassVar

import attrs
import trio
from support.probes import endpoint

from monitor import oneshot
from monitor.api import Check, Probe, Verdict
from monitor.core.model import Code, Status


class Rounds(trio.abc.Instrument):
    """Counts them."""

    def __init__(self) -> None:
        self.done = 0

    def before_io_wait(self, timeout: float) -> None:
        self.done += 1


@attrs.frozen(kw_only=True)
class First(Check):
    """Notes the round in which it begins."""

    rounds: ClassVar[Rounds] = Rounds()
    began: ClassVar[dict[str, int]] = {}

    async def probe(self, probe: Probe) -> Verdict:
        if not self.began:
            trio.lowlevel.add_instrument(self.rounds)
        self.began[type(self).__name__] = self.rounds.done
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Second(First):
    """As the first."""


@attrs.frozen(kw_only=True)
class Third(First):
    """As the first."""


@attrs.frozen(kw_only=True)
class Loading(Check):
    """Never answers; for the first probe it holds up the loop, as importing much on a small machine does."""

    probes: ClassVar[list[str]] = []

    async def probe(self, probe: Probe) -> Verdict:
        self.probes.append(probe.endpoint)
        if len(self.probes) == 1:
            time.sleep(0.2)  # noqa: ASYNC251 - the point
        await trio.sleep_forever()
        raise AssertionError


def test_what_was_loaded_meanwhile_does_not_hide_that_nobody_answers():
    slow = endpoint(Loading(), name="mute", timeout=0.4)
    (seen,) = oneshot.run([slow], concurrency=9, mask=None, on_start=lambda _: None, on_result=lambda *_: None)
    assert (seen.status, seen.reason.code) == (Status.DOWN, Code.TIMEOUT)
    assert Loading.probes == ["mute"] * 2


def test_the_first_probes_of_the_kinds_begin_in_rounds_of_their_own():
    endpoints = [endpoint(check(), name=check.__name__) for check in (First, Second, Third)]
    seen = oneshot.run(endpoints, concurrency=9, mask=None, on_start=lambda _: None, on_result=lambda *_: None)
    assert [each.status for each in seen] == [Status.UP] * 3
    assert len(set(First.began.values())) == 3
