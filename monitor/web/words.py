"""What the page says first: the worst news in words, and the counts. Pure functions."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from monitor.core.model import State

if TYPE_CHECKING:
    from collections.abc import Sequence

WORST_FIRST = (State.DOWN, State.UNKNOWN, State.DEGRADED, State.PENDING, State.UP)


def worst(states: Sequence[State]) -> State:
    """The worst of *states*; `pending` when there are none."""
    return min(states, key=WORST_FIRST.index, default=State.PENDING)


def headline(endpoints: Sequence[tuple[str, State]]) -> str:
    """The worst news about *endpoints*, each a name and its state: `price feed is down`."""
    if not endpoints:
        return "Nothing is watched yet"
    state = worst([state for _, state in endpoints])
    names = [name for name, each in endpoints if each is state]
    match state:
        case State.UNKNOWN:
            return f"The state of {_subject(names)} is unknown"
        case State.PENDING if len(names) == len(endpoints):
            return "Waiting for the first results"
        case State.PENDING:
            return f"{len(endpoints) - len(names)} of {len(endpoints)} endpoints are up, the others are not known yet"
        case State.UP if len(names) > 2:
            return f"All {len(names)} endpoints are up"
        case State.UP | State.DEGRADED | State.DOWN:
            return f"{_subject(names)} {'is' if len(names) == 1 else 'are'} {state}"


def _subject(names: Sequence[str]) -> str:
    match names:
        case [only]:
            return only
        case [first, second]:
            return f"{first} and {second}"
        case _:
            return f"{len(names)} endpoints"


def flag(name: str) -> str:
    """What is so beside the state."""
    return {"maintenance": "in maintenance", "suppressed": "held back"}.get(name, name)


def counts(states: Sequence[State], flags: Sequence[str] = ()) -> str:
    """How many are in each state, worst first, and in maintenance: `1 down, 7 up, 1 in maintenance`."""
    number = Counter(states)
    found = [f"{number[state]} {state}" for state in WORST_FIRST if number[state]]
    if quiet := flags.count("maintenance"):
        found.append(f"{quiet} in maintenance")
    return ", ".join(found)
