"""Calls in threads under `look`: virtual time waits for them, and no longer than one is patient."""

from __future__ import annotations

import threading

import attrs

from monitor.api import Check, Probe, Verdict, check_option
from monitor.testing import check_of, look

OPEN = threading.Event()  # who waits for it comes back when a test sets it


@attrs.frozen(kw_only=True)
class Waits(Check):
    """Waits in a thread."""

    seconds: float = check_option(doc="how long, in real time")

    async def probe(self, probe: Probe) -> Verdict:
        """Wait."""
        came = await probe.in_thread(OPEN.wait, self.seconds)
        return Verdict.up() if not came else Verdict.down("expected to wait in vain")


def test_virtual_time_stands_still_while_a_call_works() -> None:
    seen = look(check_of(Waits, seconds=0.05), timeout=0.001)
    assert (seen.status, seen.duration) == ("up", 0.0)


def test_a_call_that_hangs_runs_into_the_deadline() -> None:
    try:
        seen = look(check_of(Waits, seconds=60.0), timeout=3600, patience=0.05)
    finally:
        OPEN.set()
    assert (seen.reason.code, seen.duration) == ("timeout", 3600)
