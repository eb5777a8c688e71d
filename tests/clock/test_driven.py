"""What the engine makes of a probe that its net drives: its time ends when the check does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import trio
from support.nets import ConnectNet
from support.ports import TrioClock
from support.probes import endpoint

from monitor.api import Check, Probe, Verdict
from monitor.probing import probe_once

if TYPE_CHECKING:
    from collections.abc import Coroutine


@attrs.frozen(kw_only=True)
class Connects(Check):
    own_task: ClassVar[bool] = False

    @property
    def _only_connects(self) -> bool:
        return True

    async def probe(self, probe: Probe) -> Verdict:
        probe.phase("connect")
        await probe.connect("shop.test", 80)
        return Verdict.up()


class BusyNet(ConnectNet):
    """Drives others for five seconds before it wakes a probe that is over."""

    @staticmethod
    async def drive(  # type: ignore[override] # None in the base
        coroutine: Coroutine[Any, Any, None], *, timeout: float, deadline: float
    ) -> None:
        await coroutine
        await trio.sleep(5)


async def test_what_comes_after_the_check_is_no_latency_and_no_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    seen = await probe_once(endpoint(Connects(), timeout=1), net=BusyNet(), clock=TrioClock(), mask=None)
    assert (seen.status, seen.duration, seen.phases) == ("up", 0.1, {"connect": 0.1})
