"""The boundary around a check: whatever it does, the probe ends in time, says so, and harms nobody else."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import attrs
import httpx
import pytest
import trio
from support.probes import answers, endpoint, http, look, serve

from monitor.api import Check, Probe, ProbeError, Verdict, check_option
from monitor.config.secrets import Masker
from monitor.core.model import Code, Endpoint, Observation, Reason, Status
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.supervisor import Supervisor
from monitor.system import SystemClock


@attrs.frozen(kw_only=True)
class Doing(Check):
    """A check that does what a test says."""

    act: Callable[[Probe], Awaitable[Any]] = check_option(doc="what to do")

    async def probe(self, probe: Probe) -> Verdict:
        answer: Verdict = await self.act(probe)
        return answer


async def raises_value_error(_: Probe) -> Verdict:
    raise ValueError("boom")


async def raises_much(_: Probe) -> Verdict:
    raise ValueError("boom\n\nThis is probably a bug of yours.")


async def raises_without_words(_: Probe) -> Verdict:
    raise RuntimeError


async def exits(_: Probe) -> Verdict:
    raise SystemExit(1)


async def interrupts(_: Probe) -> Verdict:
    raise KeyboardInterrupt


async def raises_a_foreign_cancelled(_: Probe) -> Verdict:
    raise asyncio.CancelledError


async def answers_nonsense(_: Probe) -> Any:
    return True


async def answers_nothing(_: Probe) -> None:
    return None


async def raises_from_children(_: Probe) -> Verdict:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        nursery.start_soon(raises_value_error, _)
    return Verdict.up()


async def leaks_a_nursery(_: Probe) -> Verdict:
    nursery = await trio.open_nursery().__aenter__()
    nursery.start_soon(trio.sleep_forever)
    return Verdict.up()


async def leaks_a_cancelled_scope(_: Probe) -> Verdict:
    trio.CancelScope().__enter__().cancel()
    await trio.lowlevel.checkpoint()
    return Verdict.up()


async def leaves_a_generator_in_a_nursery(_: Probe) -> Verdict:
    async def numbers() -> AsyncIterator[int]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            yield 1

    async for _number in numbers():
        break
    return Verdict.up()


kept: list[BaseException] = []


async def raises_a_cancelled_of_old(_: Probe) -> Verdict:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as exc:
            kept.append(exc)
            raise
    raise kept[-1]


async def cancels_the_task_that_calls_it(_: Probe) -> Verdict:
    around = trio.lowlevel.current_task().parent_nursery
    assert around is not None
    around.cancel_scope.cancel()
    await trio.lowlevel.checkpoint()
    return Verdict.up()


async def starts_a_bomb_beside_itself(_: Probe) -> Verdict:
    around = trio.lowlevel.current_task().parent_nursery
    assert around is not None
    around.start_soon(raises_value_error, _)
    await trio.sleep(0.1)
    return Verdict.up()


HOSTILE = (
    raises_value_error,
    exits,
    raises_from_children,
    leaks_a_nursery,
    leaks_a_cancelled_scope,
    leaves_a_generator_in_a_nursery,
    raises_a_cancelled_of_old,
    cancels_the_task_that_calls_it,
    starts_a_bomb_beside_itself,
)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (raises_value_error, "the check crashed: ValueError: boom"),
        (raises_much, "the check crashed: ValueError: boom"),
        (raises_without_words, "the check crashed: RuntimeError"),
        (exits, "the check crashed: SystemExit: 1"),
        (interrupts, "the check crashed: KeyboardInterrupt"),
        (raises_a_foreign_cancelled, "the check crashed: CancelledError"),
        (answers_nonsense, "expected the check to answer with a Verdict, got bool"),
        (answers_nothing, "expected the check to answer with a Verdict, got NoneType"),
        (raises_from_children, "the check crashed: ValueError: boom"),
        (leaks_a_nursery, None),
        (leaks_a_cancelled_scope, None),
        (leaves_a_generator_in_a_nursery, None),
        (raises_a_cancelled_of_old, None),
        (cancels_the_task_that_calls_it, None),
        (starts_a_bomb_beside_itself, "the check crashed: ValueError: boom"),
    ],
)
@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
async def test_a_crash_is_unknown(act: Callable[[Probe], Awaitable[Any]], message: str | None) -> None:
    async def worker(probe: Probe) -> Any:
        probe.phase("thinking")
        probe.facts["depth"] = 3
        return await act(probe)

    async with trio.open_nursery() as nursery:
        healthy: list[str] = []

        async def neighbour() -> None:
            async def fine(_: Probe) -> Verdict:
                await trio.sleep(0.01)
                return Verdict.up()

            healthy.append((await look(Doing(act=fine))).status)

        nursery.start_soon(neighbour)
        seen = await look(Doing(act=worker), timeout=1)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("unknown", "crash", "thinking")
    assert message is None or seen.reason.message == message
    assert seen.facts == {"depth": 3}
    assert healthy == ["up"]


@pytest.mark.filterwarnings("ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning")
async def test_what_checks_do_to_their_task_reaches_nobody_else() -> None:
    """Hostile checks among healthy ones: each is probed on, in a task that is good, and says what it is."""
    seen: dict[str, list[str]] = {}
    net, clock = SocketNet(), SystemClock()

    async def fine(_: Probe) -> Verdict:
        await trio.sleep(0.001)
        return Verdict.up()

    async def probe(watched: Endpoint) -> Observation:
        return await probe_once(watched, net=net, clock=clock, mask=None)

    async def record(watched: Endpoint, observation: Observation) -> bool:
        seen.setdefault(watched.name, []).append(observation.reason.code)
        if len(seen) == len(HOSTILE) + 20 and all(len(each) >= 5 for each in seen.values()):
            enough.set()
        return False

    enough = trio.Event()
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, probe=probe, record=record, slots=trio.CapacityLimiter(100))
        for act in HOSTILE:
            supervisor.start(endpoint(Doing(act=act), name=act.__name__, interval=0.2, timeout=1))
        for number in range(20):
            supervisor.start(endpoint(Doing(act=fine), name=f"healthy {number}", interval=0.2, timeout=1))
        with trio.fail_after(20):
            await enough.wait()
        nursery.cancel_scope.cancel()
    for name, codes in seen.items():
        assert set(codes) == {"ok" if name.startswith("healthy") else "crash"}, name


@attrs.frozen(kw_only=True)
class DoingHere(Doing):
    own_task: ClassVar[bool] = False


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (raises_value_error, "the check crashed: ValueError: boom"),
        (exits, "the check crashed: SystemExit: 1"),
        (interrupts, "the check crashed: KeyboardInterrupt"),
        (raises_from_children, "the check crashed: ValueError: boom"),
        (raises_a_cancelled_of_old, None),
        (answers_nonsense, "expected the check to answer with a Verdict, got bool"),
    ],
)
async def test_what_a_check_throws_is_caught_without_a_task_of_its_own_too(
    act: Callable[[Probe], Awaitable[Any]], message: str | None
) -> None:
    async def late(_: Probe) -> Verdict:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the rush")

    seen = await look(DoingHere(act=act))
    assert (seen.status, seen.reason.code) == ("unknown", "crash")
    assert message is None or seen.reason.message == message
    seen = await look(DoingHere(act=late), timeout=0.05)
    assert (seen.status, seen.reason.code) == ("down", "timeout")
    with trio.move_on_after(0.05) as scope:
        await look(DoingHere(act=late))
    assert scope.cancelled_caught


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def spoils(name: str, value: Any) -> Callable[[Probe], Verdict]:
    def act(probe: Probe) -> Verdict:
        setattr(probe, name, value)
        return Verdict.up()

    return act


def raises(exc: Exception) -> Callable[[Probe], Verdict]:
    def act(_: Probe) -> Verdict:
        raise exc

    return act


def says(answer: Any) -> Callable[[Probe], Any]:
    return lambda _: answer


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (says(Verdict.down(ValueError("late"))), "message=ValueError('late')"),  # type: ignore[arg-type] # a likely slip
        (says(Verdict("up")), "got one with something else in it: Verdict(status='up'"),  # type: ignore[arg-type] # nonsense
        (says(Verdict(Status.DOWN, "late")), "got one with something else in it"),  # type: ignore[arg-type] # nonsense
        (says(Verdict.down("late", phase=7)), "got one with something else in it"),  # type: ignore[arg-type] # nonsense
        (raises(ProbeError(Reason("late"))), "cannot be used: AttributeError"),  # type: ignore[arg-type] # nonsense
        (raises(UnspeakableError()), "the check crashed: UnspeakableError"),
        (spoils("phases", {"connect": "soon"}), "cannot be used: TypeError"),
        (spoils("phases", {3: 0.1}), "a phase is called by a text, not by int"),
        (spoils("phases", None), "cannot be used: AttributeError"),
        (spoils("facts", None), "cannot be used: AttributeError"),
        (spoils("current_phase", object()), "a phase is called by a text, not by object"),
    ],
)
async def test_nonsense_is_a_crash_of_the_check_and_of_nothing_else(
    act: Callable[[Probe], Any], message: str, nursery: trio.Nursery
) -> None:
    closed = trio.Event()

    async def until_closed(stream: trio.SocketStream) -> None:
        assert await stream.receive_some() == b""
        closed.set()

    port = await serve(nursery, until_closed)

    async def connects_and_acts(probe: Probe) -> Any:
        await probe.connect("127.0.0.1", port)
        return act(probe)

    seen = await look(Doing(act=connects_and_acts))
    assert (seen.status, seen.reason.code) == ("unknown", "crash")
    assert message in seen.reason.message
    json.dumps(seen.reason.to_json())  # the store and the API can have it
    with trio.fail_after(5):
        await closed.wait()


async def test_a_passed_deadline_beats_what_is_raised_after_it(autojump_clock: trio.testing.MockClock) -> None:
    async def bad_loser(probe: Probe) -> Verdict:
        probe.phase("waiting")
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the rush")

    async def swallows(probe: Probe) -> Verdict:
        probe.phase("waiting")
        with trio.CancelScope(shield=True):
            await trio.sleep(7)
        return Verdict.up()

    for act in (bad_loser, swallows):
        seen = await look(Doing(act=act), timeout=5)
        assert (seen.status, seen.reason.code) == ("down", "timeout")
        assert seen.reason.message == "no answer within 5 s (during waiting)"


async def test_our_own_cancellation_passes_whatever_the_check_does_about_it() -> None:
    async def bad_loser(_: Probe) -> Verdict:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the rush")

    with trio.move_on_after(0.05) as scope:
        await look(Doing(act=bad_loser))
        pytest.fail("nothing may come out of a probe that we stopped")
    assert scope.cancelled_caught


async def test_what_the_net_says_is_no_crash(nursery: trio.Nursery) -> None:
    async def refused(probe: Probe) -> Verdict:
        await probe.http.get("http://127.0.0.1:1/")
        return Verdict.up()

    async def own_trouble(_: Probe) -> Verdict:
        raise ProbeError(Reason(Code.INTERNAL, None, "no free file descriptor"))

    async def in_a_nursery(probe: Probe) -> Verdict:
        async with trio.open_nursery() as own:
            own.start_soon(refused, probe)
            own.start_soon(trio.sleep_forever)
        return Verdict.up()

    for act in (refused, in_a_nursery):
        seen = await look(Doing(act=act))
        assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", "connect", "connect")
        assert seen.reason.message == "connection refused (127.0.0.1:1)"
    seen = await look(Doing(act=own_trouble))
    assert (seen.status, seen.reason.code) == ("unknown", "internal")


async def test_the_http_client_of_a_custom_check(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200, b'{"depth": 3}')))

    async def depth(probe: Probe) -> Verdict:
        async with probe.http.stream("GET", f"http://127.0.0.1:{port}/") as answer:
            await answer.aread()
        probe.facts["depth"] = answer.json()["depth"]
        return Verdict.up()

    seen = await look(Doing(act=depth))
    assert (seen.status, seen.facts["depth"]) == ("up", 3)
    assert "transfer" in seen.phases

    async def raises_for_status(probe: Probe) -> Verdict:
        raise httpx.ConnectError("made up by the check itself")

    assert (await look(Doing(act=raises_for_status))).reason.code == "crash"


async def test_what_a_check_leaves_open_is_closed(nursery: trio.Nursery) -> None:
    port = await serve(nursery, answers(http(200), then="hold"))

    async def forgetful(probe: Probe) -> Verdict:
        await probe.connect("127.0.0.1", port)
        return Verdict.up()

    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    assert (await look(Doing(act=forgetful))).status == "up"
    await trio.testing.wait_all_tasks_blocked()
    before = descriptors()
    for _ in range(20):
        await look(Doing(act=forgetful))
    await trio.testing.wait_all_tasks_blocked()
    gc.collect()
    # The server's side of each stays open until it notices, which it does not look for.
    assert descriptors() - before <= 20


async def test_no_descriptor_left_is_the_monitors_own_trouble(nursery: trio.Nursery) -> None:
    import resource

    from checks.http import Http

    port = await serve(nursery, answers(http(200)))
    net, clock = SocketNet(), SystemClock()
    look_at = endpoint(Http(url=f"http://127.0.0.1:{port}/"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        seen = await probe_once(look_at, net=net, clock=clock, mask=None)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (seen.status, seen.reason.code) == ("unknown", "internal")
    assert seen.reason.message == "the monitor has no free file descriptor"


async def test_secrets_and_control_characters_are_kept_out() -> None:
    async def echoes(probe: Probe) -> Verdict:
        probe.facts["said"] = {"hunter2": ["hunter2", 1]}
        return Verdict.down("got hunter2\x1b[31m\nand\u202e more" + "x" * 999)

    masker = Masker()
    masker.remember("hunter2")

    seen = await probe_once(
        endpoint(Doing(act=echoes)),
        net=SocketNet(),
        clock=SystemClock(),
        mask=masker,
    )
    assert seen.reason.message.startswith(r"got ***\x1b[31m\nand\u202e more")
    assert len(seen.reason.message) == 500
    assert seen.facts == {"said": {"***": ["***", 1]}}
