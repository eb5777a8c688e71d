"""Results as lines for people; one endpoint a line, and its reason beneath where it is not up."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from monitor.cli.terminal import padded, width
from monitor.core.model import Status
from monitor.core.quantities import seconds_text
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.cli.terminal import Span, Terminal
    from monitor.core.model import Endpoint, Observation

_SYMBOLS = {Status.UP: "✓", Status.DEGRADED: "!", Status.DOWN: "✗", Status.UNKNOWN: "?"}
_ASCII = {**_SYMBOLS, Status.UP: "+", Status.DOWN: "x"}
_STYLES = {Status.UP: "green", Status.DEGRADED: "yellow", Status.DOWN: "red", Status.UNKNOWN: "magenta"}
_WIDEST_NAME = 40
_INDENT = " " * 12


@attrs.frozen
class Text:
    """Makes the lines; the columns fit all of *endpoints*."""

    terminal: Terminal
    explain: bool
    _name_columns: int

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint], terminal: Terminal, *, explain: bool) -> Text:
        """Measure the names."""
        widest = max((width(printable(endpoint.name)) for endpoint in endpoints), default=0)
        return cls(terminal, explain, min(widest, _WIDEST_NAME))

    def result(self, endpoint: Endpoint, seen: Observation) -> Iterator[list[Span]]:
        """All that is said of one endpoint."""
        symbol = (_SYMBOLS if self.terminal.unicode else _ASCII)[seen.status]
        yield self._row(symbol, str(seen.status), _STYLES[seen.status], endpoint, seen.duration)
        if seen.reason.message:
            yield [(_INDENT + seen.reason.message,)]  # printable, as every observation's is
        if self.explain:
            yield from self._evidence(endpoint, seen)

    def running(self, endpoint: Endpoint, elapsed: float | None) -> list[Span]:
        """The live line of an endpoint without a result; *elapsed* in seconds, None while it waits its turn."""
        word = "waiting" if elapsed is None else "checking"
        return self._row(" ", word, "dim", endpoint, elapsed)

    def summary(self, seen: Sequence[Observation]) -> str:
        """`12 endpoints: 10 up, 2 down`."""
        counts = Counter(each.status for each in seen)
        spans: list[Span] = [("1 endpoint: " if len(seen) == 1 else f"{len(seen)} endpoints: ",)]
        for status in Status:
            if counts[status]:
                comma = ", " if len(spans) > 1 else ""
                spans += [(comma,), (f"{counts[status]} {status}", _STYLES[status])]
        return self.terminal.line(spans)

    def _row(self, symbol: str, word: str, style: str, endpoint: Endpoint, seconds: float | None) -> list[Span]:
        name, target = printable(endpoint.name), printable(endpoint.target)
        took = "" if seconds is None else seconds_text(seconds)
        row: list[Span] = [
            (f"{symbol} {word:<9} ", style),
            (padded(name, self._name_columns),),
            (f" {took:>8}",),
        ]
        if target != name:  # a TARGET is its own name
            row.append((f"  {target}", "dim"))
        return row

    def _evidence(self, endpoint: Endpoint, seen: Observation) -> Iterator[list[Span]]:
        if seen.phases:
            dot = " · " if self.terminal.unicode else ", "
            phases = dot.join(f"{name} {seconds_text(spent)}" for name, spent in seen.phases.items())
            yield [(f"{_INDENT}phases: {printable(phases)}", "dim")]
        declared = getattr(endpoint.check, "facts", None) or {}
        for name, value in seen.facts.items():
            span = name in declared and isinstance(declared[name].sample, timedelta)
            yield [(f"{_INDENT}{printable(name)}: {_shown(value, span=span)}", "dim")]


def _shown(value: Any, *, span: bool) -> str:
    if span and isinstance(value, int | float):
        return seconds_text(value) if value >= 0 else f"-{seconds_text(-value)}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text)
