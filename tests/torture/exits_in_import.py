"""A module that can be loaded by the monitor, and not by its workers."""

from __future__ import annotations

import os
import sys
import time

import attrs

from monitor.api import Check, Probe, Verdict

__all__ = ["Importing", "os", "time"]

if any("monitor.processes.zygote" in each for each in sys.orig_argv):
    os._exit(5)


@attrs.frozen(kw_only=True)
class Importing(Check):
    """Would answer, if it were there."""

    async def probe(self, probe: Probe) -> Verdict:
        return Verdict.up()
