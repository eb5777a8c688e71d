"""`websocket` with `mode = "hold"`, watched for minutes that take no time: the server is a function, over memory.

And how fast what floods it is read.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio
import trio_websocket

from checks.websocket import WebSocket
from checks.wire import Pace
from monitor.api import ProbeError
from monitor.testing import check_of, watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.core.model import Observation
    from monitor.testing import Server

    Talk = Callable[[trio_websocket.WebSocketConnection, int], Awaitable[None]]
    """Talks on the so many-th connection, from 0; it is closed afterwards."""


def talks(talk: Talk, *, subprotocol: str | None = None) -> Server:
    count = 0

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal count
        number, count = count, count + 1
        async with trio.open_nursery() as own:
            request = await trio_websocket.wrap_server_stream(own, stream)
            connection = await request.accept(subprotocol=subprotocol)
            with contextlib.suppress(trio_websocket.ConnectionClosed):
                await talk(connection, number)
            with trio.move_on_after(1):
                await connection.aclose(1001, "bye")
            own.cancel_scope.cancel()

    return serve


async def listen(connection: trio_websocket.WebSocketConnection, _: int) -> None:
    while True:
        await connection.get_message()


def held(**options: object) -> WebSocket:
    return check_of(WebSocket, url="ws://feed.test/", mode="hold", **options)


def story(seen: list[Observation]) -> list[str]:
    return [each.reason.message or "up" for each in seen]


def changes(seen: list[Observation]) -> list[str]:
    """The story without what repeats itself."""
    said = story(seen)
    return [each for number, each in enumerate(said) if number == 0 or said[number - 1] != each]


def test_one_connection_for_all_probes() -> None:
    async def tick(connection: trio_websocket.WebSocketConnection, _: int) -> None:
        while True:
            await trio.sleep(7)
            await connection.send_message("tick")

    server = talks(tick, subprotocol="v1.json")
    seen = watch(held(subprotocols=["v1.json"]), server, seconds=300, interval=30)
    assert len(seen) >= 10
    assert set(story(seen)) == {"up"}
    facts = seen[-1].facts
    assert facts["connections"] == 1
    assert facts["subprotocol"] == "v1.json"
    assert facts["messages"] > 30
    assert 230 < facts["connected_for"] < 300
    assert 0 <= facts["silence"] <= 7
    assert {"ping_rtt", "ping_rtt_p50", "ping_rtt_p95", "ping_rtt_p99"} <= facts.keys()
    assert list(seen[0].phases) == ["resolve", "connect", "handshake", "dialogue"]
    assert list(seen[1].phases) == ["dialogue"]


def test_steps_are_gone_through_once_a_connection() -> None:
    heard: list[str] = []

    async def subscription(connection: trio_websocket.WebSocketConnection, number: int) -> None:
        heard.append(await connection.get_message())
        await connection.send_message('{"type": "subscribed"}')
        await trio.sleep(100 if number == 0 else 1000)

    steps = [{"send_json": {"op": "subscribe"}}, {"expect": "json.type == 'subscribed'"}]
    seen = watch(held(steps=steps), talks(subscription), seconds=200, interval=30)
    assert heard == ['{"op": "subscribe"}'] * 2
    assert changes(seen) == ["up", "the server closed the connection with code 1001: bye after 1 min 40 s", "up"]
    (told,) = [each for each in seen if each.status == "down"]
    assert (told.reason.code, told.reason.phase, told.facts["close_code"]) == ("protocol", "dialogue", 1001)
    assert seen[-1].facts["connections"] == 2


def test_a_drop_after_its_time_is_no_failure() -> None:
    async def hourly(connection: trio_websocket.WebSocketConnection, _: int) -> None:
        await trio.sleep(3600)

    seen = watch(held(min_lifetime="30m"), talks(hourly), seconds=4 * 3600, interval=60)
    assert set(story(seen)) == {"up"}
    assert seen[-1].facts["connections"] == 4


def test_who_breaks_off_without_a_word() -> None:
    async def rude(stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as own:
            request = await trio_websocket.wrap_server_stream(own, stream)
            await request.accept()
            await trio.sleep(90)
            own.cancel_scope.cancel()

    seen = watch(held(), rude, seconds=120, interval=30)
    assert changes(seen) == ["up", "the server dropped the connection after 1 min 30 s", "up"]


def test_who_closes_at_once_again_and_again_is_down_and_left_in_peace() -> None:
    made = 0

    async def once(connection: trio_websocket.WebSocketConnection, number: int) -> None:
        nonlocal made
        made = number + 1
        await trio.sleep(0.1)

    seen = watch(held(), talks(once), seconds=900, interval=30)
    statuses = [each.status for each in seen]
    assert statuses.count("up") == 2, "from the second time on, one that opens counts for nothing"
    assert made < 50, "one in 22 s on average"
    assert any(
        "connections in a row failed within 15 s or at their second ping; this one" in each for each in story(seen)
    )


def test_after_early_drops_a_connection_that_lasts_is_well_again() -> None:
    async def troubled(connection: trio_websocket.WebSocketConnection, number: int) -> None:
        await trio.sleep(1 if number < 3 else 10_000)

    seen = watch(held(ping_interval="20s"), talks(troubled), seconds=400, interval=30)
    assert story(seen)[-5:] == ["up"] * 5
    assert seen[-1].facts["connections"] == 4


def test_silence_is_down_until_a_message_comes() -> None:
    async def falls_silent(connection: trio_websocket.WebSocketConnection, number: int) -> None:
        if number in (0, 3):
            await connection.send_message("hello")
        await trio.sleep(10_000)

    seen = watch(held(max_silence="60s"), talks(falls_silent), seconds=230, interval=20)
    said = story(seen)
    begin, end = said.index("no message for 1 min"), len(said) - said[::-1].index("up") - 1
    assert said[:begin] == ["up"] * begin
    assert (seen[begin].reason.code, seen[begin].reason.phase) == ("timeout", "dialogue")
    assert said[begin + 1].endswith("nor on a new connection")
    well_again = said.index("up", begin)
    assert seen[well_again].facts["connections"] == 4
    assert said[well_again : end + 1] == ["up"] * (end + 1 - well_again)


def mute_after(seconds: float, *, always: bool = False) -> Server:
    """Answers pings for so long, then nothing at all; on its first connection, or on each."""
    count = 0

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal count
        count += 1
        falls_mute = always or count == 1
        async with trio.open_nursery() as own:
            request = await trio_websocket.wrap_server_stream(own, stream)
            await request.accept()
            await trio.sleep(seconds if falls_mute else 10_000)
            own.cancel_scope.cancel()
            own.cancel_scope.shield = True
        await trio.sleep_forever()

    return serve


def test_a_missed_pong_is_down() -> None:
    seen = watch(held(ping_interval="10s"), mute_after(100), seconds=200, interval=60)
    told = next(each for each in seen if each.status == "down")
    assert told.reason.message in ("no pong within 10 s", "no answer within 5 s (during dialogue)")
    if told.reason.message.startswith("no answer"):
        assert told.facts["connected_for"] > 90, "what was known is told all the same"
    assert story(seen)[-1] == "up"


def test_who_answers_the_first_ping_and_no_other_is_down_for_good() -> None:
    seen = watch(held(), mute_after(1, always=True), seconds=900, interval=30)
    statuses = [each.status for each in seen]
    assert statuses.count("up") == 2
    assert set(statuses[statuses.index("up", 2) + 1 :]) == {"down"}


@pytest.mark.parametrize("option", ["ping_interval", "max_silence", "min_lifetime"])
def test_its_options_are_for_holding(option: str) -> None:
    with pytest.raises(ValueError, match=f'expected {option} only beside mode = "hold"'):
        check_of(WebSocket, url="ws://feed.test/", **{option: "5s"})


class Busy:
    """A clock on which handling what was read takes time; waiting takes the loop's."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.spent

    async def read(self, pace: Pace, seconds: float, *, after: float = 0.0) -> None:
        """Read what comes *after* seconds, and take *seconds* to handle it."""
        await pace.wait()
        await trio.sleep(after)
        pace.handed_out()
        self.spent += seconds


async def test_a_flood_takes_a_twentieth_of_the_time_and_then_its_end(autojump_clock: trio.testing.MockClock) -> None:
    busy = Busy()
    pace, began = Pace(busy), trio.current_time()

    async def flood() -> None:
        while True:
            await busy.read(pace, 0.01)

    with pytest.raises(ProbeError, match="more comes than 5% of the monitor's time can take in, for 10 s"):
        await flood()
    lasted = busy() - began
    assert 10 < lasted < 20
    assert busy.spent < 0.05 * lasted + 0.3


async def test_what_comes_now_and_then_is_read_at_once(autojump_clock: trio.testing.MockClock) -> None:
    busy = Busy()
    pace = Pace(busy)
    for _ in range(1000):
        await busy.read(pace, 0.004, after=0.1)
    assert trio.current_time() == pytest.approx(100)


async def test_a_stall_is_not_taken_for_a_flood(autojump_clock: trio.testing.MockClock) -> None:
    busy = Busy()
    pace = Pace(busy)
    for _ in range(3):
        await busy.read(pace, 30.0)
    assert trio.current_time() == 0
