"""What becomes of a delivery that failed (PRODUCT section 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ports import PlainRand

from monitor.core.delivery import Dead, Retry, after_failure
from monitor.core.errors import DeliveryError

START = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
DAYS_3 = 3 * 86400.0

NETWORK = [None]
BACK_OFF = [None, 408, 425, 429, 500, 502, 503, 504, 599]
PATIENT = [301, 302, 307, 308, 401, 403, 404]
REFUSED = [400, 402, 405, 409, 413, 415, 418, 422, 431, 451]


class Extreme:
    """Chance at one end of the range."""

    def __init__(self, *, high: bool) -> None:
        self.high = high

    def id(self) -> str:
        return "id"

    def uniform(self, low: float, high: float) -> float:
        return high if self.high else low


def answer(
    status: int | None,
    attempts: int,
    *,
    waited: float = 0.0,
    retry_after: float | None = None,
    give_up_after: float = DAYS_3,
    rand: PlainRand | Extreme | None = None,
) -> Retry | Dead:
    text = "no connection" if status is None else f"HTTP {status}"
    return after_failure(
        DeliveryError(text, status=status, retry_after=retry_after),
        attempts=attempts,
        first_try_at=START,
        give_up_after=give_up_after,
        now=START + timedelta(seconds=waited),
        rand=rand or PlainRand(),
    )


def wait(result: Retry | Dead, waited: float = 0.0) -> float:
    assert isinstance(result, Retry)
    return (result.not_before - START).total_seconds() - waited


@pytest.mark.parametrize("status", BACK_OFF)
def test_trouble_that_passes_is_tried_again_with_a_doubling_wait(status: int | None) -> None:
    waits = [wait(answer(status, attempts)) for attempts in range(1, 13)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("attempts", [1, 5, 10, 100, 100_000])
def test_the_wait_has_jitter_on_both_sides(attempts: int) -> None:
    plain = wait(answer(503, attempts))
    assert wait(answer(503, attempts, rand=Extreme(high=False))) == pytest.approx(plain * 0.8)
    assert wait(answer(503, attempts, rand=Extreme(high=True))) == pytest.approx(plain * 1.2)


@pytest.mark.parametrize("status", BACK_OFF)
@pytest.mark.parametrize(
    ("attempts", "asked", "expected"),
    [
        (1, 30.0, 30),
        (1, 3600.0, 3600),
        (1, 86400.0, 3600),  # nobody waits for longer than an hour
        (1, float("inf"), 3600),
        (1, 0.0, 1),
        (1, -5.0, 1),
        (8, 30.0, 128),  # what it asks for is the least, not the most
    ],
)
def test_retry_after_counts_up_to_an_hour(status: int | None, attempts: int, asked: float, expected: float) -> None:
    assert wait(answer(status, attempts, retry_after=asked)) == expected


@pytest.mark.parametrize("status", PATIENT)
@pytest.mark.parametrize("attempts", [1, 2, 10, 1000])
def test_a_wrong_setting_is_tried_every_five_minutes(status: int, attempts: int) -> None:
    assert wait(answer(status, attempts)) == 300


@pytest.mark.parametrize("status", BACK_OFF + PATIENT)
@pytest.mark.parametrize(
    ("waited", "give_up_after", "gives_up"),
    [(DAYS_3 - 1, DAYS_3, False), (DAYS_3, DAYS_3, True), (59, 60, False), (60, 60, True), (1e9, 2e9, False)],
)
def test_everything_else_is_given_up_after_its_time(
    status: int | None, waited: float, give_up_after: float, gives_up: bool
) -> None:
    result = answer(status, 20, waited=waited, give_up_after=give_up_after)
    assert isinstance(result, Dead if gives_up else Retry)


@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_dead_after_five_tries_over_ten_minutes(status: int) -> None:
    waited, waits = 0.0, []
    for attempts in range(1, 5):
        waits.append(wait(answer(status, attempts, waited=waited), waited))
        waited += waits[-1]
    assert waits == sorted(waits)
    assert 540 <= waited <= 660
    assert answer(status, 5, waited=waited) == Dead(f"HTTP {status}: given up after 5 tries")


def test_a_refusal_after_an_outage_has_its_ten_minutes_too() -> None:
    assert wait(answer(400, 6, waited=31), waited=31) == 330
    assert isinstance(answer(400, 8, waited=700), Dead)


def test_gone_is_dead_at_once() -> None:
    assert answer(410, 1) == Dead("HTTP 410: the receiver says it is gone for good")


def test_the_dead_say_why() -> None:
    assert answer(None, 400, waited=DAYS_3) == Dead("no connection: given up after 400 tries")


@given(
    status=st.none() | st.integers(100, 700),
    attempts=st.integers(1, 10**6),
    waited=st.floats(-1e6, 1e8),
    asked=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    high=st.booleans(),
)
def test_whatever_comes_the_next_try_is_later_and_within_an_hour(
    status: int | None, attempts: int, waited: float, asked: float | None, high: bool
) -> None:
    result = answer(status, attempts, waited=waited, retry_after=asked, rand=Extreme(high=high))
    if isinstance(result, Retry):
        assert 0.5 < wait(result, waited) < 3601
