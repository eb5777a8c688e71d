"""`make crash`: the real process, killed at random points and moments while its targets fail and recover.

    python -m crashes [--kills N] [--seed N]

After each round of kills a plain daemon takes over, and what two sinks were told is held against the transitions of
the API: every alert told, in order; a duplicate has the same id and body. Prints how many kills and duplicates there
were; ends with an AssertionError that says what was wrong. What a seed decides is when and where to kill: the
process and the machine do the rest, so a second run of it is another run.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import tempfile
import time
from pathlib import Path

import trio
from support.crashing import POINTS
from support.daemon import daemon, until
from support.ledger import SINKS, Ledger, ledger

from monitor.limits import raise_descriptor_limit

ENDPOINTS = 8
KILLS = 8  # in a round
ROOT = Path(__file__).parents[2]
RARE = {"migration": 0.0, "reload": 0.0, "retention": 0.5, "drain": 0.0}


async def outages(book: Ledger, rand: random.Random) -> None:
    """Each endpoint fails and recovers, in its own time."""

    async def one(name: str, seed: float) -> None:
        own = random.Random(seed)
        while True:
            await trio.sleep(own.uniform(0.5, 4.0))
            book.statuses[name] = 503
            await trio.sleep(own.uniform(0.5, 4.0))
            book.statuses[name] = 200

    async with trio.open_nursery() as nursery:
        for name in book.statuses:
            nursery.start_soon(one, name, rand.random())


async def receiver_trouble(book: Ledger, rand: random.Random) -> None:
    while True:
        await trio.sleep(rand.uniform(0.5, 3.0))
        book.open = False
        await trio.sleep(rand.uniform(0.1, 1.0))
        book.open = True


async def killed(directory: Path, rand: random.Random) -> str:
    """A life of the daemon that ends by a kill; says where."""
    points = [point for point in POINTS if RARE.get(point, 1.0) > rand.random()]
    point, nth = rand.choice(points), rand.randint(1, 6)
    environment = {"MONITOR_CRASHPOINT": f"{point}:{nth}", "PYTHONPATH": str(ROOT / "tests")}
    patience, starts_up = rand.uniform(0.1, 3.0), rand.random() < 0.2
    async with daemon(directory, ready=False, program="support.crashing", **environment) as running:
        if not starts_up:  # it has its time, however long a busy machine takes to start it
            with contextlib.suppress(AssertionError):  # killed on the way
                await running.ready()
        with trio.move_on_after(patience):
            await running.process.wait()
            assert running.process.returncode == -signal.SIGKILL, running.log
            return point
        await running.crash()
    return "any moment"


async def finished(book: Ledger, directory: Path) -> None:
    """A plain daemon takes over, all is well in the end, and the ledger is right."""
    book.open = True
    book.statuses = dict.fromkeys(book.statuses, 200)
    async with daemon(directory) as last:

        async def settled() -> bool:
            endpoints = (await last.get("/api/v1/endpoints"))["endpoints"]
            transitions = (await last.get("/api/v1/transitions?limit=1000"))["transitions"]
            alerted = sum(each["alert"] == "alerted" for each in transitions)
            return all(each["state"] == "up" for each in endpoints) and all(
                len(book.words(sink)) >= alerted for sink in SINKS
            )

        await until(settled, "all is well and told")
        transitions = (await last.get("/api/v1/transitions?limit=1000"))["transitions"]
        assert await last.stop() == 0, last.log
    book.hold_against(transitions, directory / "data")


async def one_round(directory: Path, rand: random.Random, kills: int, where: dict[str, int]) -> tuple[int, int]:
    """How many alerts were told, and how many of them again."""
    async with ledger() as book, trio.open_nursery() as nursery:
        book.statuses = dict.fromkeys((f"e{number}" for number in range(ENDPOINTS)), 200)
        book.configure(directory, more="flap_changes = 1000")
        nursery.start_soon(receiver_trouble, book, rand)
        nursery.start_soon(outages, book, rand)
        for _ in range(kills):
            point = await killed(directory, rand)
            where[point] = where.get(point, 0) + 1
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await finished(book, directory)
    return len(book.told), book.duplicates


async def rounds(kills: int, seed: int) -> None:
    rand, where, began = random.Random(seed), dict[str, int](), time.monotonic()
    told = again = done = 0
    while done < kills:
        some = min(KILLS, kills - done)
        with tempfile.TemporaryDirectory() as directory:
            heard, repeated = await one_round(Path(directory), rand, some, where)
        told, again, done = told + heard, again + repeated, done + some
        print(f"{done} kills, {told} messages, {again} of them duplicates", flush=True)
    print(f"in {time.monotonic() - began:.0f} s; killed at: " + ", ".join(f"{p} {n}" for p, n in sorted(where.items())))
    print("every alert was told, in order; every duplicate had the same id and body")


def main() -> None:
    parser = argparse.ArgumentParser(prog="crashes", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    raise_descriptor_limit()
    trio.run(rounds, given.kills, given.seed)


if __name__ == "__main__":
    main()
