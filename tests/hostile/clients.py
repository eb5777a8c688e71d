"""`make hostile-clients`: clients that are neither polite nor quick, against the real daemon with 200 endpoints.

    python -m hostile.clients [--clients 500] [--endpoints 200]

One kind of attack after another, then all at once; for each what became of the clients, what somebody else waited for
an answer meanwhile, how late probes began, and what the daemon holds afterwards. Ends with 1 when a client was not
dropped, somebody else was kept out, an endpoint was not up, or P5 (p99 100 ms, at worst 500 ms late) was broken. The
figures are for an idle machine with two cores: one of them is the attackers'.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import trio
from support.daemon import Daemon, daemon

from monitor.limits import raise_descriptor_limit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HOST = b"Host: localhost\r\n"
UPGRADE = (
    b"GET /api/v1/live HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
LONGEST = 40.0  # seconds until whoever behaves like this must have been dropped
TRICKLE = 0.5  # seconds between two bytes

Client = Callable[[trio.SocketStream], Awaitable[str]]


async def _ending(stream: trio.SocketStream) -> str:
    """How the server ends the connection: the status of its answer, or `dropped`."""
    answer = b""
    with contextlib.suppress(*GONE):
        async for some in stream:
            answer = (answer + some)[:12]
    return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "dropped"


async def _trickling(stream: trio.SocketStream, head: bytes, drops: bytes) -> str:
    """Send *head*, then *drops* for ever, one now and then; say how it ended."""
    ending = "dropped"

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal ending
        ending = await _ending(stream)
        scope.cancel()

    with contextlib.suppress(*GONE):
        await stream.send_all(head)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, nursery.cancel_scope)
            while True:
                for number in range(len(drops)):
                    await trio.sleep(TRICKLE)
                    with contextlib.suppress(*GONE):
                        await stream.send_all(drops[number : number + 1])
    return ending


async def slow_headers(stream: trio.SocketStream) -> str:
    """Slow loris."""
    return await _trickling(stream, b"GET / HTTP/1.1\r\n" + HOST, b"X-a: b\r\n")


async def slow_body(stream: trio.SocketStream) -> str:
    """The same with a body, of a form that is for everybody."""
    return await _trickling(stream, b"POST /login HTTP/1.1\r\n" + HOST + b"Content-Length: 9999\r\n\r\n", b"token=")


async def reads_nothing(stream: trio.SocketStream) -> str:
    """Asks for much, many times, and reads none of it."""
    return await _unread(stream, (b"GET /api/v1/endpoints HTTP/1.1\r\n" + HOST + b"\r\n") * 40)


async def live_reads_nothing(stream: trio.SocketStream) -> str:
    """Wants the live feed, and reads none of it."""
    return await _unread(stream, UPGRADE)


async def _unread(stream: trio.SocketStream, asked: bytes) -> str:
    """Send *asked*, and read nothing until the server has hung up."""
    with contextlib.suppress(*GONE):
        await stream.send_all(asked)
        while True:  # what is sent is thrown away by the server; once it has hung up the kernel says so
            await trio.sleep(TRICKLE)
            await stream.send_all(b"\x8a\x80\0\0\0\0" if asked == UPGRADE else b"\r\n")
    return "dropped"


async def garbage_after_upgrade(stream: trio.SocketStream) -> str:
    """A WebSocket, and then anything but the head of a frame, whose rest a server would rightly wait for."""
    with contextlib.suppress(*GONE):
        await stream.send_all(UPGRADE + bytes([0x70 | random.randrange(256)]) + random.randbytes(2000))
    ending = await _ending(stream)
    return "dropped" if ending == "101" else ending


async def huge_headers(stream: trio.SocketStream) -> str:
    """64 kB of them."""
    return await _asked(stream, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 64_000 + b"\r\n\r\n")


async def traversal(stream: trio.SocketStream) -> str:
    """Out of the directory there is none of."""
    path = random.choice((b"/static/..%2f..%2fapp.py", b"/static/%2e%2e/%2e%2e/etc/passwd", b"/../../etc/passwd"))
    return await _asked(stream, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")


async def forged_host(stream: trio.SocketStream) -> str:
    """A name that was made to lead here, as by DNS rebinding."""
    return await _asked(stream, b"GET /api/v1/endpoints HTTP/1.1\r\nHost: evil.example\r\n\r\n")


async def _asked(stream: trio.SocketStream, request: bytes) -> str:
    with contextlib.suppress(*GONE):
        await stream.send_all(request)
        await stream.send_eof()
    return await _ending(stream)


# Each with what may become of it.
ATTACKS: dict[str, tuple[Client, frozenset[str]]] = {
    "headers that trickle": (slow_headers, frozenset({"dropped"})),
    "bodies that trickle": (slow_body, frozenset({"dropped", "408"})),
    "answers that nobody reads": (reads_nothing, frozenset({"dropped"})),
    "live feeds that nobody reads": (live_reads_nothing, frozenset({"dropped"})),
    "garbage after an upgrade": (garbage_after_upgrade, frozenset({"dropped", "503"})),
    "headers of 64 kB": (huge_headers, frozenset({"431", "dropped"})),
    "encoded traversal": (traversal, frozenset({"404", "dropped"})),
    "a forged Host": (forged_host, frozenset({"404", "dropped"})),
}


@attrs.define
class Report:
    """What one attack, or several at once, came to."""

    endings: dict[str, dict[str, int]] = attrs.field(factory=dict)  # by attack, then how it ended: how many
    seconds: float = 0.0  # until the last was dropped
    answers: list[float] = attrs.field(factory=list)  # seconds that somebody else waited
    refused: int = 0  # times that somebody else was
    lags: list[float] = attrs.field(factory=list)  # seconds that probes began late
    missed: float = 0.0  # slots
    not_up: int = 0
    descriptors: float = 0.0  # of the daemon, more than before; probes under way have some, too

    def wrong(self) -> list[str]:
        """What must not be, but for lateness."""
        allowed = {ending for name in self.endings for ending in ATTACKS[name][1]}
        endings = {ending for found in self.endings.values() for ending in found}
        return [
            *(f"clients ended with {each}" for each in sorted(endings - allowed)),
            *([f"somebody else was refused {self.refused} times"] if self.refused else []),
            *([f"{self.not_up} endpoints were not up"] if self.not_up else []),
            *([f"{self.descriptors:.0f} descriptors were kept"] if self.descriptors > 40 else []),
        ]


async def scraped(port: int) -> dict[str, list[float]]:
    """The samples of /metrics, by the name of the metric."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        text = b"".join([each async for each in stream]).decode()
    found: dict[str, list[float]] = {}
    for name, value in re.findall(r"^(\w+)(?:\{[^\n]*\})? (\S+)$", text, re.MULTILINE):
        found.setdefault(name, []).append(float(value))
    return found


