"""Which check or sink a table means, and what a plugin says of itself, which may be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import attrs

from monitor.config.schema import DefaultsTable, EndpointTable, ModuleTable, SinkTable
from monitor.config.texts import without_password
from monitor.core.errors import PluginError
from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown
from monitor.plugin import Check
from monitor.telling import Manner, Sink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config.fields import Fields
    from monitor.plugins import Plugin, Registry

P = TypeVar("P", Check, Sink)

DEFAULTS, ENDPOINT, SINK, MODULE = (
    frozenset(attribute.name for attribute in attrs.fields(cls))
    for cls in (DefaultsTable, EndpointTable, SinkTable, ModuleTable)
)
OURS: dict[type, frozenset[str]] = {EndpointTable: ENDPOINT, SinkTable: SINK, ModuleTable: MODULE}
_WORD = {EndpointTable: "endpoint", SinkTable: "sink", ModuleTable: "module"}


def usable(plugin: Plugin[P], table: type, fields: Fields) -> type[P]:
    """The class of *plugin*, fit to be filled from a *table*. Raises PluginError."""
    cls, ours = plugin.cls, OURS[table]
    try:
        keys = fields.keys(cls)
        if not ours.isdisjoint(keys):
            raise PluginError(f"the key {min(ours.intersection(keys))} is one that every {_WORD[table]} has")
    except PluginError as exc:
        noun = plugin.base.__name__.lower()
        raise PluginError(f"the {noun} {shown(plugin.kind)} of {plugin.origin} cannot be used: {exc}") from exc
    return cls


def chosen(kind: str, plugins: Mapping[str, Plugin[P]], noun: str) -> Plugin[P]:
    if kind not in plugins:
        hint = did_you_mean(kind, plugins) or f" (known: {', '.join(plugins)})"
        raise ValueError(f"there is no {noun} {shown(kind)}{hint}")
    return plugins[kind]


def check_for(url: str, registry: Registry, by_scheme: dict[str, Plugin[Check] | None] | None = None) -> Plugin[Check]:
    """The check that *url* chooses by its scheme; *by_scheme* remembers. Raises ValueError, PluginError."""
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise ValueError(f'expected a URL with a scheme such as "https://", got {shown(url)}')
    scheme = scheme.lower()
    known = {} if by_scheme is None else by_scheme
    if scheme not in known:
        known[scheme] = registry.check_for(scheme)
    plugin = known[scheme]
    if plugin is None:
        schemes = registry.schemes
        hint = did_you_mean(scheme, schemes) or f" (known: {', '.join(schemes)})"
        raise ValueError(f"no check takes URLs with the scheme {shown(scheme)}{hint}")
    return plugin


def target_of(check: Check) -> str:
    """What *check* says it looks at, without passwords. Raises ValueError where the plugin cannot say."""
    try:
        return without_password(str(check.target))
    except Exception as exc:
        raise ValueError(f"its check cannot say what it looks at: {type(exc).__name__}: {exc}") from exc


def manner_of(sink: Sink) -> Manner:
    """How *sink* wants its alerts. Raises ValueError where the plugin cannot say."""
    try:
        manner: object = sink.manner
    except Exception as exc:
        raise ValueError(f"its sink cannot say how it wants its alerts: {type(exc).__name__}: {exc}") from exc
    if not isinstance(manner, Manner):
        raise ValueError(f"its sink says {shown(manner)} for how it wants its alerts, not a Manner")  # noqa: TRY004
    return manner
