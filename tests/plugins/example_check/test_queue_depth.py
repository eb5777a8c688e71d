"""How to test a check without a network: `monitor.testing` probes it as the engine does."""

from __future__ import annotations

import pytest
from example_check import QueueDepth

from monitor.testing import answers, check_contract, check_of, look

URL = "http://queue.test/"


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b'{"depth": 100}', "up", ""),
        (b'{"depth": 101}', "down", "expected at most 100 waiting jobs, got 101"),
        (b'{"length": 1}', "down", 'expected a document with a number "depth", got status 200'),
    ],
)
def test_the_length_is_compared(body: bytes, status: str, message: str) -> None:
    seen = look(check_of(QueueDepth, url=URL), answers(200, body))
    assert (seen.status, seen.reason.message) == (status, message)


def test_the_fact_is_for_expressions() -> None:
    seen = look(check_of(QueueDepth, url=URL), answers(200, b'{"depth": 20}'), degraded=["depth < 20"])
    assert (seen.status, seen.facts["depth"]) == ("degraded", 20)


def test_a_queue_that_hangs_is_a_timeout_and_this_test_does_not_wait_for_it() -> None:
    async def hangs(stream: object) -> None:
        import trio

        await trio.sleep_forever()

    seen = look(check_of(QueueDepth, url=URL), hangs, timeout=3600)
    assert (seen.reason.code, seen.reason.phase, seen.duration) == ("timeout", "processing", 3600)


def test_it_keeps_the_contract() -> None:
    check_contract(QueueDepth, lambda port: {"url": f"http://127.0.0.1:{port}/"}, answers(200, b'{"depth": 3}'))


def test_a_mistake_in_the_options_is_told() -> None:
    with pytest.raises(ValueError, match='expected a whole number, got "many"'):
        check_of(QueueDepth, url=URL, most="many")
