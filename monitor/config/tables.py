"""Endpoints and sinks: tables whose keys are partly ours and partly those of their check or sink class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from monitor.config import SinkSettings
from monitor.config.families import KEYS as FAMILY_KEYS
from monitor.config.families import literal
from monitor.config.fields import Mistakes, table_of
from monitor.config.kinds import DEFAULTS, ENDPOINT, OURS, SINK, check_for, chosen, manner_of, target_of, usable
from monitor.config.positions import text_of
from monitor.config.references import expanded
from monitor.config.schema import DefaultsTable, EndpointTable, SinkTable
from monitor.core.expectations import NO_EXPECTATIONS, ExpectationError, Expectations, compile_all
from monitor.core.hints import did_you_mean
from monitor.core.model import Endpoint, Route, State
from monitor.core.quantities import Duration, shown
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from monitor.config.families import Families, Member
    from monitor.config.fields import Fields
    from monitor.config.files import Source
    from monitor.config.positions import Path as Place
    from monitor.config.problems import Problems
    from monitor.config.references import References
    from monitor.config.secrets import Masker
    from monitor.plugin import Check
    from monitor.plugins import Plugin, Registry

T = TypeVar("T", EndpointTable, SinkTable)


@attrs.frozen
class Draft:
    """An endpoint that is right, before it is known what all of the config inserts."""

    table: EndpointTable
    kind: str
    check: Check
    target: str
    expect: Expectations
    degraded: Expectations
    family: str | None = None

    def endpoint(
        self, masker: Masker, all_sinks: tuple[str, ...], members: Mapping[str, Sequence[str]] | None = None
    ) -> Endpoint:
        """The endpoint, what people read of it masked, with all *members* of a family that it depends on."""
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
            isolated=table.isolation == "process",
            sinks=all_sinks if table.sinks is None else table.sinks,
            alert_on=tuple(map(State, table.alert_on)),
            reminder_interval=None if table.reminder_interval == "never" else Duration.parse(table.reminder_interval),
            flap_changes=table.flap_changes,
            flap_window=table.flap_window,
            depends_on=expanded(table.depends_on, members or {}),
            labels=table.labels,
            public=table.public,
            description=None if table.description is None else masker(table.description),
            runbook=None if table.runbook is None else masker(table.runbook),
            invert=table.invert,
            family=self.family,
        )


@attrs.define
class _Written:
    """An `[[endpoint]]` as it stands there: the options of its check, our part, those of our values that are right."""

    source: Source
    place: Place
    options: Mapping[str, Any]
    record: EndpointTable | None
    values: Mapping[str, Any]


class Tables:
    """Reads the tables of every file; what is wrong goes to *problems*, and the rest is read all the same."""

    def __init__(
        self, fields: Fields, registry: Registry, references: References, families: Families, problems: Problems
    ) -> None:
        """Begin without any; *references* is told of every endpoint."""
        self._fields = fields
        self._registry = registry
        self._references = references
        self._families = families
        self._problems = problems
        self._names: dict[str, dict[str, tuple[str, int]]] = {"endpoint": {}, "sink": {}}  # who has a name first
        self._tokens: dict[str, tuple[str, Place]] = {}
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
            own = {key: value for key, value in table.items() if key in DEFAULTS}
            self._defaults = self._right_values(source, DefaultsTable, own, "defaults")
            self.known_sinks(source, ("defaults", "sinks"), self._defaults.get("sinks"))
            for kind, options in table.items():
                if kind in DEFAULTS:
                    continue
                if kind not in kinds:
                    hint = did_you_mean(kind, [*DEFAULTS, *kinds])
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
            plugin = chosen(kind, self._registry.sinks, "sink")
            cls = usable(plugin, SinkTable, self._fields)
            with self._problems.at(source, "sink", index):
                sink = self._fields.table(cls, options, others=SINK)
                manner = manner_of(sink)
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

    def endpoints(self, source: Source, index: int, table: dict[str, Any]) -> Sequence[Draft]:
        """Read one `[[endpoint]]`: it is one, or as many as it has targets, or none where it is wrong."""
        place = ("endpoint", index)
        own, options = _split(table, EndpointTable)
        record, values = self._own(source, place, EndpointTable, own, self._defaults)
        self.known_sinks(source, (*place, "sinks"), values.get("sinks"))
        self._groups[values.get("group")] = None
        written = _Written(source, place, options, record, values)
        members: Sequence[Member | None] = (None,)
        if own.keys().isdisjoint(FAMILY_KEYS):
            self._references.met(source, place, values)
        else:
            written_targets = own["targets"] if "targets" in values else None  # they are called as they are written
            files = values.get("targets_file")
            members = family = self._families.members(source, place, values.get("name", ""), written_targets, files)
            self._references.met_family(source, place, values, [member.name for member in family])
            for member in family:
                self._take_name(source, place, member.name)
        if "check" in own and "check" not in values:
            return ()
        return [draft for member in members if (draft := self._draft(written, member)) is not None]

    def _draft(self, written: _Written, member: Member | None) -> Draft | None:
        """The endpoint that stands there, or one *member* of the family that does; None where it is wrong."""
        source, place, values = written.source, written.place, written.values
        kind, url = values.get("check"), written.options.get("url")
        spot: tuple[Source, Place] = source, (*place, "check" if kind is not None or url is None else "url")
        if member is not None and url is not None:
            url = member.filled(url)
        elif member is not None and kind is None:
            url, spot = literal(member.target), (member.source, member.place)
        with self._problems.at(spot[0], *spot[1]):
            plugin = self._check(kind, url)
            cls = usable(plugin, EndpointTable, self._fields)
            compiled = [self.expectations(source, (*place, each), cls, values.get(each, ())) for each in _LISTS]
            check = self._check_of(written, member, plugin, cls)
            if check is None or written.record is None:
                return None
            with self._problems.at(source, *place):
                _together(check, written.record)
            with self._problems.at(source, *place):
                table = written.record if member is None else member.table(written.record)
                family = None if member is None else written.record.name
                expect, degraded = compiled
                return Draft(table, plugin.kind, check, target_of(check), expect, degraded, family)
        return None

    def _check_of(
        self, written: _Written, member: Member | None, plugin: Plugin[Check], cls: type[Check]
    ) -> Check | None:
        """The check with its options; None where one is wrong, be it in the table or in a target."""
        defaults = self._defaults_of.get(plugin.kind)
        options: Mapping[str, Any] = written.options
        with self._problems.at(written.source, *written.place):
            if member is not None:
                try:
                    options = member.options(cls, written.options)
                except OptionError:
                    raise
                except ValueError as exc:  # what the target should be
                    self._problems.add(member.source, member.place, str(exc))
                    return None
            try:
                check = self._fields.table(cls, options, defaults=defaults, others=ENDPOINT)
            except Mistakes as exc:
                if member is None:
                    raise
                for path, message in exc.found:
                    of_target = path and options.get(str(path[0])) != written.options.get(str(path[0]))
                    spot = (member.source, member.place) if of_target else (written.source, (*written.place, *path))
                    self._problems.add(*spot, message)
                return None
            self._take_token(written.source, written.place if member is None else member.place, check)
            return check
        return None

    def _take_token(self, source: Source, place: Place, check: Check) -> None:
        """By the token of a heartbeat its endpoint is known."""
        token = check.push_token
        if token is None:
            return
        first = self._tokens.setdefault(token, (source.name, place))
        if first != (source.name, place):
            self._problems.add(
                source, (*place, "token"), f"expected a token of its own, got that of {text_of(first[1])}"
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
        return chosen(kind, self._registry.checks, "check")

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


def _split(table: dict[str, Any], cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of *table* that are ours, and the others."""
    ours = OURS[cls]
    own = {key: value for key, value in table.items() if key in ours}
    return own, {key: value for key, value in table.items() if key not in ours}


def _together(check: Check, table: EndpointTable) -> None:
    """Hold a check and our part of its endpoint against each other. Raises OptionError."""
    if table.isolation == "process" and check.push_token is not None:
        raise OptionError("isolation", 'expected "task": a heartbeat comes by itself, nothing is run for it')
    if table.isolation == "process" and check.stays:
        needs = "what this check keeps from one probe to the next needs the monitor's own process"
        raise OptionError("isolation", f'expected "task": {needs}')
    check.fits(table.timeout)


def _route(table: SinkTable) -> Route:
    return Route(
        alert_on=None if table.alert_on is None else tuple(map(State, table.alert_on)),
        after=table.after,
        groups=table.groups,
        labels=table.labels,
    )
