"""Endpoints and sinks: tables whose keys are partly ours and partly those of their check or sink class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from monitor.config import SinkSettings
from monitor.config.fields import table_of
from monitor.config.schema import DefaultsTable, EndpointTable, ModuleTable, SinkTable
from monitor.config.texts import without_password
from monitor.core.errors import PluginError
from monitor.core.expectations import ExpectationError, Expectations, compile_all
from monitor.core.hints import did_you_mean
from monitor.core.model import Endpoint, Route, State
from monitor.core.quantities import Duration, shown
from monitor.plugin import Check
from monitor.telling import Manner, Sink

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.config.fields import Fields
    from monitor.config.files import Source
    from monitor.config.problems import Problems
    from monitor.config.references import References
    from monitor.config.secrets import Masker
    from monitor.plugins import Plugin, Registry

T = TypeVar("T", EndpointTable, SinkTable)
P = TypeVar("P", Check, Sink)

_DEFAULTS, _ENDPOINT, _SINK, _MODULE = (
    frozenset(attribute.name for attribute in attrs.fields(cls))
    for cls in (DefaultsTable, EndpointTable, SinkTable, ModuleTable)
)
_OWN: dict[type, frozenset[str]] = {EndpointTable: _ENDPOINT, SinkTable: _SINK, ModuleTable: _MODULE}


@attrs.frozen
class Draft:
    """An endpoint that is right, before it is known what all of the config inserts."""

    table: EndpointTable
    kind: str
    check: Check
    target: str
    expect: Expectations
    degraded: Expectations

    def endpoint(self, masker: Masker, all_sinks: tuple[str, ...]) -> Endpoint:
        """The endpoint, its target masked."""
        table = self.table
        return Endpoint(
            name=table.name,
            kind=self.kind,
            check=self.check,
            target=masker(self.target),
            interval=table.interval,
            timeout=table.timeout,
            retry_interval=table.retry_interval,
            failure_threshold=table.failure_threshold,
            success_threshold=table.success_threshold,
            expect=self.expect,
            degraded=self.degraded,
            group=table.group,
            enabled=table.enabled,
            sinks=all_sinks if table.sinks is None else table.sinks,
            alert_on=tuple(map(State, table.alert_on)),
            reminder_interval=None if table.reminder_interval == "never" else Duration.parse(table.reminder_interval),
            flap_changes=table.flap_changes,
            flap_window=table.flap_window,
            depends_on=table.depends_on,
            labels=table.labels,
            public=table.public,
            description=table.description,
            runbook=table.runbook,
        )


class Tables:
    """Reads the tables of every file; what is wrong goes to *problems*, and the rest is read all the same."""

    def __init__(self, fields: Fields, registry: Registry, references: References, problems: Problems) -> None:
        """Begin without any; *references* is told of every endpoint."""
        self._fields = fields
        self._registry = registry
        self._references = references
        self._problems = problems
        self._names: dict[str, dict[str, tuple[str, int]]] = {"endpoint": {}, "sink": {}}  # who has a name first
        self._tokens: dict[str, tuple[str, int]] = {}
        self._groups: dict[str | None, None] = {}  # those of all endpoints, in their order
        self._wanted_groups: list[tuple[Source, tuple[str | int, ...], str]] = []  # by sinks
        self._defaults: dict[str, Any] = {}
        self._defaults_of: dict[str, dict[str, Any]] = {}
        self._compiled: dict[tuple[type[Check], tuple[str, ...]], Expectations] = {}
        self._by_scheme: dict[str, Plugin[Check] | None] = {}

    def defaults(self, source: Source, table: object) -> None:
        """Read `[defaults]` and the tables in it, each the options of one check."""
        with self._problems.at(source, "defaults"):
            table = table_of(table)
            kinds = self._registry.checks
            own = {key: value for key, value in table.items() if key in _DEFAULTS}
            self._defaults = self._right_values(source, DefaultsTable, own, "defaults")
            self.known_sinks(source, ("defaults", "sinks"), self._defaults.get("sinks"))
            for kind, options in table.items():
                if kind in _DEFAULTS:
                    continue
                if kind not in kinds:
                    hint = did_you_mean(kind, [*_DEFAULTS, *kinds])
                    self._problems.add(source, ("defaults", kind), f"unknown key{hint}")
                    continue
                with self._problems.at(source, "defaults", kind):
                    cls = usable(kinds[kind], EndpointTable, self._fields)
                    self._defaults_of[kind] = self._right_values(source, cls, options, "defaults", kind)

    def _right_values(self, source: Source, cls: type, table: object, *path: str) -> dict[str, Any]:
        """What *table* says for single fields of *cls*, each checked by itself."""
        values, found = self._fields.values(cls, table)
        for place, message in found:
            self._problems.add(source, (*path, *place), message)
        right = {}
        for name, value in values.items():
            attribute = self._fields.keys(cls)[name].attribute
            with self._problems.at(source, *path):
                if attribute.validator is not None:
                    attribute.validator(None, attribute, value)
                right[name] = value
        return right

    def sink(self, source: Source, index: int, table: dict[str, Any]) -> SinkSettings | None:
        """Read one `[[sink]]`; None where it is wrong."""
        own, options = _split(table, SinkTable)
        record, values = self._own(source, ("sink", index), SinkTable, own)
        self._wanted_groups += [
            (source, ("sink", index, "groups", number), name) for number, name in enumerate(values.get("groups") or ())
        ]
        kind = values.get("type")
        if kind is None:
            return None
        with self._problems.at(source, "sink", index, "type"):
            plugin = _chosen(kind, self._registry.sinks, "sink")
            cls = usable(plugin, SinkTable, self._fields)
            with self._problems.at(source, "sink", index):
                sink = self._fields.table(cls, options, others=_SINK)
                manner = _manner(sink)
                if record is not None:
                    return SinkSettings(
                        name=record.name,
                        kind=kind,
                        sink=sink,
                        give_up_after=record.give_up_after,
                        group_wait=record.group_wait,
                        max_per_minute=record.max_per_minute,
                        manner=manner,
                        route=_route(record),
                    )
        return None

    def endpoint(self, source: Source, index: int, table: dict[str, Any]) -> Draft | None:
        """Read one `[[endpoint]]`; None where it is wrong."""
        place = ("endpoint", index)
        own, options = _split(table, EndpointTable)
        record, values = self._own(source, place, EndpointTable, own, self._defaults)
        self._references.met(source, place, values)
        self.known_sinks(source, (*place, "sinks"), values.get("sinks"))
        self._groups[values.get("group")] = None
        if "check" in own and "check" not in values:
            return None
        key = "check" if "check" in own or "url" not in options else "url"
        with self._problems.at(source, *place, key):
            plugin = self._check(values.get("check"), options.get("url"))
            cls = usable(plugin, EndpointTable, self._fields)
            compiled = [self.expectations(source, (*place, each), cls, values.get(each, ())) for each in _LISTS]
            with self._problems.at(source, *place):
                defaults = self._defaults_of.get(plugin.kind)
                check = self._fields.table(cls, options, defaults=defaults, others=_ENDPOINT)
                self._take_token(source, place, check)
                if record is not None:
                    return Draft(record, plugin.kind, check, target_of(check), *compiled)
        return None

    def _take_token(self, source: Source, place: tuple[str, int], check: Check) -> None:
        """By the token of a heartbeat its endpoint is known."""
        token = check.push_token
        if token is None:
            return
        first = self._tokens.setdefault(token, place)
        if first != place:
            self._problems.add(
                source, (*place, "token"), f"expected a token of its own, got that of endpoint[{first[1]}]"
            )

    def _own(
        self,
        source: Source,
        place: tuple[str, int],
        cls: type[T],
        own: dict[str, Any],
        defaults: Mapping[str, Any] | None = None,
    ) -> tuple[T | None, dict[str, Any]]:
        """Our part of a table, where all of it is right; and those of its own values that are."""
        record: T | None = None
        with self._problems.at(source, *place):
            record = self._fields.table(cls, own, defaults=defaults)
        if record is None:
            values, _ = self._fields.values(cls, own)
        else:
            values = {key: getattr(record, key) for key in own}
        if "name" in values:
            self._take_name(source, place, values["name"])
        return record, values

    def _take_name(self, source: Source, place: tuple[str, int], name: str) -> None:
        table, index = place
        file, first = self._names[table].setdefault(name, (source.name, index))
        if (file, first) != (source.name, index):
            where = "" if file == source.name else f" of {file}"
            self._problems.add(source, (*place, "name"), f"the name {shown(name)} is taken by {table}[{first}]{where}")

    @property
    def default_sinks(self) -> tuple[str, ...] | None:
        """What `[defaults]` says."""
        return self._defaults.get("sinks")

    def known_sinks(self, source: Source, place: tuple[str | int, ...], names: Iterable[str] | None) -> None:
        """Hold that every one of *names*, which stand at *place*, is a sink's."""
        known = self._names["sink"]
        for index, name in enumerate(names or ()):
            if name not in known:
                hint = did_you_mean(name, known)
                self._problems.add(source, (*place, index), f"there is no sink {shown(name)}{hint}")

    def known_groups(self) -> None:
        """See that each group a sink names is one, once all endpoints are read."""
        known = [name for name in self._groups if name is not None]
        for source, place, name in self._wanted_groups:
            if name not in known:
                self._problems.add(source, place, f"no endpoint has the group {shown(name)}{did_you_mean(name, known)}")

    def _check(self, kind: str | None, url: object) -> Plugin[Check]:
        if kind is not None:
            return self.chosen_check(kind)
        if url is None:
            raise ValueError("is missing, and there is no url whose scheme says it")
        return check_for(self._fields.texts.read(url), self._registry, self._by_scheme)

    def chosen_check(self, kind: str) -> Plugin[Check]:
        """The check called *kind*. Raises ValueError."""
        return _chosen(kind, self._registry.checks, "check")

    def expectations(
        self, source: Source, place: tuple[str | int, ...], cls: type[Check], sources: tuple[str, ...]
    ) -> Expectations:
        """Compile *sources*, which stand at *place*, for a check of *cls*."""
        if not sources:
            return NO_EXPECTATIONS
        if (cls, sources) not in self._compiled:
            try:
                self._compiled[cls, sources] = compile_all(sources, cls.facts)
            except ExpectationError:
                for index, each in enumerate(sources):  # each for itself: there may be more than one mistake
                    with self._problems.at(source, *place, index):
                        compile_all([each], cls.facts)
                return NO_EXPECTATIONS
        return self._compiled[cls, sources]


