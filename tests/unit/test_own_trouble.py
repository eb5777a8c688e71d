"""When the monitor's own trouble is told: stories of a minute each, in half-minute steps, and the words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from monitor.core.model import Code, Reason
from monitor.core.own_trouble import (
    ENDS,
    LAST_PAUSE,
    LASTS,
    PAUSE,
    News,
    Trouble,
    from_note,
    is_network,
    news,
    no_reference_answers,
    sentence,
    to_note,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


def trouble(key: str = "store", *, began: float = 0.0, gone: float | None = None, told: bool = False) -> Trouble:
    since = NOW + timedelta(seconds=began)
    return Trouble(key=key, message=f"{key} is broken", since=since, began=began, gone=gone, told=told)


def keys(found: Iterable[Trouble]) -> list[str]:
    return [each.key for each in found]


@pytest.mark.parametrize(
    ("troubles", "now", "spoke", "expected"),
    [
        ([], 1000.0, None, None),
        # one begins: told when it has lasted
        ([trouble()], LASTS - 1, None, LASTS),
        ([trouble()], LASTS, None, (["store"], [])),
        # … but not too soon after the last message
        ([trouble()], LASTS, 10.0, 10.0 + PAUSE),
        ([trouble()], 10.0 + PAUSE, 10.0, (["store"], [])),
        # one that was told stands: nothing more to say, ever
        ([trouble(told=True)], 9999.0, 30.0, None),
        # it ends: told when that has lasted
        ([trouble(told=True, gone=500.0)], 500.0 + ENDS - 1, 30.0, 500.0 + ENDS),
        ([trouble(told=True, gone=500.0)], 500.0 + ENDS, 30.0, ([], ["store"])),
        ([trouble(told=True, gone=40.0)], 40.0 + ENDS, 60.0, 60.0 + LAST_PAUSE),
        # one more begins while another stands: both in one message
        ([trouble(told=True), trouble("network", began=500.0)], 530.0, 30.0, (["store", "network"], [])),
        # one ends while another stands: the longer pause
        ([trouble(told=True), trouble("network", told=True, gone=40.0)], 100.0, 30.0, 30.0 + PAUSE),
        (
            [trouble(told=True), trouble("network", told=True, gone=40.0)], 30 + PAUSE, 30.0, (["store"], ["network"]),
        ),
        # what has just ended goes with what has ended for good
        (
            [trouble(told=True, gone=500.0), trouble("network", told=True, gone=555.0)],
            560.0, 30.0, ([], ["store", "network"]),
        ),
        # … but an end that may not last is not told because of something else
        (
            [trouble(told=True, gone=510.0), trouble("network", began=500.0)], 530.0, 30.0, (["store", "network"], []),
        ),
        # over before it could be told
        ([trouble(gone=100.0)], 100.0, None, ([], ["store"])),
        ([trouble(gone=100.0)], 100.0, 90.0, 90.0 + LAST_PAUSE),
        # a thousand
        ([trouble(f"endpoint:{n}", began=n / 100) for n in range(1000)], LASTS, None, 1000),
    ],
)  # fmt: skip
def test_stories(troubles: list[Trouble], now: float, spoke: float | None, expected: object) -> None:
    found, again = news(troubles, now=now, spoke=spoke)
    match expected:
        case None | float():
            assert (found, again) == (None, expected)
        case int():
            assert found is not None
            assert len(found.standing) == expected
        case _:
            assert found is not None
            assert (keys(found.standing), keys(found.over)) == expected


@pytest.mark.parametrize(
    ("standing", "over", "expected"),
    [
        (["store"], [], "store is broken"),
        (["endpoint:shop"], [], "cannot tell how shop is: endpoint:shop is broken"),
        (["endpoint:a", "endpoint:b"], [], "cannot tell how 2 endpoints are (a, b): endpoint:a is broken"),
        (
            ["network", *(f"endpoint:{each}" for each in "abcd")], ["store"],
            ("network is broken; cannot tell how 4 endpoints are (a, b, c, …): endpoint:a is broken; "
            "over: store is broken"),
        ),
        ([], ["endpoint:shop"], "over: could not tell how shop is: endpoint:shop is broken"),
    ],
)  # fmt: skip
def test_the_sentence(standing: list[str], over: list[str], expected: str) -> None:
    said = News(standing=tuple(map(trouble, standing)), over=tuple(map(trouble, over)))
    assert sentence(said) == expected


def test_what_was_told_comes_back_as_gone_until_somebody_says_otherwise() -> None:
    said = News(standing=(trouble(began=-500.0), trouble("endpoint:a:b")), over=(trouble("network"),))
    told, spoke_at = from_note(to_note(said, NOW), now=7.0)
    assert spoke_at == NOW
    assert told == [attrs.evolve(each, began=7.0, gone=7.0, told=True) for each in said.standing]
    assert told[1].endpoint == "a:b"


@pytest.mark.parametrize("note", [{}, [], 3, {"told": {"a": []}, "spoke_at": "x"}, {"told": {"a": ["x", 1]}}])
def test_a_note_of_somebody_else(note: object) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        from_note(note, now=0.0)  # type: ignore[arg-type]


def test_what_no_reference_explains() -> None:
    assert is_network(Reason(Code.INTERNAL, "connect", no_reference_answers(["a: refused"]) + "; the probe found: x"))
    assert not is_network(Reason(Code.INTERNAL, None, "the monitor has no free file descriptor"))
    assert not is_network(Reason(Code.CRASH, None, no_reference_answers([])))
