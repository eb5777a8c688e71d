"""Probes that are driven: woken once, closed at their deadline or with their task, and a danger to nobody."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import certifi
import pytest
import trio
import trio.lowlevel
from support.probes import answers, endpoint, http, look, serve

from checks.http import Http
from monitor.net import TLS
from monitor.net.driven import by_trio, readable, writable
from monitor.net.reactor import drive
from monitor.net.sockets import SocketNet
from monitor.net.stream import SocketStream
from monitor.net.tls import Contexts
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from monitor.api import Probe, Verdict

Pair = tuple[socket.socket, socket.socket]
linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux has epoll sets")


class Steps(trio.abc.Instrument):
    """How often a task whose name has *part* in it was stepped."""

    def __init__(self, part: str) -> None:
        self.count = 0
        self._part = part

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += self._part in task.name


@pytest.fixture
def pair() -> Iterator[Pair]:
    with contextlib.ExitStack() as stack:
        ours, theirs = map(stack.enter_context, socket.socketpair())
        for each in (ours, theirs):
            each.setblocking(False)
        yield ours, theirs


async def driven(work: Callable[[], Awaitable[Any]], *, seconds: float = 5.0) -> list[Any]:
    """Drive *work*; what it returned or raised."""
    came: list[Any] = []

    async def contained() -> None:
        try:
            came.append(await work())
        except BaseException as exc:  # noqa: BLE001 - as the engine does
            came.append(exc)

    await drive(contained(), timeout=seconds, deadline=trio.current_time() + seconds)
    return came


@linux
async def test_the_task_of_a_probe_is_woken_once_however_often_it_waits(nursery: trio.Nursery) -> None:
    async def slowly(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n\r\n", b"ab", b"cd"):
            await stream.send_all(piece)
            await trio.sleep(0.02)

    port = await serve(nursery, slowly)
    watched = endpoint(Http(url=f"http://127.0.0.1:{port}/"))
    steps = Steps("probe-of-it")
    trio.lowlevel.add_instrument(steps)
    async with trio.open_nursery() as probing:
        once = partial(probe_once, watched, net=SocketNet(), clock=SystemClock(), mask=None)
        probing.start_soon(once, name="probe-of-it")
    trio.lowlevel.remove_instrument(steps)
    assert steps.count == 2  # it begins, and it ends


async def test_waits_for_both_directions_and_more_than_one_socket(pair: Pair) -> None:
    ours, theirs = pair

    async def work() -> bytes:
        await writable(ours)
        ours.send(b"1")
        await readable(theirs)
        got = theirs.recv(10)
        theirs.send(got + b"2")
        await readable(ours)
        return ours.recv(10)

    assert await driven(work) == [b"12"]


@linux
async def test_the_work_of_all_who_are_ready_comes_before_anybody_goes_on(pair: Pair) -> None:
    ours, theirs = pair
    done: list[str] = []

    async def work(name: str) -> None:
        with socket.socket(fileno=ours.dup().detach()) as mine:
            await readable(mine, partial(done.append, f"{name} works"))
            done.append(f"{name} goes on")

    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(driven, partial(work, name))
        await trio.testing.wait_all_tasks_blocked()
        theirs.send(b"x")
    assert [each.split()[1] for each in done] == ["works", "works", "goes", "goes"]


@pytest.mark.parametrize("is_driven", [True, False])
async def test_who_waits_gets_what_came_of_the_work(pair: Pair, is_driven: bool) -> None:
    ours, theirs = pair
    theirs.send(b"12")

    async def work() -> bytes:
        with pytest.raises(ValueError, match="invalid literal"):
            await readable(ours, partial(int, "no number"))
        first: bytes = await readable(ours, partial(ours.recv, 1))
        await readable(ours)  # nothing is done twice
        return first + ours.recv(1)

    assert (await driven(work) if is_driven else [await work()]) == [b"12"]


@linux
@pytest.mark.parametrize("reads", [1, 2])
async def test_a_number_that_stands_for_two_sockets_is_told_of_once(pair: Pair, reads: int) -> None:
    """What is closed while a forked process has it open is still told of, by a number that is another's by now."""
    ours, theirs = pair
    with contextlib.ExitStack() as stack:
        late, peer = map(stack.enter_context, socket.socketpair())
        late.setblocking(False)

        async def work() -> list[bytes]:
            theirs.send(b"x")
            await readable(ours)
            number = ours.fileno()
            stack.callback(os.close, os.dup(number))
            ours.close()
            os.dup2(late.fileno(), number)
            with socket.socket(fileno=number) as new:
                new.setblocking(False)
                peer.send(b"12")
                return [await readable(new, partial(new.recv, 1)) for _ in range(reads)]

        assert await driven(work) == [[b"1", b"2"][:reads]]


