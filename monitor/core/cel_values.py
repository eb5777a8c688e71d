"""The values expressions look at: finding, cutting down, weighing and showing them.

Facts come from whatever a server sent, so nothing here may fail on, or take long for, any value: the library dies on
very deep nesting, and converts about a thousand values in a millisecond while it holds up every thread.
"""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from monitor.core.quantities import seconds_text
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEAVIEST = 50_000  # values in one fact, each thousand characters counted as one more: about 0.1 s of conversion
DEEPEST = 100  # levels of nesting

_LONGEST_SHOWN = 100
_MOST_ITEMS_SHOWN = 8
_DEEPEST_SHOWN = 3  # further down, a list or map is only its brackets

Needs = dict[str, Any]
"""The parts of facts an expression looks at: `{"json": {"db": None}, "status": None}`; None is the whole."""


class UnusableError(ValueError):
    """A value no expression can look at; the text follows its name: `json holds …`."""


def needs(paths: Iterable[tuple[str | int, ...]]) -> Needs:
    """Collect *paths*, each as far as its keys are text: of a list, all is needed."""
    tree: Needs = {}
    for path in paths:
        node = tree
        for step, key in enumerate(path):
            is_last = step + 1 == len(path) or not isinstance(path[step + 1], str)
            if is_last:
                node[str(key)] = None
                break
            below = node.setdefault(str(key), {})
            if below is None:  # all of it is needed already
                break
            node = below
    return tree


def pruned(value: Any, parts: Needs | None) -> Any:
    """*value* with only the *parts* that are needed."""
    if parts is None or not isinstance(value, dict):
        return value
    return {key: pruned(value[key], below) for key, below in parts.items() if key in value}


def weight(value: Any) -> int:
    """How many values *value* holds; raises UnusableError when it is too heavy or too deep."""
    total, level = 0, [value]
    for _ in range(DEEPEST):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                deeper.extend(each.values())
            elif isinstance(each, list | tuple):
                deeper.extend(each)
            elif isinstance(each, str | bytes):
                total += len(each) // 1000
        total += len(level)
        if total + len(deeper) > HEAVIEST:
            raise UnusableError(f"holds more than {HEAVIEST} values")
        if not deeper:
            return total
        level = deeper
    raise UnusableError(f"is nested more than {DEEPEST} levels deep")


def find(facts: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[Any, int]:
    """Follow *path*; returns the value, and how many steps of the path were there (all: it was found)."""
    value = facts.get(str(path[0]))
    if value is None:
        return None, 0
    keys: tuple[Any, ...] = path[1:]
    for step, key in enumerate(keys, start=1):
        if not isinstance(value, dict | list | tuple):
            return None, step
        try:
            value = value[key]
        except (LookupError, TypeError):
            return None, step
    return value, len(path)


def shown(value: Any) -> str:
    """*value* in a message: as CEL would write it, durations in words, never longer than about 100 characters."""
    return shortened(_shown(value, depth=0), _LONGEST_SHOWN)


def shortened(text: str, longest: int) -> str:
    """*text*, cut to *longest* characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _shown(value: Any, depth: int) -> str:  # noqa: PLR0911 - one line for each type
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            text = shortened(value, _LONGEST_SHOWN - 2).replace("\\", "\\\\").replace('"', '\\"')
            return f'"{printable(text)}"'
        case int():
            return str(int(value)) if abs(value) < 2**63 else "an integer beyond 64 bits"
        case float():
            return repr(float(value))
        case timedelta():
            return _span(value.total_seconds())
        case bytes() | bytearray():
            return repr(bytes(value[:_LONGEST_SHOWN]))
        case dict():
            return (
                "{" + _listed((f"{_shown(key, depth)}: {_shown(value[key], depth + 1)}" for key in value), depth) + "}"
            )
        case list() | tuple():
            return "[" + _listed((_shown(each, depth + 1) for each in value), depth) + "]"
        case _:
            return f"a {type(value).__name__}"


def _listed(items: Iterable[str], depth: int) -> str:
    """The first of *items*; deep down, none of them."""
    most = _MOST_ITEMS_SHOWN if depth < _DEEPEST_SHOWN else 0
    first = list(islice(items, most + 1)) if most else []
    return ", ".join([*first[:most], "…"] if len(first) > most or not most else first)


def _span(seconds: float) -> str:
    """A duration with its sign, precise enough to compare: `13 days 23 h`, never rounded up to `14 days`."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 2 * 86400:
        return sign + seconds_text(seconds)
    days, hours = divmod(math.floor(seconds / 3600), 24)
    return f"{sign}{days} days {hours} h" if hours else f"{sign}{days} days"
