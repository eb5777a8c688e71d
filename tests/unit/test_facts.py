"""What is kept of the facts: JSON values, bounded, whatever a server or a stranger's check put there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.facts import Fact, kept


class Hostile:
    """What a stranger's check may set."""

    def __str__(self) -> str:
        raise RuntimeError("nobody may call this")


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (200, 200),
        (True, True),
        (0.25, 0.25),
        ("text", "text"),
        (timedelta(milliseconds=1500), 1.5),
        (timedelta(days=-1), -86400.0),
        (b"abc", "3 bytes"),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 500 + "…"),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ((1, 2), [1, 2]),
        ({1: 2}, {"1": 2}),
        (list(range(60)), list(range(50))),
        ({"k" * 200: 1}, {"k" * 100 + "…": 1}),
        (float("nan"), "nan"),  # JSON has no word for it
        (float("-inf"), "-inf"),
        (2**63 - 1, 2**63 - 1),
        (2**63, "an integer beyond 64 bits"),
        pytest.param(10**5000, "an integer beyond 64 bits", id="beyond what str() takes"),
        ("\ud800", "?"),
        ([[[[[1]]]]], [[[["…"]]]]),
        pytest.param(DEEP, [[[["…"]]]], id="deep"),
        pytest.param(Hostile(), "a Hostile", id="hostile"),
        pytest.param({Hostile(): 1}, {"a Hostile": 1}, id="hostile key"),
    ],
)
def test_a_fact_is_kept_as_a_bounded_json_value(value: object, expected: object) -> None:
    assert kept({"fact": value}, {}) == {"fact": expected}


def test_only_what_is_there_and_worth_keeping_is_kept() -> None:
    declared = {"body": Fact("text", "the body", keep=False), "status": Fact(200, "the status")}
    facts = {"body": "secret", "status": 200, "ip": None, "undeclared": 1}
    assert kept(facts, declared) == {"status": 200, "undeclared": 1}


def test_all_facts_together_are_bounded() -> None:
    wide = {str(n): {str(m): ["x" * 500] * 50 for m in range(50)} for n in range(50)}
    facts = {f"fact{n}": wide for n in range(1000)}
    assert len(json.dumps(kept(facts, {}))) < 50_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text() | st.integers(), inner, max_size=5),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_what_is_kept_is_json_and_unicode(facts: dict[str, Any]) -> None:
    text = json.dumps(kept(facts, {}), allow_nan=False, ensure_ascii=False)
    assert text.encode("utf-8", "surrogatepass")
