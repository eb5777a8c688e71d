"""`invert`: of what should not work, failing is up, and working, well or badly, is down; unknown stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
import trio
from support.nets import ConnectNet
from support.ports import TrioClock
from support.probes import endpoint

from monitor.api import Check, Code, Fact, Probe, ProbeError, Reason, Verdict, check_option
from monitor.probing import probe_once

if TYPE_CHECKING:
    from monitor.core.model import Observation

Jump = trio.testing.MockClock


@attrs.frozen(kw_only=True, eq=False)
class Answering(Check):
    """A check that answers as told, or does not."""

    facts: ClassVar[Mapping[str, Fact] | None] = {"size": Fact(5, "how large it is")}

    answer: Verdict | BaseException | None = check_option(doc="what it answers; None: nothing", default=None)

    async def probe(self, probe: Probe) -> Verdict:
        probe.facts["size"] = 5
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is None:
            await trio.sleep_forever()
        assert self.answer is not None
        return self.answer


async def look(answer: Verdict | BaseException | None, **settings: object) -> Observation:
    watched = endpoint(Answering(answer=answer), invert=True, **settings)  # type: ignore[arg-type]
    return await probe_once(watched, net=ConnectNet(), clock=TrioClock(), mask=None)


REFUSED = ProbeError(Reason(Code.CONNECT, "connect", "connection refused"))
UP, SLOW, DOWN = Verdict.up(), Verdict.degraded("it is slow"), Verdict.down("expected 200, got 503")


@pytest.mark.parametrize(
    ("answer", "status", "code", "message"),
    [
        (UP, "down", "expectation", "expected it to fail (invert), it is up"),
        (SLOW, "down", "expectation", "expected it to fail (invert), it is degraded: it is slow"),
        (DOWN, "up", "ok", ""),
        (REFUSED, "up", "ok", ""),
        (None, "up", "ok", ""),  # a timeout
        (Verdict.unknown("no descriptors"), "unknown", "internal", "no descriptors"),
        (ValueError("a bug"), "unknown", "crash", "the check crashed: ValueError: a bug"),
    ],
)
async def test_what_was_found_is_turned_round(
    answer: Verdict | BaseException | None, status: str, code: str, message: str, autojump_clock: Jump
) -> None:
    seen = await look(answer)
    assert (seen.status, seen.reason.code, seen.reason.message) == (status, code, message)
    assert seen.facts == {"size": 5}, "what was seen is what was seen"


@pytest.mark.parametrize(
    ("expect", "degraded", "status"),
    [("size == 5", "size == 5", "down"), ("size == 6", "true", "up"), ("size == 5", "size == 6", "down")],
)
async def test_expectations_come_first(expect: str, degraded: str, status: str, autojump_clock: Jump) -> None:
    assert (await look(UP, expect=[expect], degraded=[degraded])).status == status
