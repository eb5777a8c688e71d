"""The rules of the contract that can be read off a check, and off what one probe of it left: each breach a sentence."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from monitor.config.fields import Fields
from monitor.config.secrets import Masker
from monitor.config.texts import Texts
from monitor.core.errors import PluginError, typed
from monitor.core.facts import declared
from monitor.core.model import Code, Status, Verdict
from monitor.plugin import Check
from monitor.plugins import hold_contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from monitor.core.model import Observation
    from monitor.testing.watched import Record

_SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token|credential|(api|private)_?key$", re.IGNORECASE)
_SHORTEST_SECRET = 4  # characters; shorter ones stand in other words
_OF_CONNECTIONS = frozenset({"ip", "tls_version", "cert_expires_in", "cert_issuer"})  # noted for the check
_PLAIN = (bool, int, float, str, bytes, timedelta)


def broken_by_class(cls: type[Check], directory: Path) -> Iterator[str]:
    """What is wrong with *cls* before it is used at all."""
    try:
        hold_contract(cls, Check)
        keys = Fields(Texts({}, Masker(), directory)).keys(cls)
    except PluginError as exc:
        yield str(exc)
        return
    if not inspect.getdoc(cls) or cls.__doc__ == Check.__doc__ or cls.__doc__ is None:
        yield "the class has no docstring: `monitor checks` shows its first line"
    for name, key in keys.items():
        if not key.attribute.metadata.get("doc"):
            yield f"the option {name} is not documented: declare it by check_option(doc=…)"
    if cls.probe is Check.probe:
        yield "it has no method probe"
    elif not inspect.iscoroutinefunction(cls.probe):
        yield "its probe is not `async def`"


def broken_by_instances(one: Check, other: Check) -> Iterator[str]:
    """What is wrong with two that were made of the same options."""
    if one != other:
        yield "two with the same options are not equal: each reload of the config would begin it anew"
    with suppress(attrs.exceptions.FrozenInstanceError):
        one.contract = True  # type: ignore[attr-defined]  # of no use, and refused
        yield "it is not frozen: put @attrs.frozen(kw_only=True) above it"
    try:
        target: object = one.target
    except Exception as exc:  # noqa: BLE001 - as above
        yield f"its target raises {typed(exc)}"
        return
    if not isinstance(target, str) or not target:
        yield f"its target is not a text that says what is looked at, but {target!r}"


def broken_by_probe(check: Check, record: Record, seen: Observation) -> Iterator[str]:
    """What is wrong with what one probe answered, and with the facts that it set."""
    if seen.reason.code is Code.CRASH and not (isinstance(record.answer, Verdict) and record.raised is None):
        at = f" ({record.place_of_error})" if record.place_of_error else ""
        yield f"{seen.reason.message.removeprefix('the check crashed: ')}{at}: answer with a Verdict in its place"
    elif seen.reason.code is Code.CRASH and record.left_open:
        yield f"it leaves open what it opened: {seen.reason.message}"
    elif record.left_open:
        yield "it leaves a nursery open"
    if seen.status is not Status.UP and not seen.reason.message:
        yield f"it answers {seen.status} without a message"
    facts = declared(check)
    for name, value in (record.facts or {}).items():
        if name not in facts and name not in _OF_CONNECTIONS:
            yield f"it sets the fact {name}, which facts does not declare"
        elif name in facts and (problem := _misfit(value, facts[name].sample)):
            yield f"the fact {name} is {problem}"


def broken_by_telling(check: Check, texts: Mapping[str, str]) -> Iterator[str]:
    """Which secrets among the options of *check* stand in *texts*, what people see by where they see it."""
    for option, secret in _secrets(check):
        for where, text in texts.items():
            if secret in text:
                yield f"the option {option} is a secret, and stands in {where}"


def _secrets(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text under a telling name in *value*, which is called *name*, with the path to it."""
    if isinstance(value, str) and _SECRET.search(name) and len(value) >= _SHORTEST_SECRET:
        yield name, value
    kind = type(value)
    if isinstance(value, dict):
        parts = value
    else:
        parts = {field.name: getattr(value, field.name) for field in attrs.fields(kind)} if attrs.has(kind) else {}
    for part, inner in parts.items():
        yield from _secrets(inner, f"{name}.{part}" if name else part)


def _misfit(value: object, sample: object) -> str | None:
    """How *value* is another than *sample* promises, or no value that a fact can have."""
    if value is None:
        return None
    if (alien := _alien(value)) is not None:
        return f"or holds a {type(alien).__name__}, which no JSON has: {alien!r:.100}"
    if sample is not None and _family(value) is not _family(sample):
        return f"declared by the sample {sample!r:.100}, and was {value!r:.100}"
    return None


def _family(value: object) -> type:
    if isinstance(value, tuple):
        return list
    return next((kind for kind in (*_PLAIN, list, dict) if isinstance(value, kind)), type(value))


def _alien(value: object) -> object | None:
    """The first part of *value* that is none of the types of facts."""
    match value:
        case None | bool() | int() | float() | str() | bytes() | timedelta():
            return None
        case dict():
            odd_keys = (key for key in value if not isinstance(key, str))
            return next(odd_keys, None) or _alien(list(value.values()))
        case list() | tuple():
            return next((found for each in value if (found := _alien(each)) is not None), None)
        case _:
            return value
