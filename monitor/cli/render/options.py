"""The options and facts of a check as tables, read off its class."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from monitor.cli.terminal import padded, width
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, shown
from monitor.declaring import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from monitor.core.facts import Fact

    Row = tuple[str, ...]

_WORDS = {
    str: "string",
    int: "int",
    float: "float",
    bool: "bool",
    bytes: "bytes",
    dict: "table",
    list: "list",
    timedelta: "duration",
    Duration: "duration",
    Lifetime: "duration",
    ByteSize: "size",
    Expression: "expression",
    Path: "path",
    type(None): "any",
}
_DEEPEST = 4


def first_line(cls: type) -> str:
    """The first line of a class's docstring."""
    return next(iter((cls.__doc__ or "").strip().splitlines()), "")


def table(head: Row, rows: Sequence[Row]) -> Iterator[str]:
    """Lines with aligned columns; the last one is as long as it likes."""
    everything = [head, *rows]
    widths = [max(width(row[column]) for row in everything) for column in range(len(head) - 1)]
    for row in everything:
        cells = [padded(cell, columns) for cell, columns in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def option_rows(cls: type, prefix: str = "", depth: int = 0) -> list[Row]:
    """Name, type, default and what it is for; the keys of a table follow it as `auth.basic`, `steps[].send`."""
    hints = _hints(cls)
    rows: list[Row] = []
    for field in sorted(attrs.fields(cls), key=lambda each: each.inherited):  # what is its own comes first
        hint = hints[field.name]
        doc = str(field.metadata.get("doc", ""))
        if not field.metadata.get("available", True):
            doc += " (not available yet)"
        rows.append((prefix + key_of(field), _type(hint), _default(field), doc))
        for inner, is_list in _tables(hint):
            if depth < _DEEPEST:
                rows += option_rows(inner, f"{prefix}{key_of(field)}{'[]' if is_list else ''}.", depth + 1)
    return rows


def fact_rows(facts: Mapping[str, Fact]) -> list[Row]:
    """Name, type and what it is; those not kept are only there for expressions."""
    return [
        (name, _WORDS.get(type(fact.sample), "any"), fact.doc if fact.keep else f"{fact.doc} (for expressions only)")
        for name, fact in facts.items()
    ]


def _hints(cls: type) -> dict[str, Any]:
    """The types of its fields, and only of those: other annotations may name what exists for type checkers alone."""
    names = {field.name for field in attrs.fields(cls)}
    hints: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        own = {name: hint for name, hint in inspect.get_annotations(owner).items() if name in names}
        stand_in = types.SimpleNamespace(__annotations__=own)
        hints |= typing.get_type_hints(stand_in, vars(sys.modules[owner.__module__]))
    return hints


def _type(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(each) for each in args if each is not type(None))
    if origin is typing.Literal:
        return "|".join(str(each) for each in args)
    if origin in (list, tuple):
        return f"list of {_type(args[0])}"
    if origin is not None and issubclass(origin, typing.Mapping):
        return f"table of {_type(args[1])}"
    if attrs.has(hint):
        return "table"
    return _WORDS.get(hint, "any")


def _tables(hint: Any, *, is_list: bool = False) -> Iterator[tuple[type, bool]]:
    """The attrs classes in *hint*, each with whether it stands in a list."""
    if isinstance(hint, type) and attrs.has(hint):
        yield hint, is_list
    for each in typing.get_args(hint):
        yield from _tables(each, is_list=is_list or typing.get_origin(hint) in (list, tuple))


def _default(field: attrs.Attribute[Any]) -> str:
    default: Any = field.default
    if default is attrs.NOTHING:
        return "required"
    if (factory := getattr(default, "factory", None)) is not None:
        if default.takes_self:
            return "computed"
        default = factory()
    match default:
        case None:
            return "none"
        case list() | tuple() | dict() if not default:
            return "{}" if isinstance(default, dict) else "[]"
        case _:
            return shown(default)
