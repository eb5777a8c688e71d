"""What a maintenance window or a silence is for: `shop`, an endpoint; `group:web`, all of a group; `*`, everything.

The name of an endpoint with targets means all that it became.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from monitor.core.model import Endpoint

EVERYTHING = "*"
GROUP = "group:"


def targets_of(endpoint: Endpoint) -> tuple[str, ...]:
    """Every target that means *endpoint*. No endpoint's name is `*` or begins with `group:`."""
    own = (endpoint.name, EVERYTHING) if endpoint.family is None else (endpoint.name, endpoint.family, EVERYTHING)
    return own if endpoint.group is None else (*own, f"{GROUP}{endpoint.group}")


def nameable(endpoints: Iterable[Endpoint]) -> set[str]:
    """What `unknown_target` takes for names: theirs, and those of the families they are of."""
    named = {(each.name, each.family) for each in endpoints}
    return {name for both in named for name in both if name is not None}


def unknown_target(target: str, names: Collection[str], groups: Collection[str]) -> str | None:
    """What is wrong with *target* where these *names* and *groups* are all there are; None: nothing."""
    if target == EVERYTHING or target in names:
        return None
    if target.startswith(GROUP):
        group = target.removeprefix(GROUP)
        return None if group in groups else f"there is no group {shown(group)}{did_you_mean(group, groups)}"
    hint = f', did you mean "{GROUP}{target}"?' if target in groups else did_you_mean(target, names)
    return f"there is no endpoint {shown(target)}{hint}"
