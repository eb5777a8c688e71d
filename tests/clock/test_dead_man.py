"""The sign of life: each minute while all is well, and a line in the log for each change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio
from support.memory_store import MemoryStore
from support.nets import ConnectNet
from support.ports import TrioClock

from monitor.selfwatch.dead_man import DeadMan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Jump = trio.testing.MockClock
URL = "tcp://secret.example.org:443"


class House:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.net = ConnectNet()
        self.url: str | None = URL
        self.cause: str | None = None
        self.dead_man = DeadMan(
            self.store, net=self.net, clock=TrioClock(), url=lambda: self.url, not_ready=lambda: self.cause
        )

    @property
    def sent(self) -> list[float]:
        return [when for when, _ in self.net.asked]


@pytest.fixture
async def house(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> AsyncIterator[House]:
    caplog.set_level(logging.INFO, "monitor.selfwatch.dead_man")
    made = House()
    nursery.start_soon(made.dead_man.run)
    yield made
    nursery.cancel_scope.cancel()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records]


async def test_it_is_sent_each_minute(house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture) -> None:
    await trio.sleep(200)
    assert house.sent == [3.0, 63.0, 123.0, 183.0]
    assert lines(caplog) == []


async def test_it_stays_out_while_something_is_wrong(
    house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    await trio.sleep(100)
    house.cause = "no progress for too long: shop"
    await trio.sleep(100)
    house.store.broken = True
    house.cause = None
    await trio.sleep(100)
    assert len(house.sent) == 2
    house.store.broken = False
    await trio.sleep(60)
    assert len(house.sent) == 3
    assert lines(caplog) == [
        "the sign of life is missing: not sent: no progress for too long: shop",
        "the sign of life is sent again",
    ]


async def test_a_failure_is_logged_once_without_a_word_of_the_url(
    house: House, autojump_clock: Jump, caplog: pytest.LogCaptureFixture
) -> None:
    house.net.refused = {"secret.example.org"}
    await trio.sleep(300)
    assert lines(caplog) == ["the sign of life is missing: connection refused (***)"]
    house.net.refused, house.net.mute = set(), {"secret.example.org"}
    await trio.sleep(120)
    house.net.mute = set()
    await trio.sleep(120)
    assert house.sent == [3.0 + 60 * number for number in range(9)], "a mute one delays nothing"
    assert lines(caplog)[1:] == ["the sign of life is sent again"]


async def test_a_reload_may_switch_it_off_and_on(house: House, autojump_clock: Jump) -> None:
    house.url = None
    await trio.sleep(100)
    assert house.sent == []
    house.url = URL
    await trio.sleep(60)
    assert house.sent == [123.0]
