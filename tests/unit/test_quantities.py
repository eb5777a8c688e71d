"""Durations and sizes as they stand in a config, and as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.quantities import ByteSize, Duration, lasting_text, seconds_text, shown

CENTURY = 100 * 365 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("1m30s", 90),
        ("12h", 43200),
        ("7d", 604800),
        ("1.5h", 5400),
        ("0.4ms", 0.0004),
        ("1d2h3m4s5ms", 93784.005),
        ("90m", 5400),
    ],
)
def test_a_duration_is_a_float_of_seconds(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (5, "got 5"),
        (5.0, "got 5.0"),
        (True, "got true"),
        (None, "got None"),
        ("", 'got ""'),
        ("5", 'got "5"'),
        ("s", 'got "s"'),
        ("-5s", 'got "-5s"'),
        ("+5s", 'got "+5s"'),
        (" 5s", 'got " 5s"'),
        ("5 s", 'got "5 s"'),
        ("5s\n", 'got "5s\\n"'),
        ("5S", 'got "5S"'),
        ("5sec", 'got "5sec"'),
        ("1e3s", 'got "1e3s"'),
        (".5s", 'got ".5s"'),
        ("infs", 'got "infs"'),
        ("\uff15s", 'got "\uff15s"'),  # a digit, but not one of ours
        (["5s"], "got an array"),
        ({"s": 5}, "got a table"),
    ],
)
def test_anything_else_is_no_duration(value: object, got: str) -> None:
    with pytest.raises(ValueError, match="expected a duration") as caught:
        Duration.parse(value)
    assert str(caught.value) == f'expected a duration such as "5s", {got}'


@pytest.mark.parametrize("text", ["0s", "0ms", "0.0001ms", "36500d", "9" * 400 + "s"])
def test_a_duration_lies_between_zero_and_a_century(text: str) -> None:
    with pytest.raises(ValueError, match='expected a duration such as "5s" above zero and below 100 years, got "'):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "1m30s"),
        (0.25, "250ms"),
        (0.0004, "0.4ms"),
        (86400, "1d"),
        (90061.5, "1d1h1m1.5s"),
        (12.345678, "12.345678s"),
        (3600.000001, "1h0.000001s"),
    ],
)
def test_a_duration_prints_with_units(seconds: float, text: str) -> None:
    assert str(Duration(seconds)) == f"{Duration(seconds)!r}" == text


@given(st.integers(min_value=1, max_value=CENTURY * 10**6 - 1))
def test_a_printed_duration_reads_back_the_same(microseconds: int) -> None:
    duration = Duration(microseconds / 1e6)
    assert Duration.parse(str(duration)) == duration


@given(st.from_regex(r"([0-9]{1,4}(\.[0-9]{1,4})?(ms|s|m|h|d)){1,3}", fullmatch=True))
def test_what_was_read_reads_back_the_same(text: str) -> None:
    try:
        duration = Duration.parse(text)
    except ValueError:
        return
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1048576, 2**20),
        ("1MiB", 2**20),
        ("64 KiB", 2**16),
        ("1500", 1500),
        ("1500B", 1500),
        ("1kB", 1000),
        ("2GB", 2 * 10**9),
    ],
)
def test_a_size_is_a_number_of_bytes(value: object, size: int) -> None:
    assert ByteSize.parse(value) == size


@pytest.mark.parametrize(
    "value", [0, -1, 2**40, "1TiB", "1mib", "1.5MiB", "", "MiB", True, 1.0, None, "9" * 5000, "1  KiB"]
)
def test_anything_else_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match='expected a size in bytes or such as "1MiB"'):
        ByteSize.parse(value)


@given(st.integers(min_value=1, max_value=2**40 - 1))
def test_a_printed_size_reads_back_the_same(size: int) -> None:
    assert ByteSize.parse(str(ByteSize(size))) == size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.25, "250 ms"),
        (5, "5 s"),
        (2.314, "2.31 s"),
        (60, "1 min"),
        (190, "3 min 10 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (47 * 3600, "47 h"),
        (14 * 86400, "14 days"),
        (-1, "0 s"),
        (float("nan"), "0 s"),
    ],
)
def test_a_span_for_people(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "1 s"), (0.25, "1 s"), (1.99, "1 s"), (59.9, "59 s"), (190.7, "3 min 10 s")]
)
def test_nobody_counts_fractions_of_what_lasts(seconds: float, text: str) -> None:
    assert lasting_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("5s", '"5s"'),
        (5, "5"),
        (True, "true"),
        ({}, "a table"),
        ([], "an array"),
        ('say "\n"', '"say \\"\\n\\""'),
        ("x" * 61, f'"{"x" * 57}…"'),
    ],
)
def test_a_value_as_a_user_wrote_it(value: object, text: str) -> None:
    assert shown(value) == text
