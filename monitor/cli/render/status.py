"""What a running daemon sees, as lines for people: the words of the page, the symbols of `check`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from monitor.cli.terminal import padded, width
from monitor.core.model import State
from monitor.core.quantities import lasting_text, seconds_text
from monitor.core.text import percent, printable
from monitor.web.words import counts, flag, headline, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.cli.terminal import Span, Terminal

SYMBOLS = {State.UP: "✓", State.DEGRADED: "!", State.DOWN: "✗", State.UNKNOWN: "?", State.PENDING: "·"}
_ASCII = {**SYMBOLS, State.UP: "+", State.DOWN: "x", State.PENDING: "."}
_STYLES = {
    State.UP: "green",
    State.DEGRADED: "yellow",
    State.DOWN: "red",
    State.UNKNOWN: "magenta",
    State.PENDING: "dim",
}
_WIDEST_NAME = 40
_HEADINGS = ("  STATE", "ENDPOINT", "SINCE", "LATENCY", "UP 24 H")


def lines(endpoints: Sequence[Mapping[str, Any]], now: datetime, terminal: Terminal) -> Iterator[list[Span]]:
    """All of it: the worst news, the counts, and a line for each of the API's *endpoints*, in their order."""
    states = [State(each["state"]) for each in endpoints]
    yield [(printable(headline(list(zip((each["name"] for each in endpoints), states, strict=True)))), *_loud(states))]
    if not endpoints:
        return
    yield [(counts(states, [name for each in endpoints for name in each.get("flags", ())]), "dim")]
    yield []
    rows = [_cells(each, now) for each in endpoints]
    columns = [max(width(row[index]) for row in [_HEADINGS, *rows]) for index in range(len(_HEADINGS))]
    columns[0], columns[1] = 11, min(columns[1], _WIDEST_NAME)
    yield [(_row(_HEADINGS, columns), "dim")]
    symbols = SYMBOLS if terminal.unicode else _ASCII
    for each, state, row in zip(endpoints, states, rows, strict=True):
        first, *others = row
        yield [
            (padded(f"{symbols[state]} {first}", columns[0]), _STYLES[state]),
            ("  " + _row(others, columns[1:]),),
            *_remarks(each, state),
        ]


def _loud(states: Sequence[State]) -> tuple[str, ...]:
    return (_STYLES[worst(states)], "bold") if states else ("bold",)


def _row(cells: Sequence[str], columns: Sequence[int]) -> str:
    return "  ".join(padded(cell, column) for cell, column in zip(cells, columns, strict=True))


def _cells(endpoint: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    """State, name, since when, latency, uptime: those of `_HEADINGS`."""
    since, latency, uptime = endpoint.get("since"), endpoint.get("latency"), endpoint["uptime"].get("24h")
    lasting = "" if since is None else lasting_text((now - datetime.fromisoformat(since)).total_seconds())
    return (
        endpoint["state"],
        printable(endpoint["name"]),
        lasting,
        "" if latency is None else seconds_text(latency),
        "" if uptime is None else percent(uptime),
    )


def _remarks(endpoint: Mapping[str, Any], state: State) -> Iterator[Span]:
    """What holds its alerts back, and why it is not up."""
    if flags := endpoint.get("flags"):
        yield (f"  [{', '.join(map(flag, flags))}]", "yellow")
    reason = endpoint.get("reason")
    if state not in (State.UP, State.PENDING) and reason and reason["message"]:
        yield (f"  {printable(reason['message'])}", "dim")
