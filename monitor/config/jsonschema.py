"""The JSON Schema of a config, for editors: read off the same classes as the config itself.

Draft 7, which is what taplo and Even Better TOML take. It holds what can be said of one key at a time, and which
options go with which check or sink; the rest (references, cycles, expressions) is for `monitor validate`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import attrs

from monitor.config import Listen
from monitor.config.fields import Fields
from monitor.config.kinds import usable
from monitor.config.schema import (
    AccessTable,
    AnnouncementTable,
    DefaultsTable,
    EndpointTable,
    MaintenanceTable,
    ModuleTable,
    MonitorTable,
    PluginsTable,
    SinkTable,
)
from monitor.config.secrets import Masker
from monitor.config.texts import Texts
from monitor.core.errors import PluginError
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, Template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.plugin import Check
    from monitor.plugins import Plugin
    from monitor.telling import Sink

    Schema = dict[str, Any]

_ANY_TARGET = ({"required": ["targets"]}, {"required": ["targets_file"]})
_INSERTED = r"\$\{"
_FILE = {"$ref": "#/definitions/file"}


def _text(pattern: str | None = None) -> Schema:
    """A string that looks like *pattern*, or into which something is inserted; or a file."""
    text: Schema = {"type": "string"} if pattern is None else {"type": "string", "pattern": f"{pattern}|{_INSERTED}"}
    return {"anyOf": [text, _FILE]}


_DURATION = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
_SCALARS: dict[Any, Schema] = {
    Any: {},
    str: _text(),
    Path: _text(),
    Template: _text(),
    Listen: _text(),
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Duration: _text(_DURATION),
    Lifetime: _text(_DURATION),
    ByteSize: {"anyOf": [{"type": "integer", "minimum": 1}, *_text(r"^[0-9]+ ?([kKMG]i?B|B)?$")["anyOf"]]},
    Expression: {"type": "string"},
    datetime: {"type": "string"},
    time: _text("^([01][0-9]|2[0-3]):[0-5][0-9]$"),
}


def schema_of(checks: Mapping[str, Plugin[Check]], sinks: Mapping[str, Plugin[Sink]]) -> Schema:
    """The whole schema, with the options of all *checks* and *sinks* that can be loaded, by their kinds."""
    return _Document(checks, sinks).schema()


class _Document:
    """One schema in the making."""

    def __init__(self, checks: Mapping[str, Plugin[Check]], sinks: Mapping[str, Plugin[Sink]]) -> None:
        self._fields = Fields(Texts({}, Masker(), Path()))
        self._definitions: dict[str, Schema] = {
            "file": {
                "type": "object",
                "description": "what a file holds, in place of a string",
                "properties": {"file": {"type": "string"}},
                "required": ["file"],
                "additionalProperties": False,
            }
        }
        self._checks = dict(self._loaded(checks, EndpointTable))
        self._modules = {kind: cls for kind, cls in self._checks.items() if cls.schemes}
        self._sinks = dict(self._loaded(sinks, SinkTable))

    def _loaded(self, plugins: Mapping[str, Plugin[Any]], table: type) -> Iterator[tuple[str, Any]]:
        for kind, plugin in plugins.items():
            try:
                yield kind, usable(plugin, table, self._fields)
            except PluginError:  # it cannot be used either
                continue

    def schema(self) -> Schema:
        monitor = self._table(MonitorTable)
        monitor["properties"]["access"] = self._table(AccessTable)
        defaults = self._table(DefaultsTable)
        for kind, cls in self._checks.items():
            defaults["properties"][kind] = {"type": "object", **self._options(cls, f"check-options.{kind}", ())}
        properties = {
            "monitor": monitor,
            "plugins": self._table(PluginsTable),
            "defaults": defaults,
            "endpoint": _array(self._endpoint()),
            "maintenance": _array(self._table(MaintenanceTable)),
            "announcement": _array(self._table(AnnouncementTable)),
            "module": {"type": "object", "additionalProperties": self._module()},
            "sink": _array(self._of_kinds(SinkTable, "type", self._sinks)),
        }
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "Nursery Monitor",
            "description": "the configuration of Nursery Monitor",
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "definitions": self._definitions,
        }

    def _endpoint(self) -> Schema:
        schema = self._of_kinds(EndpointTable, "check", self._checks)
        for kind, cls in self._checks.items():
            if cls.schemes and "url" in self._fields.keys(cls):
                begins = {"type": "string", "pattern": f"^({'|'.join(cls.schemes)})://"}
                chosen: Schema = {"required": ["url"], "properties": {"url": begins}, "not": {"required": ["check"]}}
                schema["allOf"].append({"if": chosen, "then": {"$ref": f"#/definitions/endpoint.{kind}"}})
        return schema

    def _module(self) -> Schema:
        """Its options are those of its check, but for the target."""
        return self._of_kinds(ModuleTable, "check", self._modules, hold_required=False)

    def _of_kinds(
        self, table: type, chooses: str, classes: Mapping[str, type], *, hold_required: bool = True
    ) -> Schema:
        """*table* with all options there are, and by the kind, which the key *chooses* says, those that go with it."""
        schema = self._table(table)
        own = dict(schema["properties"])
        schema["properties"][chooses] = {"anyOf": [{"enum": list(classes)}, *_text(_INSERTED)["anyOf"]]} | {
            key: value for key, value in own[chooses].items() if key == "description"
        }
        schema["allOf"] = []
        name = {EndpointTable: "endpoint", SinkTable: "sink", ModuleTable: "module"}[table]
        for kind, cls in classes.items():
            for key, described in self._descriptions(cls):
                schema["properties"].setdefault(key, described)
            options = self._options(cls, f"{'sink' if table is SinkTable else 'check'}-options.{kind}", own)
            required = self._fields.required(cls)
            if hold_required and required:
                options["anyOf"] = [{"required": [*required]}, *(_ANY_TARGET if table is EndpointTable else ())]
            self._definitions[f"{name}.{kind}"] = options
            chosen = {"required": [chooses], "properties": {chooses: {"const": kind}}}
            schema["allOf"].append({"if": chosen, "then": {"$ref": f"#/definitions/{name}.{kind}"}})
        return schema

    def _options(self, cls: type, name: str, others: Iterable[str]) -> Schema:
        """The options of *cls*, and *others*, and no more."""
        properties = self._table(cls)["properties"]
        self._definitions[name] = {"properties": properties}
        return {"allOf": [{"$ref": f"#/definitions/{name}"}], "propertyNames": {"enum": [*others, *properties]}}

    def _descriptions(self, cls: type) -> Iterator[tuple[str, Schema]]:
        for key, option in self._table(cls)["properties"].items():
            yield key, {name: value for name, value in option.items() if name == "description"}

    def _table(self, cls: type) -> Schema:
        keys = {name: key for name, key in self._fields.keys(cls).items() if key.available}
        required = [name for name, key in keys.items() if key.required]
        schema: Schema = {
            "type": "object",
            "properties": {name: self._key(key.attribute, key.kind) for name, key in keys.items()},
            "additionalProperties": False,
        }
        return {**schema, "required": required} if required else schema

    def _key(self, attribute: attrs.Attribute[Any], kind: Any) -> Schema:
        schema = dict(self._type(kind))
        if doc := attribute.metadata.get("doc"):
            schema["description"] = str(doc)
        return schema if (default := _plain(attribute.default)) is None else {**schema, "default": default}

    def _type(self, kind: Any) -> Schema:  # noqa: PLR0911 - one for each kind of type
        origin, members = get_origin(kind), get_args(kind)
        if kind in _SCALARS:
            return _SCALARS[kind]
        if origin is Literal:
            return _one_of(members)
        if origin in (Union, types.UnionType):
            some = [self._type(member) for member in members if member is not types.NoneType]
            return some[0] if len(some) == 1 else {"anyOf": some}
        if origin is dict:
            return {"type": "object", "additionalProperties": self._type(members[1])}
        if origin is list or members[-1:] == (Ellipsis,):
            return _array(self._type(members[0]))
        if origin is tuple:
            return _array([self._type(member) for member in members])
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name not in self._definitions:
            self._definitions[name] = {}  # it may be within itself
            self._definitions[name] = self._table(kind)
        return {"allOf": [{"$ref": f"#/definitions/{name}"}]}  # beside a $ref nothing counts in draft 7


def _array(items: Any) -> Schema:
    return {"type": "array", "items": items}


def _one_of(choices: Sequence[object]) -> Schema:
    some: list[Schema] = [{"enum": list(choices)}]
    return {"anyOf": [*some, *_text(_INSERTED)["anyOf"]]} if any(isinstance(each, str) for each in choices) else some[0]


def _plain(default: Any) -> Any:
    """*default* as JSON, or None where there is none to show."""
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # it is a class
        default = None if default.takes_self else default.factory()
    match default:
        case bool() | str():
            return default
        case Duration() | ByteSize() | Listen():
            return str(default)
        case int() | float():
            return default
        case dict() | list() | tuple():
            return _jsonable(default)
        case _:
            return None


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(each) for key, each in value.items()}
    return [_jsonable(each) for each in value] if isinstance(value, list | tuple) else value
