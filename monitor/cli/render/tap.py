"""Results in the Test Anything Protocol, version 13 (https://testanything.org): a line for each endpoint.

`degraded` is ok, as it counts as up; why it is degraded stands beneath, as does why something is not ok.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from monitor.core.model import Status
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.core.model import Endpoint, Observation


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation]) -> str:
    """Render them; diagnostics are YAML blocks, of JSON strings and numbers."""
    lines = ["TAP version 13", f"1..{len(seen)}"]
    for number, (endpoint, each) in enumerate(zip(endpoints, seen, strict=True), 1):
        ok = "ok" if each.status in (Status.UP, Status.DEGRADED) else "not ok"
        name = printable(endpoint.name).replace("#", r"\#")  # a hash alone would begin a directive
        lines.append(f"{ok} {number} - {name}")
        if each.status is not Status.UP:
            lines += _diagnostics(endpoint, each)
    return "\n".join(lines)


def _diagnostics(endpoint: Endpoint, seen: Observation) -> Iterator[str]:
    yield "  ---"
    for key, value in (
        ("status", str(seen.status)),
        ("message", seen.reason.message),
        ("code", str(seen.reason.code)),
        ("phase", seen.reason.phase),
        ("target", endpoint.target),
        ("duration", seen.duration),
    ):
        yield f"  {key}: {json.dumps(value)}"
    yield "  ..."