_LISTS = ("expect", "degraded")
NO_EXPECTATIONS = Expectations()
_WORD = {EndpointTable: "endpoint", SinkTable: "sink", ModuleTable: "module"}


def _manner(sink: Sink) -> Manner:
    """How *sink* wants its alerts. Raises ValueError where the plugin cannot say."""
    try:
        manner: object = sink.manner
    except Exception as exc:
        raise ValueError(f"its sink cannot say how it wants its alerts: {type(exc).__name__}: {exc}") from exc
    if not isinstance(manner, Manner):
        raise ValueError(f"its sink says {shown(manner)} for how it wants its alerts, not a Manner")  # noqa: TRY004
    return manner


def _split(table: dict[str, Any], cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of *table* that are ours, and the others."""
    ours = _OWN[cls]
    own = {key: value for key, value in table.items() if key in ours}
    return own, {key: value for key, value in table.items() if key not in ours}


def _route(table: SinkTable) -> Route:
    return Route(
        alert_on=None if table.alert_on is None else tuple(map(State, table.alert_on)),
        after=table.after,
        groups=table.groups,
        labels=table.labels,
    )


def usable(plugin: Plugin[P], table: type, fields: Fields) -> type[P]:
    """The class of *plugin*, fit to be filled from a *table*. Raises PluginError."""
    cls, ours = plugin.cls, _OWN[table]
    try:
        keys = fields.keys(cls)
        if not ours.isdisjoint(keys):
            raise PluginError(f"the key {min(ours.intersection(keys))} is one that every {_WORD[table]} has")
    except PluginError as exc:
        noun = plugin.base.__name__.lower()
        raise PluginError(f"the {noun} {shown(plugin.kind)} of {plugin.origin} cannot be used: {exc}") from exc
    return cls


def _chosen(kind: str, plugins: Mapping[str, Plugin[P]], noun: str) -> Plugin[P]:
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
