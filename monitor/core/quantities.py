"""Quantities with units, as they stand in a config: durations and sizes."""

from __future__ import annotations

import math
import re
from typing import Self

_MICROSECONDS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")

_BYTES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"([0-9]{1,15}) ?([A-Za-z]*)")


class Duration(float):
    """A length of time: a float of seconds that prints with units."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `"250ms"`, `"5s"`, `"1m30s"`, `"7d"`; anything else, and zero, raises ValueError."""
        expected = 'expected a duration such as "5s"'
        if not isinstance(text, str) or not _DURATION.fullmatch(text):
            raise ValueError(f"{expected}, got {shown(text)}")
        # In whole microseconds, so that what is printed reads back as the very same float.
        microseconds = sum(float(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(text))
        if not 1 <= microseconds < 100 * 365 * _MICROSECONDS["d"]:
            raise ValueError(f"{expected} above zero and below 100 years, got {shown(text)}")
        return cls(round(microseconds) / 1e6)

    def __str__(self) -> str:
        """`1m30s`, `250ms`, `0.4ms`: reads back as the same duration."""
        rest, parts = round(self * 1e6), []
        for unit in ("d", "h", "m"):
            whole, rest = divmod(rest, _MICROSECONDS[unit])
            if whole:
                parts.append(f"{whole}{unit}")
        unit = "ms" if rest < _MICROSECONDS["s"] and rest and not parts else "s"
        if rest or not parts:
            parts.append(f"{rest / _MICROSECONDS[unit]:.6f}".rstrip("0").rstrip(".") + unit)
        return "".join(parts)

    __repr__ = __str__


class Lifetime(Duration):
    """How long something may be kept: a duration, or `0s` for not at all."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read as a duration is read, and `"0s"`; anything else raises ValueError."""
        return cls(0) if text == "0s" else super().parse(text)


class ByteSize(int):
    """A number of bytes that prints with units."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read `1048576`, `"1MiB"`, `"64 KiB"`; anything else, and zero, raises ValueError."""
        expected = 'expected a size in bytes or such as "1MiB"'
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if type(value) is int:
            size = value
        elif match and match[2] in _BYTES:
            size = int(match[1]) * _BYTES[match[2]]
        else:
            raise ValueError(f"{expected}, got {shown(value)}")
        if not 0 < size < 2**40:
            raise ValueError(f"{expected} above zero and below 1 TiB, got {shown(value)}")
        return cls(size)

    def __str__(self) -> str:
        """`1 MiB`, `1500 B`: reads back as the same size."""
        for unit in ("GiB", "MiB", "KiB"):
            if self >= _BYTES[unit] and self % _BYTES[unit] == 0:
                return f"{int(self) // _BYTES[unit]} {unit}"
        return f"{int(self)} B"

    __repr__ = __str__


class Expression(str):
    """A CEL expression as it stands in a config: `$` is literal in it."""

    __slots__ = ()


class Template(str):
    """A text for people to write, in the config or in a file; unlike other texts from files it is no secret."""

    __slots__ = ()


def seconds_text(seconds: float) -> str:
    """A span for people: `250 ms`, `5 s`, `3 min 10 s`, `2 h 5 min`, `14 days`."""
    if seconds < 0 or math.isnan(seconds):
        return "0 s"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else "1 s"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    if seconds < 2 * 86400:
        hours, rest = divmod(round(seconds / 60), 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{seconds / 86400:.0f} days"


def lasting_text(seconds: float) -> str:
    """How long something goes on or went on, for people: nobody asks for fractions of a second, so `1 s` at least."""
    return seconds_text(max(1, math.floor(seconds)))


def shown(value: object) -> str:
    """*value* as a user wrote it in TOML, shortened: `"5s"`, `5`, `true`, `a table`, `an array`."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            text = value if len(value) <= 60 else value[:57] + "…"
            return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case dict():
            return "a table"
        case list() | tuple():
            return "an array"
        case int() | float():
            return repr(value)[:60]
        case _:
            return str(value)[:60]