async def attack(port: int, names: Sequence[str], number: int) -> Report:
    """Let *number* clients of each kind at the daemon on *port*, until all were dropped."""
    before, report = await scraped(port), Report()
    begun = trio.current_time()
    async with trio.open_nursery() as watching:
        watching.start_soon(_somebody_else, port, report)
        watching.start_soon(_look_at_the_schedule, port, report)
        async with trio.open_nursery() as clients:
            for name in names:
                report.endings[name] = {}
                for each in range(number):
                    clients.start_soon(_client, port, ATTACKS[name][0], report.endings[name], each / number)
        report.seconds = trio.current_time() - begun
        await trio.sleep(1.5)  # what lingers a second, and one more look at the schedule
        watching.cancel_scope.cancel()
    after = await scraped(port)
    report.missed = sum(after["monitor_ticks_missed_total"]) - sum(before["monitor_ticks_missed_total"])
    report.not_up = sum(1 for each in after["probe_success"] if each != 1)
    report.descriptors = after["process_open_fds"][0] - before["process_open_fds"][0]
    return report


async def _client(port: int, client: Client, endings: dict[str, int], wait: float) -> None:
    await trio.sleep(wait)  # all within a second
    ending = "kept"
    with trio.move_on_after(LONGEST):
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            await sock.connect(("127.0.0.1", port))
        except OSError:
            ending = "dropped"
        else:
            async with trio.SocketStream(sock) as stream:
                ending = await client(stream)
    endings[ending] = endings.get(ending, 0) + 1


