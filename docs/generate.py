"""What of the documentation follows from the code: `make docs` writes it, and a test holds that it was run.

The tables of keys in configuration.md have their rows, types and defaults from the classes that read the config. The
last column is for people: a row that is there keeps its words and its place, a new one comes last and begins with the
option's own line. The schema is what `monitor schema` prints where nothing else is installed.
"""

from __future__ import annotations

import json
import types
from datetime import datetime, time
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from checks.connecting import Connecting, Reaching
from checks.http_steps import Request
from checks.tcp import TcpStep
from checks.websocket_steps import Step
from monitor.config import Listen
from monitor.config.fields import Fields
from monitor.config.jsonschema import schema_of
from monitor.config.schema import (
    AccessTable,
    AnnouncementTable,
    EndpointTable,
    MaintenanceTable,
    ModuleTable,
    MonitorTable,
    PluginsTable,
    SinkTable,
)
from monitor.config.secrets import Masker
from monitor.config.texts import Texts
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, Template
from monitor.plugins import OURS, Registry

DOCS = Path(__file__).parent
PAGE = DOCS / "configuration.md"
SCHEMA = DOCS / "monitor.schema.json"
INSTALLED = Registry()
TABLES: dict[str, type] = {
    "`[monitor]`": MonitorTable,
    "`[monitor.access]`": AccessTable,
    "`[plugins]`": PluginsTable,
    "`[[endpoint]]`": EndpointTable,
    "`[[maintenance]]`": MaintenanceTable,
    "`[[announcement]]`": AnnouncementTable,
    "`[module.NAME]`": ModuleTable,
    "`[[sink]]`": SinkTable,
    "Connections": Connecting,
    **{f"Check `{kind}`": each.cls for kind, each in INSTALLED.checks.items() if each.origin == OURS},
    **{f"Sink `{kind}`": each.cls for kind, each in INSTALLED.sinks.items() if each.origin == OURS},
}
STEPS: dict[str, type] = {"Check `http`": Request, "Check `websocket`": Step, "Check `tcp`": TcpStep}
_WORDS = {
    Any: "any value",
    str: "string",
    Path: "path",
    Listen: "string",
    Template: 'string or `{ file = "…" }`',
    int: "integer",
    float: "number",
    bool: "boolean",
    Duration: "duration",
    Lifetime: 'duration or `"0s"`',
    ByteSize: "size",
    Expression: "expression",
    datetime: "date-time",
    time: "string",
}
_PLURALS = {"string": "strings", "integer": "integers", "expression": "expressions", "table": "tables"}


def told_elsewhere(cls: type) -> set[str]:
    """What it has as every connection has it."""
    base = next((each for each in (Connecting, Reaching) if issubclass(cls, each) and cls is not Connecting), None)
    return set() if base is None else {each.name for each in attrs.fields(base)}


def keys_of(cls: type) -> dict[str, tuple[attrs.Attribute[Any], Any]]:
    """The keys of *cls* that can be set and are told where it is told, with their types."""
    keys = Fields(Texts({}, Masker(), Path())).keys(cls)
    elsewhere = told_elsewhere(cls)
    return {
        name: (key.attribute, key.kind)
        for name, key in keys.items()
        if key.available and key.attribute.name not in elsewhere
    }


def type_of(kind: Any) -> str:
    """What the page calls the type *kind*."""
    origin, members = get_origin(kind), get_args(kind)
    if kind in _WORDS:
        return _WORDS[kind]
    if origin is Literal:
        return "integer" if isinstance(members[0], int) else "string"
    if origin in (Union, types.UnionType):
        words = [
            f'`"{get_args(each)[0]}"`' if len(get_args(each)) == 1 and get_origin(each) is Literal else type_of(each)
            for each in members
            if each is not types.NoneType
        ]
        *others, last = dict.fromkeys(" or ".join(words).split(" or "))
        return f"{', '.join(others)} or {last}" if others else last
    if origin is dict:
        return f"table of {_PLURALS.get(type_of(members[1]), type_of(members[1]))}"
    if origin in (tuple, list):
        return f"array of {_PLURALS.get(type_of(members[0]), type_of(members[0]))}"
    return "table"


def default_of(default: Any) -> str | None:  # noqa: PLR0911 - one line for each type
    """How the page writes *default*; None where words must do."""
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # it is a class
        default = default.factory()
    match default:
        case attrs.NOTHING:
            return "required"
        case None:
            return None
        case bool():
            return f"`{str(default).lower()}`"
        case int() if type(default) is int:
            return f"`{default}`"
        case tuple() | list():
            return "`[" + ", ".join(f'"{each}"' for each in default) + "]`"
        case dict():
            return "`{}`"
        case _:
            return f'`"{default}"`'


def page(text: str) -> str:
    """*text* of configuration.md, its tables of keys made anew."""
    for head, tables in (("key", TABLES), ("key of a step", STEPS)):
        for title, cls in tables.items():
            text = _with_table(text, title, head, cls)
    return text


def _with_table(text: str, title: str, head: str, cls: type) -> str:
    begin = text.index(f"\n## {title}\n")
    begin = text.index(f"\n| {head} |", begin) + 1
    end = text.index("\n\n", begin)
    first, rule, *lines = text[begin:end].split("\n")
    before = {cells[0].strip("`"): cells for cells in map(_cells, lines)}
    keys = keys_of(cls)
    order = [*(name for name in before if name in keys), *(name for name in keys if name not in before)]
    rows = [_row(name, *keys[name], before.get(name)) for name in order]
    return text[:begin] + "\n".join([first, rule, *rows]) + text[end:]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def _row(name: str, attribute: attrs.Attribute[Any], kind: Any, before: list[str] | None) -> str:
    words = type_of(kind)
    default = default_of(attribute.default)
    _, old_type, old_default, *_more = [*(before or []), *[""] * 3]
    if kind is Any or words.startswith(("array of table", "table", "string or")):  # words know more of it
        words = old_type or words
    told = " | ".join(before[3:]) if before else attribute.metadata["doc"]
    return f"| `{name}` | {words} | {default or old_default or 'none'} | {told} |"


def schema() -> str:
    """The schema of what this package offers."""
    checks, sinks = (
        {kind: plugin for kind, plugin in plugins.items() if plugin.origin == OURS}
        for plugins in (INSTALLED.checks, INSTALLED.sinks)
    )
    return json.dumps(schema_of(checks, sinks), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    SCHEMA.write_text(schema(), "utf-8")


if __name__ == "__main__":
    main()
