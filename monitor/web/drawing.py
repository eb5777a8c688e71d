"""The pictures of the pages, as the coordinates of SVG: bars of results, sparklines, charts by phase. Pure functions.

What is drawn here page.js keeps up to date (`bar` and `spark`), and chart.js replaces by a chart to look into.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

import attrs
from markupsafe import Markup

from monitor.core.model import timestamp
from monitor.core.quantities import seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.core.rollup import Series

# A cell of a bar is a dash of a horizontal line: a run of equal results is one stroke. Every status has a shape of
# its own, for those who cannot tell the colours: `down` is tall and broken in the middle.
PITCH = 4  # from cell to cell; the stylesheet has the dash, 2.6 long, and the width of each line
_MIDDLES = {"up": (11,), "degraded": (14,), "down": (4, 18), "unknown": (11,), "none": (11,)}

LETTERS = {"up": "u", "degraded": "g", "unknown": "x", "down": "d", "none": "n"}
"""Results are a string of these, the oldest first."""
_NAMES = {letter: name for name, letter in LETTERS.items()}

NO_LEVEL = -1
"""The height of a line where nothing was measured."""

PHASES = ("resolve", "connect", "tls", "handshake", "processing", "dialogue", "transfer", "close")
"""In the order in which they happen; those of a plugin follow, and are drawn like the last."""
WIDTH, HEIGHT = 960, 200  # of a chart


def bar(letters: str, cells: int, at: datetime | None = None) -> Markup:
    """The latest of *letters* at the right end of *cells*; with *at*, when that began, it is kept up to date."""
    shapes = "".join([f'<path class="{name}" d="{path}"/>' for name, path in paths(letters, cells).items()])
    live = "" if at is None else f' data-letters="{letters}" data-at="{timestamp(at)}"'
    return Markup(  # noqa: S704 - of our own words and numbers
        f'<svg class="bar" viewBox="0 0 {cells * PITCH} 22" preserveAspectRatio="none" role="img"'
        f' aria-label="{in_words(letters) or "none yet"}"{live}>{shapes}</svg>'
    )


def in_words(letters: str) -> str:
    """What a bar shows, for those who do not see it: `2 down, 58 up`."""
    counted = [(name, letters.count(letter)) for name, letter in reversed(LETTERS.items()) if name != "none"]
    return ", ".join([f"{count} {name}" for name, count in counted if count])


def paths(letters: str, cells: int) -> dict[str, str]:
    """The path of each status; what is not there yet is `none`."""
    found: dict[str, str] = {}
    at = cells - len(letters)
    if at > 0:
        found["none"] = f"M0 11h{at * PITCH}"
    for letter, run in groupby(letters[-cells:]):
        status, length = _NAMES[letter], len(list(run))
        for middle in _MIDDLES[status]:
            found[status] = f"{found.get(status, '')}M{at * PITCH} {middle}h{length * PITCH}"
        at += length
    return found


def level(latency: float | None) -> int:
    """How high a line is at a *latency* in seconds: in tenths of a millisecond; None: nothing was measured."""
    return NO_LEVEL if latency is None else round(latency * 10_000)


def spark(levels: Sequence[int], cells: int) -> Markup:
    """A line with the latest of *levels* at the right end of *cells*, those that are `NO_LEVEL` left out.

    Its points are in cells and levels, upwards, so that page.js can add to them.
    """
    places: Sequence[int] = range(cells - len(levels), cells)
    if NO_LEVEL in levels:
        places = tuple([x for x, y in zip(places, levels, strict=True) if y != NO_LEVEL])
        levels = [y for y in levels if y != NO_LEVEL]
    top, line = max([1, *levels]), _line(places) % tuple(levels)
    return Markup(  # noqa: S704 - numbers
        f'<svg class="spark" viewBox="0 -{top} {cells - 1} {top}" preserveAspectRatio="none" aria-hidden="true">'
        f'<polyline points="{line}" transform="scale(1 -1)"/></svg>'
    )


@lru_cache(maxsize=1024)
def _line(places: Sequence[int]) -> str:
    """Points at *places*, whose levels are still to be put in: nearly every line has the same."""
    return " ".join([f"{x},%d" for x in places])


@attrs.frozen
class Area:
    """One phase of a chart."""

    phase: str
    number: int  # of its colour
    path: str


@attrs.frozen
class Chart:
    """Latency by phase over time: areas upon each other, `WIDTH` by `HEIGHT`, and what stands at the sides."""

    areas: Sequence[Area]
    lines: Sequence[tuple[int, str]]  # where, from above, and how long that is
    ends: tuple[datetime, datetime]


def chart(series: Series, ends: tuple[datetime, datetime]) -> Chart | None:
    """Draw *series* between *ends*; None where no probe was a good one."""
    measured = [(each.at, each.rollup.mean_phases()) for each in series.points]
    phases = ordered({name for _, each in measured for name in each})
    top = max((sum(each.values()) for _, each in measured), default=0.0)
    if not phases or top <= 0:
        return None
    step, length = _tick(top), (ends[1] - ends[0]).total_seconds()
    top = max(top * 1.05, step)
    runs = _runs([((at - ends[0]).total_seconds(), each) for at, each in measured], series.step)
    areas = [
        Area(phase, min(number, len(PHASES) - 1), _area(runs, phases[:index], phase, series.step, length, top))
        for index, phase in enumerate(phases)
        for number in (PHASES.index(phase) if phase in PHASES else len(PHASES) - 1,)
    ]
    lines = [(round(HEIGHT * (1 - i * step / top)), seconds_text(i * step)) for i in range(1, int(top / step) + 1)]
    return Chart(areas, lines, ends)


def ordered(phases: set[str]) -> list[str]:
    """*phases* in the order in which they happen."""
    return [each for each in PHASES if each in phases] + sorted(phases - set(PHASES))


def _runs(
    measured: Sequence[tuple[float, dict[str, float]]], step: float
) -> list[list[tuple[float, dict[str, float]]]]:
    """What was measured without a gap: where nothing was, nothing is drawn."""
    runs: list[list[tuple[float, dict[str, float]]]] = []
    for at, phases in measured:
        if not phases:
            continue
        if not runs or at - runs[-1][-1][0] > 1.5 * step:
            runs.append([])
        runs[-1].append((at, phases))
    return runs


def _area(
    runs: Sequence[Sequence[tuple[float, dict[str, float]]]],
    below: Sequence[str],
    phase: str,
    step: float,
    length: float,
    top: float,
) -> str:
    path = []
    for run in runs:
        lower = [(at, sum(each.get(name, 0.0) for name in below)) for at, each in run]
        upper = [(at, low + each.get(phase, 0.0)) for (at, low), (_, each) in zip(lower, run, strict=True)]
        if len(run) == 1:  # a lone point is as wide as its step
            upper, lower = ([(at, y), (at + step, y)] for ((at, y),) in (upper, lower))
        points = [
            f"{WIDTH * min(1.0, max(0.0, at / length)):.0f} {HEIGHT * (1 - y / top):.1f}"
            for at, y in (*upper, *reversed(lower))
        ]
        path.append(f"M{'L'.join(points)}z")
    return "".join(path)


def _tick(top: float) -> float:
    """A round number of seconds that goes two to five times into *top*."""
    power = 10.0 ** math.floor(math.log10(top))
    return next(each * power for each in (2, 1, 0.5, 0.2) if top / (each * power) >= 2)
