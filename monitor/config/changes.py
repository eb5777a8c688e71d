"""What differs between two configs, and what of that only a restart can change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from monitor.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.config import Config

_WANT_A_RESTART = {"listen": "monitor.listen", "data_dir": "monitor.data_dir", "plugins": "plugins"}  # where it stands
_TABLES = ("endpoints", "sinks")
_KEYS = {"self_sinks": "sinks"}  # as the file calls them
_NOT_SETTINGS = frozenset({*_WANT_A_RESTART, *_TABLES, "path", "masker", "sights"})


@attrs.frozen
class Names:
    """Which of the things that have a name are new, changed or gone; in the order of their config."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Changes:
    """What is different."""

    endpoints: Names = Names()  # of those that are enabled
    sinks: Names = Names()
    settings: tuple[str, ...] = ()  # keys of `[monitor]`, and `access`


def changes(before: Config, after: Config) -> Changes:
    """Say what *after* changes. Raises ConfigError where that wants a restart."""
    if problems := [
        Problem(str(after.path), None, place, f"a change of {key} needs a restart")
        for key, place in _WANT_A_RESTART.items()
        if getattr(before, key) != getattr(after, key)
    ]:
        raise ConfigError(problems)
    return Changes(
        endpoints=_names(_by_name(before.enabled), _by_name(after.enabled)),
        sinks=_names(_by_name(before.sinks), _by_name(after.sinks)),
        settings=tuple(
            _KEYS.get(each, each) for each in _settings(after) if getattr(before, each) != getattr(after, each)
        ),
    )


def _settings(config: Config) -> Iterable[str]:
    return (each.name for each in attrs.fields(type(config)) if each.name not in _NOT_SETTINGS)


def _by_name(things: Iterable[object]) -> dict[str, object]:
    return {getattr(each, "name", ""): each for each in things}


def _names(before: Mapping[str, object], after: Mapping[str, object]) -> Names:
    return Names(
        added=tuple(name for name in after if name not in before),
        changed=tuple(name for name in after if name in before and before[name] != after[name]),
        removed=tuple(name for name in before if name not in after),
    )
