"""What a Nagios plugin prints: a message, and numbers behind a bar (the Monitoring Plugins' development guidelines).

    PING OK - rta 4.5 ms|rta=4.500000ms;100;500;0 pl=0%;20;60
    more lines, for people
    the last of which may have a bar, too|time=5ms

Numbers come in base units: seconds, bytes, percent. `KB` is 1024 bytes there, as it is to the plugins.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

_ITEM = re.compile(r"\s*('(?:[^']|'')*'|[^\s='|]+)=(\S*)")
_NUMBER = re.compile(r"([-+]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?)([^0-9;]*)")
# The unit of the base, and the number by which one is multiplied, or else divided: 4.5 ms are 0.0045 s then, exactly.
_UNITS: dict[str, tuple[str, float, float]] = {
    "": ("", 1, 1),
    "s": ("seconds", 1, 1),
    "ms": ("seconds", 1, 1e3),
    "us": ("seconds", 1, 1e6),
    "µs": ("seconds", 1, 1e6),
    "ns": ("seconds", 1, 1e9),
    "%": ("percent", 1, 1),
    "b": ("bytes", 1, 1),
    "kb": ("bytes", 1024, 1),
    "mb": ("bytes", 1024**2, 1),
    "gb": ("bytes", 1024**3, 1),
    "tb": ("bytes", 1024**4, 1),
    "c": ("count", 1, 1),
}
_MOST = 50  # numbers; as many as are kept of any table


@attrs.frozen
class Printed:
    """What a plugin printed: its message, more text for people, numbers by their label."""

    message: str
    more: str
    perfdata: dict[str, dict[str, Any]]


def read(output: str) -> Printed:
    """Take *output* apart; whatever it is, something comes of it."""
    first, _, rest = output.strip("\r\n").partition("\n")
    message, _, data = first.partition("|")
    more, _, more_data = rest.partition("|")
    return Printed(message.strip(), more.strip(), _numbers(f"{data}\n{more_data}"))


def _numbers(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for label, value in _ITEM.findall(text):
        if label.startswith("'"):
            label = label[1:-1].replace("''", "'")  # noqa: PLW2901 - its name, without the quotes
        if item := _item(value):
            found[label] = item
        if len(found) == _MOST:
            break
    return found


def _item(text: str) -> dict[str, Any] | None:
    """`4.5ms;100;500;0;` as values in base units; None where there is no number (`U` means that it is not known)."""
    value, *limits = text.split(";")
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    unit, times, per = _UNITS.get(match[2].lower(), (match[2], 1, 1))
    ranges = zip(("warn", "crit"), limits, strict=False)  # such as `10:20`
    item: dict[str, Any] = {
        "value": _float(match[1]) * times / per,
        "unit": unit,
        **{name: limit for name, limit in ranges if limit},
    }
    for name, limit in zip(("min", "max"), limits[2:], strict=False):
        if bound := _NUMBER.match(limit):
            item[name] = _float(bound[1]) * times / per
    return item


def _float(text: str) -> float:
    return float(text.replace(",", "."))  # the plugin's language may write it so
