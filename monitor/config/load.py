"""From a config file to a `Config`, or to every mistake in it at once."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from monitor.config import Access, Config
from monitor.config.announcing import Announcing
from monitor.config.families import Families
from monitor.config.fields import Fields, Mistakes, built, mistakes, table_of
from monitor.config.files import Source, read
from monitor.config.kinds import check_for, target_of, usable
from monitor.config.modules import Modules
from monitor.config.problems import Problems
from monitor.config.references import References
from monitor.config.schema import (
    INCLUDED_TABLES,
    TABLES,
    AccessTable,
    EndpointTable,
    MonitorTable,
    PluginsTable,
    SinkTable,
)
from monitor.config.secrets import Masker
from monitor.config.sights import Sights
from monitor.config.tables import Draft, Tables
from monitor.config.texts import Texts, remember_passwords, without_password
from monitor.config.windows import Windows
from monitor.core.errors import ConfigError, MonitorError, PluginError
from monitor.core.expectations import NO_EXPECTATIONS
from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown
from monitor.plugin import Check
from monitor.plugins import Plugin, Registry
from monitor.telling import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from monitor.core.model import Endpoint
    from monitor.core.quantities import Duration

T = TypeVar("T")
P = TypeVar("P", Check, Sink)


def load(path: Path, *, environ: Mapping[str, str], registry: Registry | None = None) -> Config:
    """Read the config file *path* and what it includes; insert from *environ*. Raises ConfigError.

    *registry* has the kinds there are beside those of `[plugins]`; default: the installed ones.
    """
    sights = Sights()
    try:
        with _collecting_no_garbage():
            return _Loading(path, environ, sights).config(registry or Registry())
    except ConfigError as exc:
        exc.sights = sights  # whoever waits for the mistakes to be mended must know where
        raise


def registry_of(path: Path, *, environ: Mapping[str, str]) -> Registry:
    """The installed kinds, and those of `[plugins]` in the config file *path*. Raises ConfigError."""
    loading = _Loading(path, environ, Sights())
    registry = loading.registry(Registry())
    loading.problems.raise_any()
    return registry


def endpoint_for_target(url: str, registry: Registry, *, timeout: Duration) -> Endpoint:
    """The endpoint that `monitor check URL` means, with the defaults of everything else.

    Its name and target are *url*, a password in it masked. Raises MonitorError.
    """
    shown_url, masker = without_password(url), Masker()
    try:
        plugin = check_for(url, registry)
        fields = Fields(Texts({}, masker, Path()))
        check = _built_for(url, plugin.cls, fields)
        target = target_of(check)
    except Mistakes as exc:
        (place, message), *_ = exc.found
        text = message if place in ((), ("url",)) else f"{place[0]}: {message}"
        raise MonitorError(f"{shown_url}: {_without(url, text)}") from exc
    except (ValueError, PluginError) as exc:
        raise MonitorError(f"{shown_url}: {_without(url, str(exc))}") from exc
    draft = Draft(EndpointTable(name="target"), plugin.kind, check, target, NO_EXPECTATIONS, NO_EXPECTATIONS)
    # A URL is no name that a config could give: it has a slash.
    return attrs.evolve(draft.endpoint(masker, ()), name=shown_url, target=shown_url, timeout=timeout)


def _built_for(url: str, cls: type[Check], fields: Fields) -> Check:
    try:
        values = cls.for_target(url)
    except Exception as exc:
        raise Mistakes(mistakes(exc)) from exc
    missing = [name for name in fields.required(cls) if name not in values]
    return built(cls, values, [((name,), "is missing; it can be given in a config") for name in missing])


def _without(url: str, text: str) -> str:
    """*text* without the password of *url*."""
    masker = Masker()
    remember_passwords(url, masker)
    return masker.thoroughly(text)


@contextlib.contextmanager
def _collecting_no_garbage() -> Iterator[None]:
    """Nearly all that is made here stays: to look for garbage in it takes a fifth of the time, and finds none."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class _Loading:
    """One reading of a config."""

    def __init__(self, path: Path, environ: Mapping[str, str], sights: Sights) -> None:
        """Read the main file; note in *sights* what is read. Raises ConfigError."""
        self.sights = sights
        self.main = read(path, str(path), sights)
        self.masker = Masker()
        self.problems = Problems(self.masker)
        self.problems.met(self.main)
        self._texts = Texts(environ, self.masker, path.absolute().parent, sights)
        self._fields = Fields(self._texts)

    def config(self, installed: Registry) -> Config:
        """All of it."""
        self._known_tables(self.main, TABLES, "unknown key")
        registry = self.registry(installed)
        monitor, given = self._monitor()
        access = self._access()
        sources = [self.main, *self._included(given.get("include", ()))]
        references = References(self.problems)
        families = Families(self._texts, self.problems, self.sights)
        tables = Tables(self._fields, registry, references, families, self.problems)
        windows = Windows(self._fields, references, self.problems)

        sinks = list(self._each(sources, "sink", tables.sink))
        tables.known_sinks(self.main, ("monitor", "sinks"), given.get("sinks"))
        tables.defaults(self.main, self.main.tree.get("defaults", {}))
        drafts = [each for some in self._each(sources, "endpoint", tables.endpoints) for each in some]
        for draft in drafts:
            self.masker.remember(draft.check.push_token or "")  # also where it stands in the file in clear
        tables.known_groups()
        references.hold_dependencies()
        maintenance = list(self._each([self.main], "maintenance", windows.window))
        announcements = list(
            self._each([self.main], "announcement", Announcing(self._fields, self.problems).announcement)
        )
        modules = Modules(self._fields, tables, self.problems).all_of(self.main)
        self.problems.raise_any()

        names = tuple(sink.name for sink in sinks)
        return Config(
            path=self.main.path,
            listen=monitor.listen,
            data_dir=monitor.data_dir or self._texts.path("data"),
            max_concurrent_probes=monitor.max_concurrent_probes,
            external_url=monitor.external_url,
            access=access,
            self_sinks=_first_given(monitor.sinks, tables.default_sinks, names),
            reference=monitor.reference,
            dead_man=monitor.dead_man,
            endpoints=tuple(draft.endpoint(self.masker, names, references.members) for draft in drafts),
            maintenance=tuple(maintenance),
            announcements=tuple(announcements),
            worker_memory=monitor.worker_memory,
            probe_api=monitor.probe_api,
            modules=modules,
            sinks=tuple(sinks),
            plugins=tuple(_references(registry)),
            masker=self.masker,
            watch=monitor.watch,
            sights=self.sights,
        )

    def registry(self, installed: Registry) -> Registry:
        """The kinds there are: *installed* and those of `[plugins]`, each of which must be usable."""
        table = PluginsTable()
        with self.problems.at(self.main, "plugins"):
            table = self._fields.table(PluginsTable, self.main.tree.get("plugins", {}))
        checks = self._local(table.checks, installed.checks, Check, EndpointTable, "checks")
        sinks = self._local(table.sinks, installed.sinks, Sink, SinkTable, "sinks")
        return Registry(
            local_checks={**installed.local_checks, **checks}, local_sinks={**installed.local_sinks, **sinks}
        )

    def _local(
        self, references: Mapping[str, str], installed: Mapping[str, Plugin[P]], base: type[P], table: type, group: str
    ) -> dict[str, Plugin[P]]:
        plugins = {}
        for kind, reference in references.items():
            with self.problems.at(self.main, "plugins", group, kind):
                if kind in installed:
                    raise ValueError(f"{installed[kind].origin} has the {group[:-1]} {shown(kind)} already")
                plugins[kind] = Plugin(kind, base, reference, self.main.name, self._texts.directory)
                usable(plugins[kind], table, self._fields)
        return plugins

    def _monitor(self) -> tuple[MonitorTable, Mapping[str, Any]]:
        """`[monitor]`, and by themselves those of its values that are right, also where the rest of it is wrong."""
        table = self.main.tree.get("monitor", {})
        own = {key: value for key, value in table.items() if key != "access"} if isinstance(table, dict) else table
        with self.problems.at(self.main, "monitor"):
            monitor: MonitorTable = self._fields.table(MonitorTable, own, others=("access",))
            return monitor, attrs.asdict(monitor, recurse=False)
        return MonitorTable(), self._fields.values(MonitorTable, own)[0] if isinstance(own, dict) else {}

    def _access(self) -> Access:
        table = AccessTable()
        monitor = self.main.tree.get("monitor")
        with self.problems.at(self.main, "monitor", "access"):
            given = monitor.get("access", {}) if isinstance(monitor, dict) else {}
            table = self._fields.table(AccessTable, given)
        return Access(public=table.public, read_token=table.read_token, admin_token=table.admin_token)

    def _included(self, patterns: Iterable[str]) -> Iterator[Source]:
        """The files that `include` names, each once, those of a glob in sorted order."""
        seen = {self.main.path.resolve()}
        for index, pattern in enumerate(patterns):
            matches = self.sights.match(pattern, self._texts.directory)
            if not matches and not any(each in pattern for each in "*?["):
                self.problems.add(self.main, ("monitor", "include", index), f"there is no file {shown(pattern)}")
            for match in matches:
                path = self._texts.directory / match
                if path.resolve() in seen:
                    continue
                seen.add(path.resolve())
                try:
                    source = read(path, str(self.main.path.parent / match), self.sights)
                except ConfigError as exc:
                    self.problems.keep(*exc.problems)
                    continue
                self.problems.met(source)
                self._known_tables(source, INCLUDED_TABLES, "only [[endpoint]] and [[sink]] stand in an included file")
                yield source

    def _known_tables(self, source: Source, known: tuple[str, ...], problem: str) -> None:
        for name in source.tree:
            if name not in known:
                self.problems.add(source, (name,), f"{problem}{did_you_mean(name, known)}")

    def _each(
        self, sources: Iterable[Source], name: str, reader: Callable[[Source, int, dict[str, Any]], T | None]
    ) -> Iterator[T]:
        """What *reader* makes of every `[[name]]`; strings in it are relative to its file."""
        main = self._texts.directory
        for source in sources:
            self._texts.directory = main if source is self.main else source.path.parent
            array = source.tree.get(name, [])
            if not isinstance(array, list):
                self.problems.add(source, (name,), f"expected an array of tables: write [[{name}]]")
                continue
            for index, table in enumerate(array):
                value: T | None = None
                with self.problems.at(source, name, index):
                    value = reader(source, index, table_of(table))
                if value is not None:
                    yield value
        self._texts.directory = main


def _references(registry: Registry) -> list[tuple[str, str]]:
    checks = [(f"checks.{kind}", plugin.reference) for kind, plugin in registry.local_checks.items()]
    sinks = [(f"sinks.{kind}", plugin.reference) for kind, plugin in registry.local_sinks.items()]
    return sorted(checks + sinks)


def _first_given(*choices: tuple[str, ...] | None) -> tuple[str, ...]:
    return next((each for each in choices if each is not None), ())
