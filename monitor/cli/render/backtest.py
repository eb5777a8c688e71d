"""What another config would have changed, as lines for people: each alert, then the sums, then what to mind."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from monitor.cli.terminal import padded, width
from monitor.core.quantities import seconds_text
from monitor.core.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from monitor.backtest import Comparison
    from monitor.cli.terminal import Span
    from monitor.core.backtest import Alerted, Difference, Row, Sum

    Styled = tuple[Sequence[str], tuple[str, ...]]
    """Cells, and how they look."""

_STYLES: dict[Difference, tuple[str, ...]] = {
    "same": ("dim",),
    "later": ("yellow",),
    "earlier": ("yellow",),
    "other sinks": ("yellow",),
    "gone": ("red",),
    "new": ("green",),
}
_WIDEST_NAME = 40
_NONE = "-"
_ALERTS = ("TIME (UTC)", "ENDPOINT", "ALERT", "SENT", "WOULD BE SENT", "DIFFERENCE")
_SUMS = ("ENDPOINT", "ALERTS SENT", "WOULD BE", "INCIDENTS", "WOULD BE", "LATER", "EARLIER")


def lines(comparison: Comparison, *, asked: datetime) -> Iterator[list[Span]]:
    """All of it; *asked* is how far back somebody wanted to look."""
    yield [(_headline(comparison), "bold")]
    yield [(_span(comparison), "dim")]
    yield []
    if comparison.rows:
        yield from _table(_ALERTS, [(_cells(row), _STYLES[row.difference]) for row in comparison.rows])
        yield []
        sums: list[Styled] = [(_sum(name, each), ()) for name, each in comparison.endpoints.items()]
        if len(sums) > 1:
            sums.append((_sum("all", comparison.total), ("bold",)))
        yield from _table(_SUMS, sums)
        yield []
    for note in _notes(comparison, asked):
        yield [(note, "dim")]


def _headline(comparison: Comparison) -> str:
    total = comparison.total
    if total.sent == total.would == 0:
        return "No alert was sent, and none would be."
    if set(total.differences) == {"same"}:
        return f"The same: {counted(total.sent, 'alert')}, as sent."
    changed = ", ".join(
        f"{number} {what}"
        for what in ("gone", "new", "later", "earlier", "other sinks", "same")
        if (number := total.differences.get(what))
    )
    was = "was" if total.sent == 1 else "were"
    return f"{counted(total.sent, 'alert')} {was} sent, {total.would} would be: {changed}."


def _span(comparison: Comparison) -> str:
    if comparison.results_since is None:
        return "There are no recorded results to replay."
    lasting = seconds_text((comparison.until - comparison.since).total_seconds())
    return f"From {_moment(comparison.since)} to {_moment(comparison.until)} UTC ({lasting})."


def _table(head: Sequence[str], rows: Iterable[Styled]) -> Iterator[list[Span]]:
    found = list(rows)
    columns = [
        min(_WIDEST_NAME, max(width(cells[index]) for cells in [head, *(cells for cells, _ in found)]))
        for index in range(len(head))
    ]
    yield [(_line(head, columns), "dim")]
    for cells, styles in found:
        yield [(_line(cells, columns), *styles)]


def _line(cells: Sequence[str], columns: Sequence[int]) -> str:
    return "  ".join(padded(cell, column) for cell, column in zip(cells, columns, strict=True)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    difference: str = row.difference
    if row.difference in ("later", "earlier"):
        difference = f"{seconds_text(abs(row.seconds))} {difference}"
    return (
        _moment(row.at),
        printable(row.one.endpoint),
        row.one.words,
        _side(row.sent, row),
        _side(row.would, row),
        difference,
    )


def _side(alerted: Alerted | None, row: Row) -> str:
    """When, where that is not the time of the row, and to whom."""
    if alerted is None:
        return _NONE
    to = ", ".join(map(printable, alerted.sinks)) or "nobody"
    if alerted.at.date() != row.at.date():
        return f"{_moment(alerted.at)} {to}"
    return f"{alerted.at:%H:%M:%S} {to}"


def _sum(name: str, each: Sum) -> tuple[str, ...]:
    return (
        printable(name),
        str(each.sent),
        str(each.would),
        str(each.incidents),
        str(each.would_incidents),
        seconds_text(each.seconds_later) if each.seconds_later else _NONE,
        seconds_text(each.seconds_earlier) if each.seconds_earlier else _NONE,
    )


def _notes(comparison: Comparison, asked: datetime) -> Iterator[str]:
    first = comparison.results_since
    if first is None or first > asked + timedelta(minutes=1):
        kept = "none is kept" if first is None else f"they are kept since {_moment(first)}"
        older = (
            " Of what is older only roll-ups remain, and these cannot be replayed." if _rolled_up(comparison) else ""
        )
        yield f"note: single results are needed, and {kept}.{older}"
    yield (
        "note: results are replayed as they were recorded; what another interval, timeout or expectation would have "
        "seen, nobody knows."
    )
    if comparison.without_results:
        yield f"note: nothing was recorded of {_listed(comparison.without_results)}."
    if comparison.not_in_config:
        yield f"note: not in this config, so without alerts: {_listed(comparison.not_in_config)}."


def _rolled_up(comparison: Comparison) -> bool:
    return comparison.rolled_up_since is not None and (
        comparison.results_since is None or comparison.rolled_up_since.date() < comparison.results_since.date()
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - 5
    return ", ".join(map(printable, names[:5])) + (f" and {more} more" if more > 0 else "")


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
