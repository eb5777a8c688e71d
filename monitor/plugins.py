"""Which checks and sinks there are: those that installed packages offer, and those of local files.

A package offers them through the entry-point groups `monitor.checks` and `monitor.sinks`; the built-in ones do so,
too. A class is loaded only when somebody needs it, so that a broken package harms only those who use it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from monitor.core.errors import PluginError, typed
from monitor.core.facts import hold_metric, hold_names
from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown
from monitor.plugin import Check
from monitor.telling import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

OURS = "nursery-monitor"
_LOCAL = "monitor_local_"  # modules of local files

T = TypeVar("T", Check, Sink)


@attrs.frozen
class Plugin(Generic[T]):
    """One kind of check or sink; *origin* says for people where it comes from: a package, or a local file."""

    kind: str
    base: type[T]
    reference: str  # `module:Class`, or `path/file.py:Class`
    origin: str
    directory: Path | None = None  # what the path of a local file is relative to
    rival: str | None = None  # another package that offers the same kind

    @functools.cached_property
    def cls(self) -> type[T]:
        """The class; loading it the first time may raise PluginError."""
        noun = f"the {self.base.__name__.lower()} {shown(self.kind)}"
        if self.rival is not None:
            raise PluginError(f"{noun} is offered twice, by {self.origin} and by {self.rival}: uninstall one of them")
        try:
            found = _loaded(self.reference, self.directory)
            hold_contract(found, self.base)
        except PluginError as exc:
            shadow = _shadow() if self.origin == OURS else None
            why = f"the package of the built-in checks is shadowed by {shadow}: rename that" if shadow else str(exc)
            raise PluginError(f"{noun} of {self.origin} cannot be loaded: {why}") from exc
        return found


def _loaded(reference: str, directory: Path | None) -> type:
    where, colon, name = reference.rpartition(":")
    if not (colon and where and name.isidentifier()):
        raise PluginError(f'expected "module:Class" or "path/file.py:Class", got {shown(reference)}')
    module = _file(where, directory) if where.endswith(".py") else _module(where, directory)
    found: object = getattr(module, name, None)
    if not isinstance(found, type):
        raise PluginError(f"{where} has no class {name}{did_you_mean(name, _classes(module))}")
    return found


def _classes(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type)]


def _module(name: str, directory: Path | None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as exc:  # importing runs a stranger's code, which may raise anything
        missing = isinstance(exc, ModuleNotFoundError) and exc.name == name
        is_file = missing and directory is not None and (directory / f"{name}.py").is_file()
        hint = f', did you mean the file "{name}.py"?' if is_file else ""
        raise PluginError(f"importing {name} failed with {typed(exc)}{hint}") from exc


def _file(name: str, directory: Path | None) -> ModuleType:
    """The module of a local file: loaded once per process, so that a reload of the config finds the same classes."""
    return load_file(Path(directory or "", name).absolute(), name)


def local_file(module: str) -> Path | None:
    """The file that *module* was loaded from, where it is that of a local file."""
    found = sys.modules.get(module)
    origin = getattr(found, "__file__", None)
    return Path(origin) if module.startswith(_LOCAL) and origin is not None else None


def load_file(path: Path, name: str | None = None) -> ModuleType:
    """Load the local file *path* as a module, which has the same name in every process. Raises PluginError.

    *name* is what people call it.
    """
    name = name or str(path)
    import hashlib  # noqa: PLC0415 - only for a check in a local file

    digest = hashlib.blake2b(str(path).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
    known = f"{_LOCAL}{path.stem}_{digest}"
    if known in sys.modules:
        return sys.modules[known]
    if not path.is_file():
        raise PluginError(f"there is no file {name}")
    spec = importlib.util.spec_from_file_location(known, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module  # type hints of its classes are looked up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as exc:
        del sys.modules[known]
        raise PluginError(f"running {name} failed with {typed(exc)}") from exc
    return module


def hold_contract(cls: type, base: type) -> None:
    """Raise PluginError, one sentence, unless *cls* is a check or sink, as *base* says, that can be loaded."""
    if not issubclass(cls, base):
        raise PluginError(f"{cls.__name__} does not derive from monitor.api.{base.__name__}")
    if not attrs.has(cls):
        raise PluginError(f"{cls.__name__} is no attrs class: put @attrs.frozen(kw_only=True) above it")
    if issubclass(cls, Check):
        _hold(cls, "facts", lambda: hold_names(cls.facts or {}))
        _hold(cls, "phases_metric", lambda: hold_metric(cls.phases_metric))


def _hold(cls: type, part: str, rule: Callable[[], None]) -> None:
    try:
        rule()
    except ValueError as exc:
        raise PluginError(f"{cls.__name__}.{part}: {exc}") from exc


def _shadow() -> Path | None:
    """The file that takes the name `checks` from our package, if one does."""
    spec = importlib.util.find_spec("checks")
    if spec is None or spec.origin is None:
        return None
    found, ours = Path(spec.origin), Path(__file__).parent.parent / "checks" / "__init__.py"
    return None if found.resolve() == ours.resolve() else found


@attrs.frozen
class Registry:
    """Every kind there is, by its name. `Registry()` has the installed ones."""

    local_checks: Mapping[str, Plugin[Check]] = attrs.field(factory=dict)
    local_sinks: Mapping[str, Plugin[Sink]] = attrs.field(factory=dict)

    @functools.cached_property
    def checks(self) -> Mapping[str, Plugin[Check]]:
        """The checks, in the order of their names."""
        return _sorted({**_installed("monitor.checks", Check), **self.local_checks})

    @functools.cached_property
    def sinks(self) -> Mapping[str, Plugin[Sink]]:
        """The sinks, in the order of their names."""
        return _sorted({**_installed("monitor.sinks", Sink), **self.local_sinks})

    def check_for(self, scheme: str) -> Plugin[Check] | None:
        """The check that a URL's scheme chooses, None if there is none. PluginError if it cannot be told.

        A built-in check goes before a stranger's, whose package is then not even loaded; one that cannot be loaded
        is passed over.
        """
        own = [plugin for plugin in self.checks.values() if plugin.origin == OURS]
        # To load one takes some 5 ms, so the likeliest come first: `http` for https, `websocket` for wss.
        own.sort(key=lambda plugin: (not scheme.startswith(plugin.kind), plugin.kind[:1] != scheme[:1]))
        for plugin in own:  # of which no two take the same
            if scheme in _schemes(plugin):
                return plugin
        others = [plugin for plugin in self.checks.values() if plugin.origin != OURS]
        matching = [plugin for plugin in others if scheme in _schemes(plugin)]
        if len(matching) > 1:
            kinds = " and ".join(shown(plugin.kind) for plugin in matching)
            raise PluginError(f"the checks {kinds} both take {scheme}:// URLs: say which")
        if matching:
            return matching[0]
        # Were ours the ones that cannot be loaded, that would be the news.
        for plugin in own:
            _ = plugin.cls
        return None

    @property
    def schemes(self) -> list[str]:
        """Every URL scheme that chooses a check."""
        return sorted({scheme for plugin in self.checks.values() for scheme in _schemes(plugin)})


def _schemes(plugin: Plugin[Check]) -> tuple[str, ...]:
    try:
        return plugin.cls.schemes
    except PluginError:
        return ()


def _sorted(plugins: Mapping[str, Plugin[T]]) -> Mapping[str, Plugin[T]]:
    return dict(sorted(plugins.items()))


def _installed(group: str, base: type[T]) -> dict[str, Plugin[T]]:
    found: dict[str, Plugin[T]] = {}
    for entry in importlib.metadata.entry_points(group=group):
        plugin = Plugin(entry.name, base, entry.value, entry.dist.name if entry.dist else "an unknown package")
        earlier = found.get(entry.name)
        if earlier is None:
            found[entry.name] = plugin
        elif earlier.reference != plugin.reference:
            found[entry.name] = attrs.evolve(earlier, rival=plugin.origin)
    return found
