"""Which metrics a PromQL expression asks for, by which labels: as much of the language as deploy/ uses.

Whether an expression is right is for promtool to say; this says whether what it asks for is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_METRIC = re.compile(r"\b((?:probe|monitor|process)_\w+|up)\b\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_BETWEEN = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_IN_WORDS = re.compile(r"\$labels\.(\w+)|\{\{\s*(\w+)\s*\}\}")

OF_EVERY_TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus gives to whatever it scrapes."""


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics that *expression* asks for."""
    return {name for name, _ in _METRIC.findall(_TEXT.sub('""', expression))}


def mistakes(expression: str, known: Mapping[str, set[str]], words: str = "") -> Iterator[str]:
    """What *expression*, and the *words* that are shown with its result, ask for that is not *known*: name -> labels.

    The labels of a selector must be those of its metric; the others those of any that is asked for.
    """
    bare = _TEXT.sub('""', expression)
    all_labels = set(OF_EVERY_TARGET)
    for name, selector in _METRIC.findall(_BETWEEN.sub(" ", bare)):
        if name not in known:
            yield f"there is no {name}: {expression}"
            continue
        labels = known[name] | OF_EVERY_TARGET
        all_labels |= labels
        yield from (
            f"{name} has no label {each}: {expression}" for each in _MATCHER.findall(selector) if each not in labels
        )
    between = {each.strip() for group in _BETWEEN.findall(bare) for each in group.split(",")} - {""}
    shown = {dollar or braced for dollar, braced in _IN_WORDS.findall(words)}
    yield from (f"nothing has the label {each}: {expression}" for each in sorted((between | shown) - all_labels))
