"""From TOML values to typed ones, strictly: a hook for every type that an option of a check or sink may have.

Nothing is coerced, and every mistake of a table is found at once. The types are those that `monitor.plugin.Check`
lists; cattrs finds the hook for a type, and keeps it, so that a class is looked into only once.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
import cattrs

from monitor.config import Listen
from monitor.config.positions import deeper, text_of
from monitor.config.scalars import expression, listen, moment, number, time_of_day, truth, whole
from monitor.core.errors import PluginError, describe
from monitor.core.hints import did_you_mean
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, Template, shown
from monitor.declaring import OptionError, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from monitor.config.positions import Path as Place
    from monitor.config.texts import Texts

    Found = list[tuple[Place, str]]
    Hook = Callable[[Any, Any], Any]

T = TypeVar("T")

_DEEPEST = 32  # levels of an Any
_SCALARS = (str, int, float, bool, Duration, Lifetime, ByteSize, Expression, Template, Path, Listen, datetime, time)
_STEP = re.compile(r"[^.\[\]]+")


class Mistakes(ValueError):  # noqa: N818 - more than one
    """Everything wrong with a value that has parts: paths from there on, each with a message."""

    def __init__(self, found: Found) -> None:
        """Carry *found*."""
        super().__init__("; ".join(f"{text_of(path)}: {message}" if path else message for path, message in found))
        self.found = found


def mistakes(exc: Exception, *under: str | int) -> Found:
    """What *exc*, raised by a hook or a constructor, says about the value at the path *under*."""
    if isinstance(exc, Mistakes):
        return [((*under, *path), message) for path, message in exc.found]
    if isinstance(exc, ExceptionGroup):
        return [mistake for each in exc.exceptions for mistake in mistakes(each, *under)]
    if isinstance(exc, OptionError):
        steps = tuple(int(step) if step.isdigit() else step for step in _STEP.findall(exc.option))
        return [((*under, *steps), _sentence(exc))]
    return [(under, _sentence(exc))]


def _sentence(exc: Exception) -> str:
    # The validators of attrs put more into `args` than their sentence.
    text = exc.args[0] if exc.args and isinstance(exc.args[0], str) else describe(exc)
    line = text.partition("\n")[0]
    return line if isinstance(exc, ValueError | TypeError) else f"a bug in the plugin, {type(exc).__name__}: {line}"


@attrs.frozen
class _Key:
    """One key of a table: a field of its class."""

    attribute: attrs.Attribute[Any]
    kind: Any  # its type
    hook: Hook
    required: bool
    available: bool
    secrets: Callable[[Any], Iterable[str]] | None  # of a value, whatever it looks like in the config


class Fields:
    """Reads values; strings as *texts* says, whose directory is also that of relative paths."""

    def __init__(self, texts: Texts) -> None:
        """Make the hooks."""
        self.texts = texts
        self._keys: dict[type, dict[str, _Key]] = {}
        self._required: dict[type, Sequence[str]] = {}
        self._converter = converter = cattrs.Converter()
        for kind, read in (
            (str, texts.read),
            (int, whole),
            (float, number),
            (bool, truth),
            (Duration, lambda value: Duration.parse(self._text_in(value))),
            (Lifetime, lambda value: Lifetime.parse(self._text_in(value))),
            (ByteSize, lambda value: ByteSize.parse(self._text_in(value))),
            (Expression, expression),
            (Template, lambda value: Template(texts.template(value))),
            (Path, lambda value: texts.path(texts.read(value))),
            (Listen, lambda value: listen(texts.read(value))),
            (datetime, moment),
            (time, lambda value: time_of_day(self._text_in(value))),
        ):
            converter.register_structure_hook(kind, _hook(read))
        for matches, factory in (
            (lambda kind: kind is Any, lambda _: _hook(self._anything)),
            (attrs.has, lambda cls: _hook(lambda value: self.table(cls, value))),
            (_made_of(Literal), self._literal),
            (_made_of(Union, types.UnionType), self._union),
            (_made_of(list), self._list),
            (_made_of(tuple), self._tuple),
            (_made_of(dict), self._dict),
        ):
            converter.register_structure_hook_factory(matches, factory)

    def table(
        self,
        cls: type[T],
        table: object,
        *,
        defaults: Mapping[str, Any] | None = None,
        others: Collection[str] = (),
    ) -> T:
        """Make a *cls* of *table*; what it lacks comes from *defaults*, which are values already. Raises Mistakes.

        *others* are keys that stand in the same table but are read elsewhere: only for hints.
        """
        values, found = self.values(cls, table, others)
        given = {**(defaults or {}), **values}
        present = given.keys() | table_of(table).keys()
        found += [((name,), "is missing") for name in self.required(cls) if name not in present]
        return built(cls, given, found)

    def values(self, cls: type, table: object, others: Collection[str] = ()) -> tuple[dict[str, Any], Found]:
        """The values of those keys of *table* that are right, and what is wrong with the rest."""
        table = table_of(table)
        keys = self.keys(cls)
        values: dict[str, Any] = {}
        found: Found = []
        for name, value in table.items():
            key = keys.get(name)
            if key is None:
                found.append(((name,), f"unknown key{did_you_mean(name, [*keys, *others])}"))
            elif not key.available and value != key.attribute.default:  # what it does by itself, it may be asked for
                found.append(((name,), "not available yet"))
            else:
                try:
                    values[name] = key.hook(value, key.kind)
                    if key.secrets is not None:
                        self.texts.remember(key.secrets(values[name]))
                except ValueError as exc:
                    found += mistakes(exc, name)
        return values, found

    def required(self, cls: type) -> Sequence[str]:
        """The keys of *cls* that have no default."""
        if cls not in self._required:
            self._required[cls] = [name for name, key in self.keys(cls).items() if key.required]
        return self._required[cls]

    def keys(self, cls: type) -> Mapping[str, _Key]:
        """The keys of *cls*, in its order. Raises PluginError where no config could fill a field."""
        keys = self._keys.get(cls)
        if keys is None:
            kinds = _kinds(cls)
            keys = self._keys[cls] = {
                key_of(attribute): self._key(cls, attribute, kinds.get(attribute.name, attribute.type))
                for attribute in attrs.fields(cls)
                if attribute.init
            }
        return keys

    def _key(self, cls: type, attribute: attrs.Attribute[Any], kind: Any) -> _Key:
        if kind is None or _unfillable(kind):
            raise PluginError(f"{cls.__name__}.{attribute.name} has a type that no config can fill: {attribute.type}")
        return _Key(
            attribute,
            kind,
            self._converter.get_structure_hook(kind),
            required=attribute.default is attrs.NOTHING,
            available=attribute.metadata.get("available", True),
            secrets=attribute.metadata.get("secret"),
        )

    def _text_in(self, value: object) -> object:
        """*value* with its text read, if it is one; what it should be is told by whoever parses it."""
        return self.texts.read(value) if isinstance(value, str | dict) else value

    def _anything(self, value: Any) -> Any:
        if deeper(value, _DEEPEST):
            raise ValueError(f"expected a value nested at most {_DEEPEST} deep")
        return self._all_of(value)

    def _all_of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return dict(zip(value, _each({name: (self._all_of, (each,)) for name, each in value.items()}), strict=True))
        if isinstance(value, list):
            return _each({index: (self._all_of, (each,)) for index, each in enumerate(value)})
        if isinstance(value, float):
            return number(value)
        return self.texts.read(value) if isinstance(value, str) else value

    def _literal(self, kind: Any) -> Hook:
        choices = get_args(kind)

        def read(value: object) -> object:
            value = self._text_in(value)
            for choice in choices:
                if type(choice) is type(value) and choice == value:
                    return choice
            raise ValueError(f"expected {_either(choices)}, got {shown(value)}")

        return _hook(read)

    def _union(self, kind: Any) -> Hook:
        # TOML has no null: an option that may be None is left out to be so.
        members = [member for member in get_args(kind) if member is not types.NoneType]
        hooks = [(self._converter.get_structure_hook(member), member) for member in members]
        if len(hooks) == 1:
            only, member = hooks[0]
            return lambda value, _: only(value, member)

        def read(value: object) -> object:
            errors: list[ValueError] = []
            for hook, member in hooks:
                try:
                    return hook(value, member)
                except ValueError as exc:
                    errors.append(exc)
            # The one that saw parts was meant.
            raise next((exc for exc in errors if isinstance(exc, Mistakes)), errors[0])

        return _hook(read)

    def _list(self, kind: Any) -> Hook:
        (member,) = get_args(kind)
        hook = self._converter.get_structure_hook(member)

        def read(value: object) -> list[Any]:
            return _each({index: (hook, (each, member)) for index, each in enumerate(_array(value))})

        return _hook(read)

    def _tuple(self, kind: Any) -> Hook:
        members = get_args(kind)
        if len(members) == 2 and members[1] is Ellipsis:
            as_list = self._list(types.GenericAlias(list, members[:1]))
            return lambda value, _: tuple(as_list(value, None))
        hooks = [(self._converter.get_structure_hook(member), member) for member in members]

        def read(value: object) -> tuple[Any, ...]:
            array = _array(value)
            if len(array) != len(hooks):
                raise ValueError(f"expected an array of {len(hooks)}, got one of {len(array)}")
            pairs = enumerate(zip(hooks, array, strict=True))
            return tuple(_each({index: (hook, (each, member)) for index, ((hook, member), each) in pairs}))

        return _hook(read)

    def _dict(self, kind: Any) -> Hook:
        _, member = get_args(kind)
        hook = self._converter.get_structure_hook(member)

        def read(value: object) -> dict[str, Any]:
            items = {name: (hook, (each, member)) for name, each in table_of(value).items()}
            return dict(zip(items, _each(items), strict=True))

        return _hook(read)


def built(cls: type[T], values: Mapping[str, Any], found: Found) -> T:
    """Make a *cls* of *values*; raises Mistakes with *found* and everything its validators have to say."""
    failure: Exception | None = None
    arguments = _arguments(cls)  # type: ignore[arg-type]  # mypy: a class that is a type variable has no hash
    if not found:
        try:
            return cls(**{arguments[name]: value for name, value in values.items()})
        except Exception as exc:  # noqa: BLE001 - a plugin's code may raise anything; a config error names it
            failure = exc
    seen = list(found)
    for attribute in attrs.fields(cls):  # type: ignore[arg-type]  # every table's class is an attrs class
        name = key_of(attribute)
        if attribute.validator is not None and name in values:
            try:
                attribute.validator(None, attribute, values[name])
            except Exception as exc:  # noqa: BLE001 - as above
                seen += mistakes(exc) if isinstance(exc, OptionError) else mistakes(exc, name)
    if not seen and failure is not None:
        seen = mistakes(failure)
    raise Mistakes(seen) from failure


@functools.cache
def _arguments(cls: type) -> Mapping[str, str]:
    """What the constructor of *cls* calls each of its keys."""
    return {key_of(each): each.alias or each.name for each in attrs.fields(cls)}


def _kinds(cls: type) -> dict[str, Any]:
    """The types of the fields of *cls*; those of other class variables need not exist at run time."""
    names = {attribute.name for attribute in attrs.fields(cls)}
    kinds: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        own = {name: kind for name, kind in inspect.get_annotations(base).items() if name in names}
        try:
            kinds |= get_type_hints(types.SimpleNamespace(__annotations__=own), vars(sys.modules[base.__module__]))
        except Exception as exc:  # annotations are a stranger's code
            raise PluginError(f"the types of {base.__name__} are not known at run time: {describe(exc)}") from exc
    return kinds


def _hook(read: Callable[[Any], Any]) -> Hook:
    return lambda value, _: read(value)


def _made_of(*origins: Any) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) in origins


def _unfillable(kind: Any) -> bool:
    """Is there something in *kind* that no TOML value can become?"""
    origin = get_origin(kind)
    if origin in (list, tuple, Union, types.UnionType):
        return any(_unfillable(member) for member in get_args(kind))
    if origin is dict:
        name, member = get_args(kind)
        return name is not str or _unfillable(member)
    return not (
        kind in (*_SCALARS, Any, types.NoneType, Ellipsis)
        or origin is Literal
        or (isinstance(kind, type) and attrs.has(kind))
    )


def _each(items: Mapping[Any, tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """Call all of *items*, by index or name; raise Mistakes with those of each."""
    values: list[Any] = []
    found: Found = []
    for step, (read, arguments) in items.items():
        try:
            values.append(read(*arguments))
        except ValueError as exc:
            found += mistakes(exc, step)
    if found:
        raise Mistakes(found)
    return values


def table_of(value: object) -> dict[str, Any]:
    """*value*, which must be a table. Raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a table, got {shown(value)}")  # noqa: TRY004 - what a hook raises
    return value


def _either(choices: Sequence[object]) -> str:
    *first, last = map(shown, choices)
    return f"{', '.join(first)} or {last}" if first else last


def _array(value: object) -> list[Any]:
    if type(value) is not list:
        raise ValueError(f"expected an array, got {shown(value)}")
    return value