async def _somebody_else(port: int, report: Report) -> None:
    """Ask as anybody does, each time by a new connection."""
    while True:
        begun = trio.current_time()
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"GET /api/v1/endpoints?limit=5 HTTP/1.1\r\n" + HOST + b"\r\n")
                answered = (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        except GONE:
            answered = False
        report.answers.append(trio.current_time() - begun)
        report.refused += not answered
        await trio.sleep(0.1)


async def _look_at_the_schedule(port: int, report: Report) -> None:
    while True:
        await trio.sleep(1)
        with contextlib.suppress(*GONE):
            report.lags += (await scraped(port)).get("monitor_schedule_lag_seconds", [])


@contextlib.asynccontextmanager
async def watched(directory: Path, endpoints: int) -> AsyncIterator[tuple[Daemon, int]]:
    """A daemon that watches *endpoints* on loopback each second, and its port; all of them are up."""
    async with trio.open_nursery() as nursery:
        target = await nursery.start(partial(trio.serve_tcp, trio.aclose_forcefully, 0, host="127.0.0.1", backlog=500))
        to = target[0].socket.getsockname()[1]
        (directory / "config.toml").write_text(
            '[monitor]\nlisten = "127.0.0.1:0"\n[defaults]\ninterval = "1s"\nsinks = []\n'
            + "".join(
                f'[[endpoint]]\nname = "e{number}"\nurl = "tcp://127.0.0.1:{to}"\npublic = true\n'
                for number in range(endpoints)
            )
        )
        async with daemon(directory) as running:
            port = int(running.url.rpartition(":")[2])
            with trio.fail_after(60):
                while len(up := (await scraped(port)).get("probe_success", [])) < endpoints or min(up) < 1:
                    await trio.sleep(0.2)
            yield running, port
        nursery.cancel_scope.cancel()


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0


def printed(name: str, report: Report) -> None:
    """One attack, in figures."""
    ended: dict[str, int] = {}
    for found in report.endings.values():
        for ending, count in found.items():
            ended[ending] = ended.get(ending, 0) + count
    endings = ", ".join(f"{count} {ending}" for ending, count in sorted(ended.items()))
    answers = f"{_quantile(report.answers, 0.5) * 1000:5.0f} {max(report.answers, default=0) * 1000:6.0f}"
    lags = f"{_quantile(report.lags, 0.99) * 1000:6.1f} {max(report.lags, default=0) * 1000:6.1f}"
    rest = f"{report.missed:5.0f} {report.descriptors:+6.0f}"
    print(f"{name:30} {report.seconds:6.1f} {answers} {lags} {rest}  {endings}", flush=True)


async def main(clients: int, endpoints: int) -> bool:
    """Every attack, then all at once; whether all is well."""
    raise_descriptor_limit()
    print(f"{clients} clients of each kind against {endpoints} endpoints, each probed every second")
    print(f"{'':30} {'all':>6} {'others wait ms':>12} {'late by ms':>13} {'slots':>5} {'desc.':>6}")
    print(f"{'':30} {'gone s':>6} {'p50':>5} {'max':>6} {'p99':>6} {'max':>6} {'lost':>5} {'kept':>6}  ended")
    wrong = []
    with tempfile.TemporaryDirectory() as directory:
        async with watched(Path(directory), endpoints) as (running, port):
            kinds = {**{name: [name] for name in ATTACKS}, "all at once": list(ATTACKS)}
            for name, names in kinds.items():
                report = await attack(port, names, clients if len(names) == 1 else max(1, clients // len(names)))
                printed(name, report)
                wrong += [f"{name}: {each}" for each in report.wrong()]
                if _quantile(report.lags, 0.99) > 0.1 or max(report.lags, default=0) > 0.5:
                    wrong.append(f"{name}: probes began too late (P5)")
            print(f"the log of the daemon: {len(running.log.splitlines())} lines")
            wrong += ["a traceback in the log"] if "Traceback" in running.log else []
    print("\n".join(["", *(f"!! {each}" for each in wrong)]) if wrong else "all is well")
    return not wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--endpoints", type=int, default=200)
    given = parser.parse_args()
    sys.exit(0 if trio.run(main, given.clients, given.endpoints) else 1)
