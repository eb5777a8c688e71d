"""What a parent does to an alert about its child, as stories; and dependencies that lead in a circle."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.entries import NOW
from support.face import Plain
from support.probes import endpoint

from monitor.core.dependencies import Answer, Child, Parent, asked, cycles
from monitor.core.health import Health, advance
from monitor.core.model import OK, Code, Observation, Reason, Status

ROUTER = endpoint(Plain(), name="router", failure_threshold=2, success_threshold=2, retry_interval=5.0, timeout=5.0)
STATUS = {"+": Status.UP, "~": Status.DEGRADED, "-": Status.DOWN, "?": Status.UNKNOWN}
NOTHING = Answer()
FOR_GOOD = Answer(holds=True)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def parent(script: str, *, first: float = 0, every: float = 10) -> Parent:
    """The router after the probes of *script*, the first begun at *first*, each answered after a second."""
    health, since, last = Health(), None, None
    for number, letter in enumerate(script):
        begun = at(first + number * every)
        reason = OK if letter == "+" else Reason(Code.CONNECT)
        last = Observation(endpoint="router", status=STATUS[letter], reason=reason, started_at=begun, duration=1.0)
        health, change = advance(health, last, ROUTER.thresholds)
        if change is not None:
            since = begun + timedelta(seconds=1)
    return Parent(endpoint=ROUTER, health=health, since=since, last=last)


# The child's first failing probe began at 100 s, its latest at 120 s; there was something to tell at 121 s.
CHILD = Child(failing_since=at(100), confirmed_at=at(121), counted_at=at(120))
LIMIT = 20  # seconds: 2 × (5 + 5)


@pytest.mark.parametrize(
    ("router", "answer"),
    [
        # it is down: until it is not
        (parent("++--", first=80), FOR_GOOD),
        (parent("--"), FOR_GOOD),
        (parent("--~", first=90), FOR_GOOD),  # one better answer is not a recovery
        (parent("--+", first=95), FOR_GOOD),
        (parent("--?", first=95), FOR_GOOD),
        # it failed, and that is not settled: from its first failure or the child's confirmation, whichever was later
        (parent("+-", first=100), Answer(holds=True, until=at(121 + LIMIT))),
        (parent("+-", first=115), Answer(holds=True, until=at(125 + LIMIT))),
        (parent("-", first=110), Answer(holds=True, until=at(121 + LIMIT))),
        (parent("~~-", first=90), Answer(holds=True, until=at(121 + LIMIT))),
        (parent("+-", first=85), Answer(holds=True, until=at(121 + LIMIT))),  # before the child began to fail
        # nobody has looked at it since the child began to fail
        (parent("+", first=99), Answer(holds=True, until=at(121 + LIMIT), ask=True)),
        (parent("~~", first=80), Answer(holds=True, until=at(121 + LIMIT), ask=True)),
        (parent("+?", first=80), Answer(holds=True, until=at(121 + LIMIT), ask=True)),
        (parent(""), Answer(holds=True, until=at(121 + LIMIT), ask=True)),
        # it was good all along
        (parent("+++", first=80), NOTHING),
        (parent("++", first=90), NOTHING),
        (parent("~~~", first=80), NOTHING),
        (parent("++?", first=85), NOTHING),
        # it came back before the child's latest probe: that one counts
        (parent("---++", first=60), NOTHING),
        (parent("+-+", first=95), NOTHING),  # a failure that was never confirmed
        # it came back after that: one more probe of the child
        (parent("--++", first=100), Answer(probe_after=at(131))),
        (parent("+-+", first=105), Answer(probe_after=at(125))),
        (parent("--~~", first=105), Answer(probe_after=at(125))),
        (parent("+", first=122), Answer(probe_after=at(123))),
        # nobody can tell: that is no reason
        (parent("++??", first=90), NOTHING),
        (parent("--??", first=90), NOTHING),
        (parent("??", first=80), NOTHING),
        # it is worked on
        (attrs.evolve(parent("+++", first=80), maintenance_until=at(500)), Answer(holds=True, until=at(500))),
        (attrs.evolve(parent("--"), maintenance_until=at(500)), Answer(holds=True, until=at(500))),
    ],
)  # fmt: skip
def test_what_a_parent_does_to_an_alert(router: Parent, answer: Answer) -> None:
    assert asked(CHILD, router) == answer


@pytest.mark.parametrize(
    ("depends_on", "found"),
    [
        ({}, []),
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),  # a diamond is none
        ({"a": ["a"]}, [("a", "a")]),
        ({"b": ["a"], "a": ["b"]}, [("b", "a", "b")]),
        ({"x": ["c"], "b": ["c"], "c": ["a"], "a": ["b"]}, [("b", "c", "a", "b")]),
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, [("a", "b", "a"), ("c", "d", "c")]),
        ({"a": ["b"], "b": ["a", "c"], "c": ["b"]}, [("a", "b", "a"), ("b", "c", "b")]),
        ({"a": ["gone"], "b": ["a"]}, []),
    ],
)
def test_circles(depends_on: dict[str, list[str]], found: list[tuple[str, ...]]) -> None:
    assert list(cycles(depends_on)) == found


def test_a_long_chain_is_no_deeper_than_the_stack() -> None:
    chain = {str(number): [str(number + 1)] for number in range(50_000)}
    assert list(cycles(chain)) == []
    assert len(next(cycles({**chain, "50000": ["0"]}))) == 50_002


graphs = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefgh"), max_size=4, unique=True))


@given(graphs)
def test_a_circle_is_found_wherever_there_is_one(graph: dict[str, list[str]]) -> None:
    found = list(cycles(graph))
    for cycle in found:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(other in graph[one] for one, other in pairwise(cycle))
    # Without their steps there is none left: the endpoints can be put in order.
    gone = {step for cycle in found for step in pairwise(cycle)}
    left = {one: {other for other in graph[one] if other in graph and (one, other) not in gone} for one in graph}
    while free := {name for name, parents in left.items() if not parents}:
        left = {name: parents - free for name, parents in left.items() if name not in free}
    assert left == {}
