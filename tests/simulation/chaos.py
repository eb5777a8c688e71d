"""The faults: each is a task that waits for its time, does its harm, and takes it back; with dice of its own."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import trio

from simulation.network import OUTAGES, SINK_TROUBLE, Condition, Host
from simulation.scenario import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from simulation.world import World

    Fault = Callable[["World", random.Random], Awaitable[None]]


def unleash(world: World, nursery: trio.Nursery) -> None:
    """Start every fault that the scenario has."""

    async def again_and_again(name: str, each: str, harm: Fault) -> None:
        rand = random.Random(f"{world.scenario.seed}:{name}:{each}")
        while True:
            await trio.sleep(rand.expovariate(1 / world.scenario.faults[name]))
            await harm(world, rand)

    for name, harms in {
        **_once(),
        **_for_each_host(world),
        **_for_each_sink(world),
        **_for_each_reference(world),
    }.items():
        if name in world.scenario.faults:
            for each, harm in harms.items():
                nursery.start_soon(again_and_again, name, each, harm)


def _once() -> dict[str, dict[str, Fault]]:
    return {
        "network_gone": {"": network_gone},
        "descriptors": {"": descriptors},
        "stuck_dns": {"": stuck_dns},
        "stall": {"": stall},
        "suspend": {"": suspend},
        "clock_jump": {"": clock_jump},
        "slow_disk": {"": slow_disk},
        "full_disk": {"": full_disk},
        "locked_disk": {"": locked_disk},
        "oddities": {"": oddities},
        "reload_same": {"": reload_same},
        "reload_changed": {"": reload_changed},
        "reload_broken": {"": reload_broken},
        "stop": {"": stop},
        "crash": {"": crash},
        "silence": {"": silence},
        "acknowledgement": {"": acknowledgement},
    }


def _for_each_host(world: World) -> dict[str, dict[str, Fault]]:
    hosts = world.targets
    return {
        "outage": {host.name: outage(host) for host in hosts},
        "blip": {host.name: outage(host, longest=20.0) for host in hosts},
        "loss": {host.name: loss(host) for host in hosts},
    }


def _for_each_sink(world: World) -> dict[str, dict[str, Fault]]:
    return {"sink_trouble": {sink.name: sink_trouble(sink) for sink in world.receivers}}


def _for_each_reference(world: World) -> dict[str, dict[str, Fault]]:
    return {"reference_trouble": {each.name: reference_trouble(each) for each in world.references}}


def span(rand: random.Random, low: float, high: float) -> float:
    """A duration between the two, small ones as likely as large ones."""
    return low * (high / low) ** rand.random()


@contextlib.contextmanager
def for_a_while(world: World, text: str) -> object:
    world.ledger.note("fault", f"{text} begins")
    try:
        yield
    finally:
        world.ledger.note("fault", f"{text} ends")


def outage(host: Host, longest: float = 3 * HOUR) -> Fault:
    async def harm(world: World, rand: random.Random) -> None:
        if host.condition is not Condition.OK:
            return
        condition = rand.choice((Condition.SLOW, *OUTAGES, *OUTAGES))
        with for_a_while(world, f"{host.name} {condition}"):
            try:
                host.condition = condition
                await trio.sleep(span(rand, 1.0, longest))
            finally:
                host.condition = Condition.OK

    return harm


def loss(host: Host) -> Fault:
    async def harm(world: World, rand: random.Random) -> None:
        share = rand.choice((0.1, 0.3, 0.6))
        with for_a_while(world, f"{host.name} loses {share}"):
            try:
                host.loss = share
                await trio.sleep(span(rand, MINUTE, HOUR))
            finally:
                host.loss = 0.0

    return harm


def sink_trouble(sink: Host) -> Fault:
    async def harm(world: World, rand: random.Random) -> None:
        tells_many = world.messages.plan_of(sink.name).format != "standard"
        refuses = tells_many and rand.random() < 0.3  # what becomes of several in one message is worth a look
        condition = Condition.PICKY if refuses else rand.choice(SINK_TROUBLE)
        with for_a_while(world, f"{sink.name} {condition}"):
            try:
                sink.condition = condition
                seconds = span(rand, HOUR if refuses else 2.0, 2 * HOUR)
                if refuses or rand.random() < 0.3:
                    await ups_and_downs(world, rand, seconds)
                else:
                    await trio.sleep(seconds)
            finally:
                sink.condition = Condition.OK

    return harm


async def ups_and_downs(world: World, rand: random.Random, seconds: float) -> None:
    """So long, and meanwhile a host goes down and comes back again and again: what is to be told piles up."""
    host = rand.choice(world.targets)
    with trio.move_on_after(seconds):
        while True:
            await trio.sleep(span(rand, MINUTE, 20 * MINUTE))
            await outage(host, longest=20 * MINUTE)(world, rand)


def reference_trouble(reference: Host) -> Fault:
    async def harm(world: World, rand: random.Random) -> None:
        condition = rand.choice(OUTAGES)
        with for_a_while(world, f"{reference.name} {condition}"):
            try:
                reference.condition = condition
                await trio.sleep(span(rand, 5.0, HOUR))
            finally:
                reference.condition = Condition.OK

    return harm


async def network_gone(world: World, rand: random.Random) -> None:
    """No host can be reached, whatever its condition."""
    how = rand.choice((Condition.REFUSES, Condition.HANGS))
    with for_a_while(world, f"the network is gone, everything {how}"):
        before = world.itself.watch_absence()
        try:
            world.network_gone = how
            await trio.sleep(span(rand, 2.0, HOUR))
        finally:
            world.network_gone = None
            world.itself.was_absent(before)


async def descriptors(world: World, rand: random.Random) -> None:
    with for_a_while(world, "no descriptors"):
        try:
            world.no_descriptors = True
            await trio.sleep(span(rand, 1.0, 20 * MINUTE))
        finally:
            world.no_descriptors = False
            world.itself.hidden_until = trio.current_time()


async def stuck_dns(world: World, rand: random.Random) -> None:
    with for_a_while(world, "no DNS worker"):
        free = world.no_workers = trio.Event()
        try:
            await trio.sleep(span(rand, 1.0, 20 * MINUTE))
        finally:
            world.no_workers = None
            world.itself.hidden_until = trio.current_time()
            free.set()


async def stall(world: World, rand: random.Random) -> None:
    """At any moment, or just while a probe waits for its answer: few moments are such by chance."""
    seconds = span(rand, 0.01, 10 * MINUTE)
    if rand.random() < 0.5:
        world.stall(seconds)
    else:
        world.stall_owed = seconds


async def suspend(world: World, rand: random.Random) -> None:
    """At any moment, or between the first failing probe of an endpoint and the next: few moments are such by chance."""
    seconds = span(rand, 1.0, 8 * HOUR)
    if rand.random() < 0.7:
        await world.witness.begins_to_fail.wait()
        await trio.sleep(rand.uniform(0.5, 3.0))
    world.suspend(seconds)


async def clock_jump(world: World, rand: random.Random) -> None:
    seconds = rand.choice((-1, 1)) * span(rand, 0.5, 6 * HOUR)
    world.set_clock(seconds)


async def slow_disk(world: World, rand: random.Random) -> None:
    pause = span(rand, 0.01, 3.0)
    with for_a_while(world, f"the disk takes {pause:.2f} s"):
        try:
            world.disk_pause = pause
            await trio.sleep(span(rand, 1.0, 10 * MINUTE))
        finally:
            world.disk_pause = 0.0


async def full_disk(world: World, rand: random.Random) -> None:
    with for_a_while(world, "the disk is full"):
        try:
            world.disk_full = True
            await trio.sleep(span(rand, 1.0, HOUR))
        finally:
            world.disk_full = False


async def locked_disk(world: World, rand: random.Random) -> None:
    with for_a_while(world, "the database is locked"):
        try:
            world.disk_locked = True
            await trio.sleep(span(rand, 1.0, 10 * MINUTE))
        finally:
            world.disk_locked = False


async def oddities(world: World, rand: random.Random) -> None:
    with for_a_while(world, "the odd check misbehaves"):
        try:
            world.odd = rand
            await trio.sleep(span(rand, 10.0, HOUR))
        finally:
            world.odd = None


async def reload_same(world: World, rand: random.Random) -> None:
    for _ in range(rand.choice((1, 1, 10))):
        world.reload("the same config")
        await trio.sleep(rand.choice((0.0, 1.0)))


async def reload_changed(world: World, rand: random.Random) -> None:
    world.reload(world.scenario.change(rand))


async def reload_broken(world: World, rand: random.Random) -> None:
    world.reload("a broken config", broken=True)


async def stop(world: World, rand: random.Random) -> None:
    """At any moment, or soon after a message, and then for a moment only: what was sent is not to be forgotten."""
    if rand.random() < 0.5:
        world.stop(away=span(rand, 0.5, 2 * HOUR))
        return
    while True:  # best to a sink that others must wait for
        await world.messages.comes.wait()
        if rand.random() < 0.1 or world.messages.others_wait():
            break
    await trio.sleep(rand.uniform(0.1, 5.0))
    world.stop(away=rand.uniform(0.5, 10.0))


async def crash(world: World, rand: random.Random) -> None:
    """At once, before or after one of the next writes, or after the next alert; sometimes again while it recovers."""
    away = span(rand, 0.5, 2 * HOUR) if rand.random() < 0.3 else rand.uniform(0.5, 5.0)
    again = rand.randint(1, 8) if rand.random() < 0.4 else None
    if rand.random() < 0.5:
        world.crash_at_alert(away=away, again_in=again)
        return
    in_calls = rand.randint(1, 6) if rand.random() < 0.7 else None
    world.crash(in_calls=in_calls, after=rand.random() < 0.5, away=away, again_in=again)


async def silence(world: World, rand: random.Random) -> None:
    """Of an endpoint, a group or everything; sometimes somebody ends it before its time. Or there is a restart, and
    then something happens that it is for."""
    name = rand.choice(world.scenario.endpoints).name
    world.people.silence(rand.choice((name, "group:web", "*", "*")), span(rand, MINUTE, 4 * HOUR))
    await trio.sleep(span(rand, MINUTE, HOUR))
    if rand.random() < 0.3:
        world.people.end_silences(every=False)
    elif rand.random() < 0.6:
        world.stop(away=span(rand, 0.5, 5 * MINUTE))
        await outage(rand.choice(world.targets))(world, rand)


async def acknowledgement(world: World, rand: random.Random) -> None:
    """Of the next incidents that there are, or of none; sometimes there is a restart soon after."""
    names = [each.name for each in world.scenario.endpoints]
    rand.shuffle(names)
    if rand.random() < 0.7:
        await world.witness.begins_to_fail.wait()
        await trio.sleep(span(rand, 10.0, 20 * MINUTE))
    for name in names:
        world.people.acknowledge(name)
    if rand.random() < 0.3:
        await trio.sleep(rand.uniform(1.0, 60.0))
        world.stop(away=span(rand, 0.5, MINUTE))
