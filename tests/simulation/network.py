"""The network of the simulation: hosts in memory behind `monitor.net.Net`.

Whatever a probe meets is written down as it meets it: faults of the endpoint, and trouble of the monitor's own. So
the truth about each observation is known without asking the code under test.
"""

from __future__ import annotations

import contextvars
import enum
import errno
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from monitor.core.model import Code
from monitor.net.reasons import from_connect, from_stream, own_trouble, probe_error

if TYPE_CHECKING:
    import random

    from monitor.core.model import Endpoint
    from simulation.messages import Messages
    from simulation.world import World

OK_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SLOW = 0.8  # seconds a slow host takes to answer; less than any timeout, more than `degraded` allows


class Condition(enum.StrEnum):
    """How a host is."""

    OK = "ok"
    SLOW = "slow"
    REFUSES = "refuses"
    RESETS = "resets"
    FAILS = "answers 503"
    HANGS = "hangs"
    CLOGGED = "clogged"
    NO_NAME = "has no name"
    GARBLED = "garbled"
    # Of receivers only: what was sent has arrived, and the answer does not say so.
    KEEPS_AND_HANGS = "keeps and hangs"
    KEEPS_AND_DROPS = "keeps and drops"
    KEEPS_AND_FAILS = "keeps and answers 500"
    BUSY = "answers 429"
    PICKY = "answers 400"


OUTAGES = tuple(Condition)[2:9]
SINK_TROUBLE = (*OUTAGES, *tuple(Condition)[9:])


@attrs.define(eq=False)
class Visit:
    """One probe, as seen from outside."""

    endpoint: str
    configured: Endpoint
    began: float
    timeout: float
    stalled: float  # of the clock when it began; once it is observed, how much of that since
    ended: float | None = None
    jumped: float = 0.0  # seconds that the loop stood still meanwhile
    faults: list[str] = attrs.field(factory=list)
    own: list[str] = attrs.field(factory=list)
    slow: bool = False
    odd: str | None = None  # how its check misbehaved

    def met(self, fault: str) -> None:
        """A fault of the endpoint."""
        self.faults.append(fault)

    def met_own(self, trouble: str) -> None:
        """Trouble of the monitor's own."""
        self.own.append(trouble)

    def answered(self) -> None:
        """The answer has come."""


class Inquirer(Protocol):
    """Whoever is told what a connection meets: a probe, or the watch over the references."""

    slow: bool

    def met(self, fault: str) -> None: ...

    def met_own(self, trouble: str) -> None: ...

    def answered(self) -> None: ...


visit_under_way: contextvars.ContextVar[Visit | None] = contextvars.ContextVar("visit", default=None)


@attrs.define(eq=False)
class Host:
    """A target: answers 200, unless its condition says otherwise."""

    name: str
    rand: random.Random
    condition: Condition = Condition.OK
    loss: float = 0.0  # share of connections that are lost

    def lost(self) -> bool:
        return bool(self.loss) and self.rand.random() < self.loss

    async def answer(self, stream: Stream) -> bytes:
        """Answer the request that has arrived."""
        visit = stream.visit
        match self.condition:
            case Condition.OK:
                await trio.sleep(self.rand.uniform(0.002, 0.04))
                return OK_ANSWER
            case Condition.SLOW:
                if visit:
                    visit.slow = True
                await trio.sleep(SLOW)
                return OK_ANSWER
            case Condition.RESETS:
                stream.met("reset")
                raise trio.BrokenResourceError from from_stream(OSError(errno.ECONNRESET, "reset"), None)
            case Condition.FAILS:
                stream.met("503")
                return b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
            case Condition.GARBLED:
                stream.met("garbled")
                return b"\x16\x03\x01 no HTTP at all\r\n\r\n"
            case _:
                stream.met("no answer")
                await trio.sleep_forever()
                raise AssertionError


@attrs.define(eq=False)
class Receipt:
    """A message that arrived; *settled* once the sender has read the 2xx."""

    sink: str
    alert: str
    body: bytes
    document: dict[str, Any]
    at: float
    settled: bool = False
    away: bool = False  # the database could not be written then


