"""Checks that each break one rule of the contract."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import attrs
import trio

from monitor.api import Check, Fact, Probe, Verdict, check_option

UNTIL_THE_END = threading.Event()  # what hangs in a thread waits for it
kept: list[Any] = []


@attrs.frozen(kw_only=True)
class Good(Check):
    """Keeps them all; the others are made of it."""

    facts: ClassVar = {"line": Fact("220 ready", "what came")}

    port: int = check_option(doc="where")

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def probe(self, probe: Probe) -> Verdict:
        stream = await probe.connect("127.0.0.1", self.port)
        line = (await stream.receive_some(100)).decode("ascii", "replace")
        probe.facts["line"] = line
        return Verdict.up() if line.startswith("220 ") else Verdict.down(f'expected "220 ", got {line!r}')


class NoAttrs(Check):
    """It is no attrs class."""


@attrs.frozen(kw_only=True)
class NoProbe(Check):
    """It looks at nothing."""

    port: int = check_option(doc="where")


@attrs.frozen(kw_only=True)
class NotAsync(Good):
    """It cannot be awaited."""

    def probe(self, probe: Probe) -> Verdict:  # type: ignore[override]
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Undocumented(Good):
    """Its option says nothing."""

    most: int = 3


@attrs.frozen(kw_only=True)
class NoDocstring(Good):
    most: int = check_option(default=3, doc="how many")


@attrs.frozen(kw_only=True)
class Unfillable(Good):
    """No config has a set."""

    words: set[str] = check_option(factory=set, doc="words")


@attrs.frozen(kw_only=True)
class Unmentionable(Good):
    """No expression can mention its fact."""

    facts: ClassVar = {"the line": Fact("220 ready", "what came")}


@attrs.frozen(kw_only=True)
class Unequal(Good):
    """Each is another."""

    made: object = attrs.field(init=False, factory=object)


@attrs.define(kw_only=True)
class NotFrozen(Check):
    """It can be changed."""

    port: int = check_option(doc="where")
    target: ClassVar[str] = "it"  # type: ignore[assignment]

    async def probe(self, probe: Probe) -> Verdict:
        return Verdict.up()


@attrs.frozen(kw_only=True)
class NoTarget(Good):
    """It does not say what it looks at."""

    target: ClassVar[str] = ""  # type: ignore[assignment]


@attrs.frozen(kw_only=True)
class BadTarget(Good):
    """Its target cannot be told."""

    @property
    def target(self) -> str:
        raise LookupError("which?")


@attrs.frozen(kw_only=True)
class Telltale(Good):
    """It shows its password."""

    password: str = check_option(default="hunter22", doc="the password")

    @property
    def target(self) -> str:
        return f"somebody:{self.password}@127.0.0.1:{self.port}"


@attrs.frozen(kw_only=True)
class Blocks(Good):
    """It stops the loop."""

    async def probe(self, probe: Probe) -> Verdict:
        UNTIL_THE_END.wait()
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Dawdles(Good):
    """It stops the loop for a while, again and again."""

    async def probe(self, probe: Probe) -> Verdict:
        UNTIL_THE_END.wait(1)
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Clings(Good):
    """It stays."""

    async def probe(self, probe: Probe) -> Verdict:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Swallows(Good):
    """It takes a cancellation for an answer."""

    async def probe(self, probe: Probe) -> Verdict:
        try:
            return await Good.probe(self, probe)
        except trio.Cancelled:
            return Verdict.down("too slow")


@attrs.frozen(kw_only=True)
class Replaces(Good):
    """It takes a cancellation for an error."""

    async def probe(self, probe: Probe) -> Verdict:
        try:
            return await Good.probe(self, probe)
        except BaseException as exc:
            raise RuntimeError("it went wrong") from exc


@attrs.frozen(kw_only=True)
class LeavesTask(Good):
    """It goes on."""

    async def probe(self, probe: Probe) -> Verdict:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="poller")
        return await Good.probe(self, probe)


@attrs.frozen(kw_only=True)
class LeavesNursery(Good):
    """It opens, and does not close."""

    async def probe(self, probe: Probe) -> Verdict:
        manager = trio.open_nursery()
        kept.append(manager)
        await manager.__aenter__()
        return Verdict.up()


@attrs.frozen(kw_only=True)
class LeavesThread(Good):
    """It lets something else go on."""

    async def probe(self, probe: Probe) -> Verdict:
        threading.Thread(target=UNTIL_THE_END.wait, name="listener", daemon=True).start()
        return await Good.probe(self, probe)


@attrs.frozen(kw_only=True)
class LeavesDescriptor(Good):
    """It opens a file, and keeps it."""

    async def probe(self, probe: Probe) -> Verdict:
        kept.append(open("/dev/null"))  # noqa: ASYNC230, SIM115, PTH123
        return await Good.probe(self, probe)


@attrs.frozen(kw_only=True)
class LeavesToCollector(Good):
    """It opens a file, and forgets it."""

    async def probe(self, probe: Probe) -> Verdict:
        open("/dev/null").read()  # noqa: ASYNC230, SIM115, PTH123
        return await Good.probe(self, probe)


@attrs.frozen(kw_only=True)
class LeavesCall(Good):
    """It tells no library how much time there is."""

    async def probe(self, probe: Probe) -> Verdict:
        await probe.in_thread(UNTIL_THE_END.wait)
        return Verdict.up()


@attrs.frozen(kw_only=True)
class Crashes(Good):
    """It believes what comes."""

    async def probe(self, probe: Probe) -> Verdict:
        stream = await probe.connect("127.0.0.1", self.port)
        int(await stream.receive_some(3))
        return Verdict.up()


@attrs.frozen(kw_only=True)
class NoVerdict(Good):
    """It answers with something else."""

    async def probe(self, probe: Probe) -> Verdict:
        await Good.probe(self, probe)
        return True  # type: ignore[return-value]


@attrs.frozen(kw_only=True)
class SaysNothing(Good):
    """It does not say why."""

    async def probe(self, probe: Probe) -> Verdict:
        verdict = await Good.probe(self, probe)
        return verdict if verdict.status == "up" else Verdict.down("")


@attrs.frozen(kw_only=True)
class Undeclared(Good):
    """It has a fact more."""

    async def probe(self, probe: Probe) -> Verdict:
        probe.facts["size"] = 3
        return await Good.probe(self, probe)


@attrs.frozen(kw_only=True)
class OfAnotherType(Good):
    """It declares a text, and sets bytes."""

    async def probe(self, probe: Probe) -> Verdict:
        verdict = await Good.probe(self, probe)
        probe.facts["line"] = b"220 ready"
        return verdict


@attrs.frozen(kw_only=True)
class NoJSON(Good):
    """It sets what no JSON has."""

    facts: ClassVar = {"line": Fact(None, "what came")}

    async def probe(self, probe: Probe) -> Verdict:
        verdict = await Good.probe(self, probe)
        probe.facts["line"] = {"words": [{"220"}]}
        return verdict