@linux
async def test_who_goes_on_may_cancel_another_who_was_to_go_on(pair: Pair) -> None:
    ours, theirs = pair
    scopes = [trio.CancelScope(), trio.CancelScope()]
    came: list[int] = []

    async def work(number: int) -> None:
        with socket.socket(fileno=ours.dup().detach()) as mine:
            await readable(mine)
            came.append(number)
            scopes[1 - number].cancel()

    async def begin(number: int) -> None:
        with scopes[number]:
            await driven(partial(work, number))

    async with trio.open_nursery() as nursery:
        for number in (0, 1):
            nursery.start_soon(begin, number)
        await trio.testing.wait_all_tasks_blocked()
        theirs.send(b"x")
    assert len(came) == 1
    assert await driven(partial(by_trio, trio.sleep, 0)) == [None]


async def test_a_socket_with_the_number_of_one_that_was_closed_is_watched_again(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200)))
    url = f"http://127.0.0.1:{port}/"
    hops = await serve(nursery, answers(http(302, b"", f"Location: {url}")))
    seen = await look(Http(url=f"http://127.0.0.1:{hops}/"))  # the second connection gets the first one's number
    assert (seen.status, seen.facts["redirects"]) == ("up", 1)


async def test_what_waits_for_something_else_than_sockets_is_done_by_its_own_task(pair: Pair) -> None:
    ours, theirs = pair
    tasks = []

    async def aside(value: int) -> int:
        tasks.append(trio.lowlevel.current_task())
        await trio.lowlevel.checkpoint()
        if value < 0:
            raise ValueError("negative")
        return value * 2

    async def work() -> int:
        doubled = await by_trio(aside, 1)
        theirs.send(b"x")
        await readable(ours)
        try:
            await by_trio(aside, -1)
        except ValueError:
            doubled = await by_trio(aside, doubled)
        return doubled

    assert await driven(work) == [4]
    assert set(tasks) == {trio.lowlevel.current_task()}


@pytest.mark.parametrize("waits", ["for a socket", "by Trio"])
async def test_it_ends_at_its_deadline(pair: Pair, waits: str) -> None:
    ours, _ = pair
    stream = SocketStream(ours, "127.0.0.1")

    async def work() -> None:
        try:
            await (stream.receive_some() if waits == "for a socket" else by_trio(trio.sleep_forever))
        finally:
            stream.close()

    with trio.move_on_after(5) as patience:
        (came,) = await driven(work, seconds=0.1)
    assert not patience.cancel_called
    assert isinstance(came, BaseException)
    assert not isinstance(came, Exception)
    assert ours.fileno() < 0


@pytest.mark.parametrize("waits", ["for a socket", "by Trio"])
async def test_it_ends_with_its_task(pair: Pair, waits: str) -> None:
    ours, _ = pair
    ended = []

    async def work() -> None:
        try:
            await (readable(ours) if waits == "for a socket" else by_trio(trio.sleep_forever))
        finally:
            ended.append(True)

    with trio.move_on_after(0.05) as scope:
        await driven(work)
        await trio.lowlevel.checkpoint_if_cancelled()
    assert scope.cancelled_caught
    assert ended == [True]


