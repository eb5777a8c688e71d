"""Results as people read them: `RESULTS.md`, rendered from `results.json` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.goals import GOALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OPENING = """# Results

Written by `make bench`, `make bench-scale` and `make soak`; each part says when and where it was measured. Prober and
servers have a core each. Figures are CPU time (user and system), medians of alternating rounds; the noise of a machine
is 15-25 %, so only the ratios of one run count. How each is taken stands at the head of the modules beside this page.
"""
_SCHEMES = {
    "http": "`http`, a fresh connection",
    "https": "`http` over TLS, a fresh connection",
    "ws": "`websocket`: connect, ping, close",
}
_PARTS = {
    "probe": "One probe",
    "daemon": "The daemon, 1,000 endpoints every second",
    "memory": "Memory",
    "startup": "Starting",
    "endurance": "Ten minutes at 1,000 probes a second",
    "scale": "Scale",
    "soak": "200,000 probes, good and hostile mixed",
}


def rendered(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page."""
    pieces = [_OPENING, "## Goals", goals(results)]
    for part, heading in _PARTS.items():
        if part in results:
            pieces += [f"## {heading}", _circumstances(results[part]), *_part(part, results[part])]
    return "\n\n".join(piece.strip("\n") for piece in pieces) + "\n"


def goals(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Every figure that has a goal."""
    rows = []
    for goal in GOALS:
        value = goal.measured(results)
        must, aim = (_goal(number, goal.unit, goal.more_is_better) for number in (goal.must, goal.aim))
        shown = "not measured" if value is None else f"{_number(value)} {goal.unit}".strip()
        rows.append((goal.words, shown, must, aim, "" if value is None else goal.verdict(value)))
    return _table(("figure", "measured", "must", "aim", ""), rows)


def missed(results: Mapping[str, Mapping[str, Any]], parts: Iterable[str]) -> list[str]:
    """The figures of *parts* that are not what they must be."""
    measured = [(goal, goal.measured(results)) for goal in GOALS if goal.part in parts]
    return [goal.words for goal, value in measured if value is not None and "missed**" in goal.verdict(value)]


def _goal(number: float | None, unit: str, more_is_better: bool) -> str:
    return "" if number is None else f"{'≥' if more_is_better else '≤'} {_number(number)} {unit}".strip()


def _circumstances(part: Mapping[str, Any]) -> str:
    return f"{part['date']}; {'; '.join(part['machine'])}."


def _part(name: str, part: Mapping[str, Any]) -> list[str]:
    pieces = []
    if name == "probe":
        pieces += [_comparison(heading, part["medians"][scheme]) for scheme, heading in _SCHEMES.items()]
    else:
        pieces.append(_table(("figure", ""), [(key, _number(value)) for key, value in part["figures"].items()]))
    if part.get("skipped"):
        pieces.append("Not measured: " + "; ".join(part["skipped"]) + ".")
    pieces += [_profile(heading, profile) for heading, profile in part.get("profiles", {}).items()]
    return pieces


def _comparison(heading: str, medians: Mapping[str, float]) -> str:
    ours, *_ = medians.values()
    rows = [(name, f"{value:.3f}", f"{ours / value:.2f}") for name, value in medians.items()]
    return f"### {heading}\n\n" + _table(("prober", "ms CPU", "ours / its"), rows)


def _profile(heading: str, profile: Mapping[str, Any]) -> str:
    total = profile["total"]
    rows = [(name, f"{spent:.3f}", f"{spent / total:.0%}") for name, spent in profile["layers"].items()]
    kernel = f"{total:.3f} ms per probe, {profile['kernel']:.3f} of it in the kernel."
    return f"### Where the time goes: {heading}\n\n{kernel}\n\n" + _table(("layer", "ms", "share"), rows)


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
