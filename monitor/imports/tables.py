"""What every import needs: reading documents that may hold anything, and names that ours can have."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import tomli_w

from monitor.core.errors import MonitorError
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.imports import Imported

_LONGEST_NAME = 100


def table(value: object, what: str) -> dict[str, Any]:
    """*value*, which must be a table; none at all is an empty one. Raises MonitorError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MonitorError(f"{what}: expected a table, got {type(value).__name__}")
    return {str(key): each for key, each in value.items()}


def tables(value: object, what: str) -> list[dict[str, Any]]:
    """*value*, which must be a list of tables; none at all is an empty one. Raises MonitorError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MonitorError(f"{what}: expected a list, got {type(value).__name__}")
    return [table(each, f"{what}[{index}]") for index, each in enumerate(value)]


class Names:
    """Gives out names that are possible here and that nobody else has."""

    def __init__(self) -> None:
        """Begin with none given."""
        self._given: set[str] = set()

    def take(self, wanted: object, group: str | None = None) -> str:
        """A name as near to *wanted* as can be; where that is taken, with the *group* before it or a number after."""
        name = possible(wanted) or "unnamed"
        numbered = (f"{name} {number}" for number in itertools.count(2))
        candidates = itertools.chain([name], [f"{group} {name}"] if group else [], numbered)
        chosen = next(each for each in candidates if each not in self._given)
        self._given.add(chosen)
        return chosen


def possible(wanted: object) -> str:
    """*wanted* as a name or group: no slash, printable, not too long; empty where nothing is left of it."""
    text = printable(str(wanted or "")).replace("/", "-").strip()[:_LONGEST_NAME]
    return text.removeprefix("group:") if text not in (".", "..") else ""


def duration(seconds: float) -> str:
    """*seconds* as the config writes them."""
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def text(imported: Imported, source: str) -> str:
    """Our config as TOML, headed by what was left out."""
    head = [f"# Imported from {source} by `monitor import`."]
    if imported.left_out:
        head += ["#", "# Left out:", *(f"# - {each}" for each in imported.left_out)]
    body = tomli_w.dumps({"endpoint": imported.endpoints, "sink": imported.sinks}) if imported.endpoints else ""
    if imported.modules:
        body += tomli_w.dumps({"monitor": {"probe_api": True}, "module": imported.modules})
    return "\n".join([*head, "", body.strip()]).strip() + "\n"


def joined(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = list(names)
    return f"{', '.join(most)} and {last}" if most else last
