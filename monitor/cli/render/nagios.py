"""Results as a Nagios plugin's output: one line with a status and performance data, then a line for each endpoint.

The format is that of https://nagios-plugins.org/doc/guidelines.html; the exit codes of `check` are a plugin's anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from monitor.core.model import Status
from monitor.core.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.core.model import Endpoint, Observation

_WORDS = {Status.UP: "OK", Status.DEGRADED: "WARNING", Status.DOWN: "CRITICAL", Status.UNKNOWN: "UNKNOWN"}
_PLAIN_LABEL = re.compile(r"[A-Za-z0-9_./:-]+")


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation], worst: Status) -> str:
    """Render them; the first line says the worst. Performance data: seconds, with the deadline as the maximum."""
    results = list(zip(endpoints, seen, strict=True))
    data = " ".join(_performance(results))
    if len(results) == 1:
        return f"MONITOR {_WORDS[worst]} - {_line(*results[0])} | {data}"
    counts = Counter(each.status for each in seen)
    summary = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    first = f"MONITOR {_WORDS[worst]} - {counted(len(results), 'endpoint')}: {summary} | {data}"
    lines = [f"[{_WORDS[each.status]}] {_line(endpoint, each)}" for endpoint, each in results]
    return "\n".join([first, *lines])


def _line(endpoint: Endpoint, seen: Observation) -> str:
    said = seen.reason.message or f"{seen.status} in {seen.duration:.3f} s"
    # A bar would begin performance data.
    return printable(f"{endpoint.name}: {said}").replace("|", "¦")


def _performance(results: Sequence[tuple[Endpoint, Observation]]) -> Iterator[str]:
    alone = len(results) == 1
    for endpoint, seen in results:
        whole = "time" if alone else endpoint.name
        yield f"{_label(whole)}={seen.duration:.6f}s;;;0;{float(endpoint.timeout):g}"
        for phase, seconds in seen.phases.items():
            yield f"{_label(phase if alone else f'{endpoint.name}::{phase}')}={seconds:.6f}s;;;0"


def _label(text: str) -> str:
    """A label of performance data: quoted where it must be; it may hold neither `=` nor a bar."""
    text = printable(text).replace("=", "_").replace("|", "¦")
    return text if _PLAIN_LABEL.fullmatch(text) else "'" + text.replace("'", "''") + "'"
