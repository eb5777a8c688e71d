"""Facts: what a check declares it may find out, and which of it is worth keeping."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.core.ports import Mask

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Words of CEL, those it keeps for itself, and what every observation has.
_TAKEN = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while", "latency", "phases"),
    }
)
_OF_EVERY_PROBE = frozenset({"probe_success", "probe_duration_seconds", "probe_dns_lookup_time_seconds"})
_LONGEST_TEXT = 500
_LONGEST_KEY = 100
_MOST_ITEMS = 50
_DEEPEST = 4
_ROOM = 8  # characters that any value counts for, beside its own
_MOST_CHARACTERS = 32_000  # of all facts together; what does not fit any more is left out


@attrs.frozen
class Metric:
    """A gauge of `/metrics` that a fact is.

    *of* makes its number of the fact as it is kept (a span in seconds); or, with *label*, that label's text, the
    gauge then being 1. *each*: the fact is a table, and the gauge has a sample for each item of it: *label* is the
    item's key, *of* makes the item's number, and *unit* the text of a label `unit`. *moment*: the fact is a span since
    the probe began, the gauge a moment in Unix seconds. *default* is the number where the probe did not find the fact;
    None: no sample then.
    """

    name: str
    doc: str
    of: Callable[[Any], Any] = float
    label: str | None = None
    each: bool = False
    unit: Callable[[Any], str] | None = None
    moment: bool = False
    default: float | None = None


@attrs.frozen
class Fact:
    """One fact a check may set.

    *sample* is an example value of its type (int, float, str, bool, bytes, timedelta, list, dict); expressions
    are tried on the samples when the config is read. A sample of None means any JSON value. *keep* is False for
    what is only for expressions: too large or too private for results, the database and the API. *metrics* are
    what `/metrics` makes of it.
    """

    sample: Any
    doc: str
    keep: bool = True
    metrics: tuple[Metric, ...] = ()


def observed(facts: Mapping[str, Any], phases: Mapping[str, float], duration: float) -> dict[str, Any]:
    """The facts that expressions may mention, of a probe whose *phases* took so many seconds, and *duration* in all."""
    return {
        **facts,
        "latency": timedelta(seconds=duration),
        "phases": {name: timedelta(seconds=seconds) for name, seconds in phases.items()},
    }


def declared(check: object) -> Mapping[str, Fact]:
    """The facts that *check* says it may set; none where it says nothing."""
    return getattr(check, "facts", None) or {}


def hold_names(facts: Mapping[str, Fact]) -> None:
    """Raise ValueError, one sentence, for the first of *facts* that no expression could mention."""
    for name, fact in facts.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"the fact {name!r} has a name that no expression can mention: use letters, digits and _")
        if name in _TAKEN:
            raise ValueError(f"the fact {name!r} has a name that is taken in expressions")
        if not isinstance(fact, Fact):
            raise ValueError(f"the fact {name!r} is no Fact(sample, doc)")  # noqa: TRY004 - one kind of error for all
        for metric in fact.metrics:
            hold_metric(metric.name)


def hold_metric(name: str) -> None:
    """Raise ValueError, one sentence, unless a check may have a metric called *name*."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"the metric {name!r} has a name that Prometheus would not take: use letters, digits and _")
    if name.startswith(("monitor_", "process_")) or name in _OF_EVERY_PROBE:
        raise ValueError(f"the metric {name!r} has a name that is the monitor's own")


def kept(facts: Mapping[str, Any], declared: Mapping[str, Fact], mask: Mask | None = None) -> dict[str, Any]:
    """The facts worth keeping, as bounded values that JSON and the database can hold; timedeltas become seconds.

    *mask* hides secrets in them; None: there are none.
    """
    keeper, found = _Keeper(mask), {}
    for name, value in facts.items():
        if value is None or keeper.left <= 0:
            continue
        fact = declared.get(name)
        if fact is None:
            found[keeper.key(name)] = keeper.bounded(value, depth=0)
        elif fact.keep:
            # What most facts are, first: every probe comes through here, and a call for each is what would cost.
            kind = type(value)
            if kind is int and -(2**63) < value < 2**63:
                keeper.left -= _ROOM
                found[name] = value
            elif kind is str and mask is None and len(value) <= _LONGEST_TEXT and value.isascii():
                keeper.left -= _ROOM + len(value)
                found[name] = value
            else:
                found[name] = keeper.bounded(value, depth=0)
    return found


class _Keeper:
    """Bounds values one by one, until the room for all of them is used up."""

    def __init__(self, mask: Mask | None) -> None:
        self.left = _MOST_CHARACTERS
        self._mask = mask

    def bounded(self, value: Any, depth: int) -> Any:  # noqa: PLR0911 - one line for each type
        self.left -= _ROOM
        match value:
            case dict() if depth < _DEEPEST:
                return self._items(value, depth)
            case timedelta():
                return value.total_seconds()
            case None | bool():
                return value
            case float():
                return float(value) if math.isfinite(value) else self._text(str(float(value)), 10)
            case int():
                return int(value) if abs(value) < 2**63 else "an integer beyond 64 bits"
            case str():
                return self._text(value, _LONGEST_TEXT)
            case bytes():
                return f"{len(value)} bytes"
            case list() | tuple() if depth < _DEEPEST:
                return [self.bounded(each, depth + 1) for each in value[:_MOST_ITEMS] if self.left > 0]
            case dict() | list() | tuple():
                return "…"
            case _:
                return f"a {type(value).__name__}"  # not str(): a stranger's code must not run here

    def _items(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        if (size := self._size_if_plain(value)) is not None:
            self.left -= size + _ROOM * len(value)
            return dict(value)
        return {
            self.key(key): self.bounded(each, depth + 1)
            for key, each in islice(value.items(), _MOST_ITEMS)
            if self.left > 0
        }

    def _size_if_plain(self, texts: dict[Any, Any]) -> int | None:
        """How many characters *texts* has, if it is a few short ASCII texts, as the headers of most answers are."""
        if self._mask is not None or not 0 < len(texts) <= min(
            _MOST_ITEMS, self.left // (_LONGEST_KEY + _LONGEST_TEXT)
        ):
            return None
        if {*map(type, texts), *map(type, texts.values())} != {str}:
            return None
        keys, values = "".join(texts), "".join(texts.values())
        is_plain = (
            (keys.isascii() and values.isascii())
            and (len(keys) <= _LONGEST_KEY or max(map(len, texts)) <= _LONGEST_KEY)
            and (len(values) <= _LONGEST_TEXT or max(map(len, texts.values())) <= _LONGEST_TEXT)
        )
        return len(keys) + len(values) if is_plain else None

    def key(self, key: Any) -> str:
        return self._text(key if type(key) is str else f"{self.bounded(key, _DEEPEST)}", _LONGEST_KEY)

    def _text(self, text: str, longest: int) -> str:
        size = len(text)
        if self._mask is None and size <= longest and text.isascii():
            self.left -= size
            return text
        if self._mask is not None:
            text = self._mask(text)  # before it is cut: half a secret is not recognised
            size = len(text)
        if size > longest:
            text, size = text[:longest] + "…", longest
        self.left -= size
        return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate fits into no database
