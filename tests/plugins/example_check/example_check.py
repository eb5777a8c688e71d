"""`queue_depth`: is the work queue short enough?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

import attrs

from monitor.api import Check, Fact, Metric, Probe, Verdict, check_option


@attrs.frozen(kw_only=True)
class QueueDepth(Check):
    """Ask a work queue for its length; down when too many jobs wait."""

    facts: ClassVar[Mapping[str, Fact] | None] = {
        "depth": Fact(0, "how many jobs wait", metrics=(Metric("probe_queue_depth", "How many jobs wait."),)),
    }

    url: str = check_option(doc='answers with a document such as {"depth": 12}')
    most: int = check_option(default=100, doc="how many jobs may wait")

    async def probe(self, probe: Probe) -> Verdict:
        """Fetch the document and compare."""
        answer = await probe.http.get(self.url)
        try:
            depth = int(json.loads(answer.content)["depth"])
        except (ValueError, KeyError, TypeError):
            return Verdict.down(f'expected a document with a number "depth", got status {answer.status_code}')
        probe.facts["depth"] = depth
        if depth <= self.most:
            return Verdict.up()
        return Verdict.down(f"expected at most {self.most} waiting jobs, got {depth}")
