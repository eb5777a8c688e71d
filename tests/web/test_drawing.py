"""Bars, sparklines and charts: what is drawn of which results."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.core.rollup import Point, Rollup, Series
from monitor.web.drawing import (
    HEIGHT,
    LETTERS,
    NO_LEVEL,
    PITCH,
    WIDTH,
    Chart,
    bar,
    chart,
    in_words,
    level,
    ordered,
    paths,
    spark,
)

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_every_status_has_a_shape_of_its_own() -> None:
    assert paths("uugdxu", 8) == {
        "none": "M0 11h8",
        "up": "M8 11h8M28 11h4",
        "degraded": "M16 14h4",
        "down": "M20 4h4M20 18h4",
        "unknown": "M24 11h4",
    }


def test_a_bar_in_words_begins_with_the_worst() -> None:
    assert in_words("udug") == "1 down, 1 degraded, 2 up"
    picture = bar("udug", 60, NOON)
    assert 'aria-label="1 down, 1 degraded, 2 up" data-letters="udug" data-at="2026-11-22T12:00:00.000Z"' in picture
    assert picture.count("<path") == 4
    assert 'aria-label="none yet">' in bar("", 60)


@given(st.text(sorted(LETTERS.values()), max_size=60))
def test_every_cell_is_drawn_once(letters: str) -> None:
    drawn: list[int] = []
    for status, path in paths(letters, 60).items():
        for at, length in {(int(at), int(length)) for at, length in re.findall(r"M(\d+) \d+h(\d+)", path)}:
            cells = range(at // PITCH, (at + length) // PITCH)
            drawn += cells
            assert status == "none" or all(letters[cell - 60 + len(letters)] == LETTERS[status] for cell in cells)
    assert sorted(drawn) == list(range(60))


def test_a_spark_leaves_out_what_was_no_good_probe() -> None:
    line = spark([level(each) for each in (0.084, None, 0.05, 0.1)], cells=10)
    assert 'points="6,840 8,500 9,1000"' in line
    assert 'viewBox="0 -1000 9 1000"' in line
    assert 'points=""' in spark([NO_LEVEL], cells=10)


def series(*phases: dict[str, float] | None) -> Series:
    """A point each minute, None where nothing was measured."""
    points = []
    for number, each in enumerate(phases):
        rollup = Rollup()
        if each is not None:
            rollup.add("up", sum(each.values()), each)
        else:
            rollup.add("down", 5.0, {})
        points.append(Point(NOON - HOUR + timedelta(minutes=number), rollup, 1.0))
    return Series(60.0, tuple(points))


def drawn(*phases: dict[str, float] | None) -> Chart | None:
    return chart(series(*phases), (NOON - HOUR, NOON))


def test_phases_lie_upon_each_other_in_their_order() -> None:
    found = drawn({"transfer": 0.05, "connect": 0.05}, {"transfer": 0.1, "connect": 0.1})
    assert found is not None
    assert [(each.phase, each.number) for each in found.areas] == [("connect", 1), ("transfer", 6)]
    connect, transfer = (re.findall(r"([\d.]+) ([\d.]+)", each.path) for each in found.areas)
    assert connect[:2] == [("0", "152.4"), ("16", "104.8")]
    assert transfer[:2] == [("0", "104.8"), ("16", "9.5")]
    assert transfer[2:] == [("16", "104.8"), ("0", "152.4")], "and back along what lies below"
    assert found.lines == [(105, "100 ms"), (10, "200 ms")]


def test_what_was_not_measured_is_a_gap() -> None:
    found = drawn({"connect": 0.1}, {"connect": 0.1}, None, {"connect": 0.1})
    assert found is not None
    (area,) = found.areas
    assert area.path.count("M") == 2


def test_without_a_good_probe_there_is_no_chart() -> None:
    assert drawn(None, None) is None
    assert drawn() is None


def test_the_phases_of_a_plugin_follow_in_the_colour_of_the_last() -> None:
    assert ordered({"warm", "transfer", "resolve", "brew"}) == ["resolve", "transfer", "brew", "warm"]
    found = drawn({"resolve": 0.1, "brew": 0.1, "warm": 0.1})
    assert found is not None
    assert [each.number for each in found.areas] == [0, 7, 7]


@given(st.lists(st.none() | st.dictionaries(st.sampled_from(["connect", "tls"]), st.floats(1e-6, 1e4), min_size=1)))
def test_nothing_is_drawn_outside(phases: list[dict[str, float] | None]) -> None:
    found = drawn(*phases[:60])
    for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", "".join(each.path for each in found.areas) if found else ""):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
