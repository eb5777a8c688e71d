"""How fast a sink may be tried, as stories: moments and what happens then."""

from __future__ import annotations

from monitor.core.pacing import FIRST_PAUSE, LONGEST_PAUSE, MOST_AT_ONCE, Pace


def test_a_sink_that_works_gets_as_many_as_there_is_room_for():
    pace = Pace()
    assert pace.room(0) == MOST_AT_ONCE
    pace.began(0)
    pace.began(0)
    assert (pace.room(0), pace.opens_at(0)) == (MOST_AT_ONCE - 2, None)
    pace.ended()
    assert pace.room(0) == MOST_AT_ONCE - 1


def test_one_alert_that_fails_costs_the_others_no_pause():
    pace = Pace()
    assert pace.failed("poison", 0, asked=60)
    assert pace.failing
    assert (pace.room(0), pace.opens_at(0)) == (1, None)
    assert not pace.failed("poison", 1), "news once"
    assert pace.room(1) == 1
    assert pace.answered()
    assert pace.room(1) == MOST_AT_ONCE


def test_a_sink_that_fails_is_tried_with_one_at_a_time_and_ever_longer_pauses():
    pace, now, pauses = Pace(), 0.0, []
    pace.failed("one", now)
    for number in range(9):
        assert pace.room(now) == 1
        pace.began(now)
        assert pace.room(now) == 0
        pace.ended()
        pace.failed(f"lane {number}", now)
        opens_at = pace.opens_at(now)
        assert opens_at is not None
        assert pace.room(now) == 0
        pauses.append(opens_at - now)
        now = opens_at
    assert pauses == [FIRST_PAUSE, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    pace.answered()
    assert pace.room(now) == MOST_AT_ONCE


def test_those_that_were_under_way_when_it_failed_lengthen_no_pause():
    pace = Pace()
    for number in range(MOST_AT_ONCE):
        pace.failed(f"lane {number}", 10)
    assert pace.opens_at(10) == 10 + FIRST_PAUSE


def test_it_is_as_patient_as_it_is_asked_to_be():
    pace = Pace()
    pace.failed("one", 0, asked=90)
    pace.failed("two", 0, asked=90)
    assert pace.opens_at(0) == 90
    assert pace.room(89.9) == 0
    assert pace.room(90) == 1


def test_a_limit_a_minute_is_over_any_minute():
    pace = Pace(per_minute=3)
    for moment in (0, 10, 20):
        assert pace.room(moment) > 0
        pace.began(moment)
        pace.ended()
    assert (pace.room(20), pace.opens_at(20)) == (0, 60)
    assert (pace.room(60), pace.opens_at(60)) == (1, None)
    pace.began(60)
    assert (pace.room(60), pace.opens_at(60)) == (0, 70)


def test_a_new_limit_counts_what_was_sent_under_the_old_one():
    pace = Pace(per_minute=3)
    for moment in (0, 10, 20):
        pace.began(moment)
        pace.ended()
    pace.limit(2)
    assert pace.opens_at(20) == 70
    pace.limit(4)
    assert pace.room(20) > 0
    pace.limit(None)
    assert pace.room(20) == MOST_AT_ONCE
