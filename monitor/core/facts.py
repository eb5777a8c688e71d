"""Facts: what a check declares it may find out, and which of it is worth keeping."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_TEXT = 500
_MOST_ITEMS = 50


@attrs.frozen
class Fact:
    """One fact a check may set.

    *sample* is an example value of its type (int, float, str, bool, bytes, timedelta, list, dict); expressions
    are tried on the samples when the config is read. A sample of None means any JSON value. *keep* is False for
    what is only for expressions: too large or too private for results, the database and the API.
    """

    sample: Any
    doc: str
    keep: bool = True


def kept(facts: Mapping[str, Any], declared: Mapping[str, Fact]) -> dict[str, Any]:
    """The facts worth keeping, as bounded JSON values; timedeltas become seconds."""
    return {
        name: _bounded(value, depth=0)
        for name, value in facts.items()
        if value is not None and (name not in declared or declared[name].keep)
    }


def _bounded(value: Any, depth: int) -> Any:
    match value:
        case None | bool() | float():
            return value
        case int():
            return int(value) if abs(value) < 2**63 else str(value)
        case timedelta():
            return round(value.total_seconds(), 6)
        case str():
            return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…"
        case dict() if depth < 4:
            return {str(key)[:100]: _bounded(each, depth + 1) for key, each in list(value.items())[:_MOST_ITEMS]}
        case list() | tuple() if depth < 4:
            return [_bounded(each, depth + 1) for each in value[:_MOST_ITEMS]]
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return str(value)[:_LONGEST_TEXT]
