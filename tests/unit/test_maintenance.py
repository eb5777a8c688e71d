"""Maintenance windows: when they open and close, whatever the clocks of their time zone do."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.maintenance import DAYS, Interval, Once, Weekly, Window, intervals, until

HOUR = 3600.0
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weekly(days: str, at: str, hours: float, zone: str = "UTC") -> Window:
    numbers = frozenset(DAYS.index(day) for day in days.split())
    return Window(("*",), Weekly(days=numbers, at=time.fromisoformat(at), duration=hours * HOUR, zone=ZoneInfo(zone)))


def once(start: str, hours: float, zone: str = "UTC") -> Window:
    return Window(
        ("*",), Once(start=datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)), duration=hours * HOUR)
    )


def shown(window: Window, begin: str, end: str) -> list[str]:
    return [f"{each.begin:%d %H:%M}-{each.end:%d %H:%M}" for each in intervals([window], utc(begin), utc(end))]


@pytest.mark.parametrize(
    ("window", "begin", "end", "expected"),
    [
        # a week without anything special; 2026-11-22 is a Sunday
        (weekly("sun", "02:00", 2), "2026-11-20", "2026-11-30", ["22 02:00-22 04:00", "29 02:00-29 04:00"]),
        (weekly("mon wed", "02:00", 1), "2026-11-22", "2026-11-26", ["23 02:00-23 03:00", "25 02:00-25 03:00"]),
        (weekly("sun", "02:00", 2, "Europe/Berlin"), "2026-11-20", "2026-11-28", ["22 01:00-22 03:00"]),
        # over midnight, and over the end of the week, in the zone and in UTC
        (weekly("sun", "23:30", 1), "2026-11-22", "2026-11-24", ["22 23:30-23 00:30"]),
        (weekly("sun", "23:30", 1), "2026-11-23", "2026-11-24", ["23 00:00-23 00:30"]),
        (weekly("sun", "20:00", 2, "America/New_York"), "2026-11-22", "2026-11-24", ["23 01:00-23 03:00"]),
        (weekly("mon", "03:00", 1, "Asia/Kathmandu"), "2026-11-22", "2026-11-24", ["22 21:15-22 22:15"]),
        # the spring: 02:00 is 03:00. The local 02:30 does not exist, and is read as 03:30
        (weekly("sun", "02:30", 1, "Europe/Berlin"), "2026-03-28", "2026-03-30", ["29 01:30-29 02:30"]),
        (weekly("sun", "01:30", 1, "Europe/Berlin"), "2026-03-28", "2026-03-30", ["29 00:30-29 01:30"]),
        (weekly("sun", "03:00", 1, "Europe/Berlin"), "2026-03-28", "2026-03-30", ["29 01:00-29 02:00"]),
        (weekly("sun", "02:30", 1, "America/New_York"), "2026-03-07", "2026-03-09", ["08 07:30-08 08:30"]),
        # the autumn: 03:00 is 02:00 again. The local 02:30 is there twice, and the first is meant
        (weekly("sun", "02:30", 1, "Europe/Berlin"), "2026-10-24", "2026-10-26", ["25 00:30-25 01:30"]),
        (weekly("sun", "01:30", 2, "Europe/Berlin"), "2026-10-24", "2026-10-26", ["24 23:30-25 01:30"]),
        (weekly("sun", "03:00", 1, "Europe/Berlin"), "2026-10-24", "2026-10-26", ["25 02:00-25 03:00"]),
        (weekly("sun", "01:30", 1, "America/New_York"), "2026-10-31", "2026-11-02", ["01 05:30-01 06:30"]),
        # Lord Howe moves its clocks by half an hour; Samoa had no 30 December 2011, which was a Friday
        (weekly("sun", "02:15", 1, "Australia/Lord_Howe"), "2026-10-03", "2026-10-04 18:00", ["03 15:45-03 16:45"]),
        (weekly("sun", "01:45", 1, "Australia/Lord_Howe"), "2026-04-04", "2026-04-06", ["04 14:45-04 15:45"]),
        (weekly("fri", "12:00", 1, "Pacific/Apia"), "2011-12-29", "2012-01-01", ["30 22:00-30 23:00"]),
        # once
        (once("2026-12-01T02:00", 2), "2026-11-01", "2026-12-31", ["01 02:00-01 04:00"]),
        (once("2026-12-01T02:00", 2), "2026-12-01 03:00", "2026-12-01 03:30", ["01 03:00-01 03:30"]),
        (once("2026-12-01T02:00", 2), "2026-12-01 04:00", "2026-12-02", []),
        (once("2026-12-01T02:00", 2), "2026-11-30", "2026-12-01 02:00", []),
        (once("2026-03-29T02:30", 1, "Europe/Berlin"), "2026-03-28", "2026-03-30", ["29 01:30-29 02:30"]),
        # all the time: what touches is one
        (weekly(" ".join(DAYS), "00:00", 24), "2026-11-22 10:00", "2026-11-25 10:00", ["22 10:00-25 10:00"]),
        (weekly("mon", "00:00", 7 * 24), "2026-11-01", "2026-11-30", ["01 00:00-30 00:00"]),
        (weekly("sun mon", "12:00", 30), "2026-11-21", "2026-11-28", ["22 12:00-24 18:00"]),
    ],
)  # fmt: skip
def test_when_it_is_open(window: Window, begin: str, end: str, expected: list[str]) -> None:
    assert shown(window, begin, end) == expected


def test_a_window_is_as_long_as_it_says_on_every_night() -> None:
    for month, day in ((3, 29), (10, 25)):
        window = weekly("sun", "01:00", 4, "Europe/Berlin")
        (only,) = intervals(
            [window], datetime(2026, month, day - 1, tzinfo=UTC), datetime(2026, month, day + 1, tzinfo=UTC)
        )
        assert only.end - only.begin == timedelta(hours=4)


def test_windows_that_overlap_are_one_interval_and_the_last_to_close_counts() -> None:
    windows = [once("2026-12-01T02:00", 2), once("2026-12-01T03:00", 3), once("2026-12-01T08:00", 1)]
    assert intervals(windows, utc("2026-12-01"), utc("2026-12-02")) == (
        Interval(utc("2026-12-01 02:00"), utc("2026-12-01 06:00")),
        Interval(utc("2026-12-01 08:00"), utc("2026-12-01 09:00")),
    )
    assert until(windows, utc("2026-12-01 03:30")) == utc("2026-12-01 06:00")
    assert until(windows, utc("2026-12-01 02:00")) == utc("2026-12-01 04:00")
    assert until(windows, utc("2026-12-01 04:00")) == utc("2026-12-01 06:00")
    assert until(windows, utc("2026-12-01 06:00")) is None


moments = st.integers(0, 5 * 365 * 86400).map(lambda seconds: utc("2024-01-01") + timedelta(seconds=seconds))
weeklies = st.builds(
    lambda days, at, minutes, zone: Window(
        ("*",), Weekly(days=frozenset(days), at=at, duration=minutes * 60.0, zone=ZoneInfo(zone))
    ),
    st.sets(st.integers(0, 6), min_size=1),
    st.builds(time, st.integers(0, 22), st.integers(0, 59)),
    st.integers(1, 7 * 24 * 60),
    st.sampled_from(ZONES),
)
onces = st.builds(
    lambda start, minutes: Window(("*",), Once(start=start, duration=minutes * 60.0)),
    moments,
    st.integers(1, 90 * 1440),
)
several = st.lists(weeklies | onces, max_size=3)


@given(several, moments, st.integers(1, 40 * 86400), st.floats(0, 1))
def test_open_is_to_be_within_an_interval(windows: list[Window], begin: datetime, span: int, where: float) -> None:
    end = begin + timedelta(seconds=span)
    found = intervals(windows, begin, end)
    for each in found:
        assert begin <= each.begin < each.end <= end
    assert all(one.end < other.begin for one, other in pairwise(found))

    now = begin + timedelta(microseconds=int(span * where * 0.999999e6))
    closes = until(windows, now)
    around = [each for each in found if each.begin <= now < each.end]
    assert (closes is not None) == bool(around)
    if closes is not None:
        assert min(closes, end) <= around[0].end


@given(weeklies, moments)
def test_what_is_open_was_opened_at_its_local_time_not_longer_ago_than_it_lasts(window: Window, now: datetime) -> None:
    assert isinstance(window.when, Weekly)
    closes = until([window], now)
    if closes is None:
        return
    opened = closes - timedelta(seconds=window.when.duration)
    assert opened <= now < closes
    local = opened.astimezone(window.when.zone).replace(tzinfo=None)
    shift = local - datetime.combine(local.date(), window.when.at)  # where the local time does not exist
    assert shift in (timedelta(0), timedelta(minutes=30), timedelta(hours=1))
    assert (local - shift).weekday() in window.when.days