@attrs.define(eq=False)
class Receiver(Host):
    """A webhook's receiver: keeps what arrives, and answers as its condition says."""

    world: World | None = None

    async def answer(self, stream: Stream) -> bytes:
        keeps = self.condition in (Condition.OK, Condition.SLOW) or self.condition.name.startswith("KEEPS")
        receipts = self._keep(stream) if keeps else []
        match self.condition:
            case Condition.KEEPS_AND_HANGS:
                await trio.sleep_forever()
            case Condition.KEEPS_AND_DROPS:
                await trio.sleep(0.01)
                return b""
            case Condition.KEEPS_AND_FAILS:
                return b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
            case Condition.BUSY:
                return b"HTTP/1.1 429 No\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n"
            case Condition.PICKY:
                self.messages.refused(self.name, self._message(stream)[0])
                return b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"
            case _:
                answer = await super().answer(stream)
                stream.receipts = receipts
                return answer
        raise AssertionError

    @property
    def messages(self) -> Messages:
        assert self.world is not None
        return self.world.messages

    def _keep(self, stream: Stream) -> list[Receipt]:
        name, body = self._message(stream)
        return self.messages.came(self.name, name, body)

    def _message(self, stream: Stream) -> tuple[str, bytes]:
        """What the message is called, and its body."""
        head, _, body = bytes(stream.received).partition(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        return headers[b"webhook-id"].decode(), body


class Stream:
    """`monitor.net.Stream` on a host in memory."""

    def __init__(self, network: Network, host: Host, visit: Inquirer | None) -> None:
        self.ip = "192.0.2.1"
        self.ragged = False
        self.received = bytearray()
        self.receipts: list[Receipt] = []
        self.visit = visit
        self._network = network
        self._host = host
        self._answered = False
        self._open = True
        network.open += 1

    def met(self, fault: str) -> None:
        if self.visit is not None:
            self.visit.met(fault)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        await trio.lowlevel.checkpoint()
        self.received += data

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check()
        if self._answered:
            await trio.lowlevel.checkpoint()
            return b""
        self._answered = True
        if isinstance(self.visit, Visit):
            self._network.world.stall_if_owed()
        answer = await self._host.answer(self)
        self._check()
        for receipt in self.receipts:
            receipt.settled = True
        if self.visit is not None:
            self.visit.answered()
        return answer

    def _check(self) -> None:
        if not self._open:
            raise trio.ClosedResourceError
        self._network.check()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._network.open -= 1

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class Network:
    """`monitor.net.Net`. One for each life of the daemon: with the life its connections end."""

    drive = None

    def __init__(self, world: World) -> None:
        self.open = 0
        self.dead = False
        self.world = world

    def check(self) -> None:
        """A dead process sends and receives nothing."""
        if self.dead:
            raise trio.BrokenResourceError

    async def connect(self, host: str, port: int, *, trace: Any, vet: Any = None, **_: Any) -> Stream:
        """Open a connection to the host of that name, whatever else is asked for."""
        self.check()
        there = self.world.hosts[host]
        visit = self.world.itself if host in self.world.scenario.references else visit_under_way.get()
        if isinstance(there, Receiver):
            self.world.messages.tried(host)
        trace.phase("resolve")
        await self._resolve(there, trace, visit)
        trace.phase("connect")
        if self.world.no_descriptors:
            if visit:
                visit.met_own("EMFILE")
            trouble = own_trouble(OSError(errno.EMFILE, "too many open files"))
            assert trouble is not None
            raise trouble
        await trio.sleep(0.001)
        await self._without_network(f"{host}:{port}", visit)
        if there.lost() or there.condition is Condition.REFUSES:
            if visit:
                visit.met("refused")
            raise from_connect(errno.ECONNREFUSED, f"{host}:{port}", at_once=False)
        if there.condition is Condition.CLOGGED:
            if visit:
                visit.met("clogged")
            await trio.sleep_forever()
        self.check()
        trace.facts["ip"] = "192.0.2.1"
        return Stream(self, there, visit)

    async def _without_network(self, where: str, visit: Inquirer | None) -> None:
        """What comes of connecting while the network of the monitor itself is gone."""
        gone = self.world.network_gone
        if gone is not None and visit:
            visit.met("no network")
        if gone is Condition.REFUSES:
            raise from_connect(errno.EHOSTUNREACH, where, at_once=False)
        if gone is not None:
            await trio.sleep_forever()

    async def _resolve(self, there: Host, trace: Any, visit: Inquirer | None) -> None:
        if self.world.no_workers is not None:
            if visit:
                visit.met_own("no DNS worker")
            trace.own_trouble = "no DNS worker was free in time"
            await self.world.no_workers.wait()
            trace.own_trouble = None
        if there.condition is Condition.NO_NAME:
            if visit:
                visit.met("no name")
            await trio.sleep(0.01)
            raise probe_error(Code.DNS, f"no such host: {there.name}", "resolve")