async def test_each_ends_at_its_own_deadline(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    """Whatever the order they begin in, and whatever others have ended in time; no socket has anything to say here."""
    ours, theirs = pair
    ended: list[float] = []

    async def wait(seconds: float) -> None:
        with socket.socket(fileno=ours.dup().detach()) as mine:
            await driven(partial(readable, mine), seconds=seconds)
        ended.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for seconds in (9, 3, 6, 3, 2):
            nursery.start_soon(wait, seconds)
        await trio.sleep(4)
        for seconds in (1, 9):
            nursery.start_soon(wait, seconds)
    assert ended == [2, 3, 3, 5, 6, 9, 13]
    theirs.send(b"x")
    await wait(100)
    assert ended[-1] == pytest.approx(13)


@linux
async def test_what_comes_during_an_errand_wakes_nobody_until_it_is_over(pair: Pair) -> None:
    ours, theirs = pair
    steps = Steps("_pilot")

    async def work() -> bytes:
        theirs.send(b"1")
        await readable(ours)
        trio.lowlevel.add_instrument(steps)
        await by_trio(trio.sleep, 0.1)  # what came is still there
        trio.lowlevel.remove_instrument(steps)
        await readable(ours)
        return ours.recv(10)

    assert await driven(work) == [b"1"]
    assert steps.count < 5


async def test_it_ends_at_its_deadline_where_an_errand_took_longer(pair: Pair) -> None:
    """A thread cannot be cancelled: it is back when the deadline has come and gone."""
    ours, _ = pair

    async def work() -> None:
        await by_trio(trio.to_thread.run_sync, partial(time.sleep, 0.2))
        await readable(ours)

    with trio.move_on_after(5) as patience:
        await driven(work, seconds=0.05)
    assert not patience.cancel_called


@pytest.mark.parametrize("authorities", ["good", "missing"])
async def test_many_that_need_the_same_context_at_once(pair: Pair, authorities: str, tmp_path: Path) -> None:
    ours, theirs = pair
    contexts = Contexts()
    tls = TLS(ca_file=tmp_path / "none.pem" if authorities == "missing" else Path(certifi.where()))
    came: list[Any] = []

    async def one() -> None:
        with socket.socket(fileno=ours.dup().detach()) as mine:

            async def work() -> Any:
                await readable(mine)
                return await contexts.get(tls)

            came.extend(await driven(work))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(one)
            await trio.sleep(0.05)
            theirs.send(b"x")  # the pilot steps all of them in one round
    if authorities == "good":
        assert len({id(each) for each in came}) == 1
    else:
        assert [str(each).startswith(f"cannot use ca_file {tls.ca_file}") for each in came] == [True] * 5


async def test_a_class_that_somebody_derives_is_not_driven(nursery: trio.Nursery) -> None:
    class Twice(Http):
        async def probe(self, probe: Probe) -> Verdict:
            async with trio.open_nursery() as beside:
                beside.start_soon(trio.sleep, 0.01)
                await super().probe(probe)
            return await super().probe(probe)

    port = await serve(nursery, answers(http(200)))
    assert (await look(Twice(url=f"http://127.0.0.1:{port}/"))).status == "up"


async def test_a_number_that_somebody_closed_harms_nobody(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    mine = socket.socket(fileno=ours.dup().detach())

    async def work() -> int:
        await readable(mine)
        os.close(mine.fileno())
        return 1

    assert await driven(work) == [1]
    mine.detach()
    assert await driven(partial(readable, ours)) == [None]


async def test_what_cannot_be_watched_is_told_to_who_waits(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = pair
    theirs.send(b"x")
    with (tmp_path / "file").open("w") as plain:  # the system watches no plain files
        (came,) = await driven(partial(readable, plain))  # type: ignore[arg-type] # not a socket
    assert isinstance(came, OSError)
    assert await driven(partial(readable, ours)) == [None]


async def test_where_there_are_no_epoll_sets_probes_have_a_scope(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mute(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    good, mutes = await serve(nursery, answers(http(200))), await serve(nursery, mute)
    monkeypatch.delattr(select, "epoll", raising=False)
    assert (await look(Http(url=f"http://127.0.0.1:{good}/"))).status == "up"
    seen = await look(Http(url=f"http://127.0.0.1:{mutes}/"), timeout=0.1)
    assert (seen.status, seen.reason.code) == ("down", "timeout")


async def test_who_waits_by_itself_gets_an_exception(pair: Pair) -> None:
    ours, theirs = pair

    async def stranger() -> None:
        theirs.send(b"x")
        await readable(ours)
        await trio.sleep(0.01)  # in the pilot's task

    (came,) = await driven(stranger)
    assert isinstance(came, RuntimeError)
    assert "wait for sockets, or by `by_trio`" in str(came)
    assert await driven(partial(by_trio, trio.sleep, 0)) == [None]


async def test_who_waits_again_when_it_is_to_end_is_dropped(pair: Pair) -> None:
    ours, _ = pair

    async def stubborn() -> None:
        with contextlib.suppress(BaseException):
            await readable(ours)
        await readable(ours)

    with trio.fail_after(5):
        await driven(stubborn, seconds=0.05)
    assert await driven(partial(by_trio, trio.sleep, 0)) == [None]


async def test_a_flood_gives_others_their_turn(nursery: trio.Nursery) -> None:
    async def endless(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    port = await serve(nursery, endless)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    nursery.start_soon(count_turns)
    seen = await look(Http(url=f"http://127.0.0.1:{port}/", body_limit=50_000_000), timeout=10)
    assert seen.reason.code == "limit"
    assert turns > 100


def test_runs_in_two_threads_have_nothing_in_common() -> None:
    seen = []

    async def probe() -> None:
        async with trio.open_nursery() as nursery:
            port = await serve(nursery, answers(http(200)))
            seen.extend([(await look(Http(url=f"http://127.0.0.1:{port}/"))).status for _ in range(50)])
            nursery.cancel_scope.cancel()

    threads = [threading.Thread(target=trio.run, args=(probe,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == ["up"] * 100
