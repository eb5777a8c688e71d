"""The worker: a process that probes one endpoint, again and again, when it is told to."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import pickle
import socket
from typing import TYPE_CHECKING, Any

import trio

from monitor.core.errors import typed
from monitor.isolation import wire
from monitor.net.sockets import SocketNet
from monitor.probe import Probe
from monitor.probing import probe_once
from monitor.processes import tree
from monitor.processes.frames import framed, next_frame, receive
from monitor.processes.starter import Processes
from monitor.system import SystemClock

if TYPE_CHECKING:
    from monitor.core.model import Endpoint, Observation
    from monitor.core.ports import Mask

_LONGEST_QUESTION = 1024 * 1024


def work(channel: int | None) -> None:
    """Be told over *channel* what there is to probe, then when; until nobody is at its other end."""
    assert channel is not None  # noqa: S101 - `Workers` gives one
    tree.adopt_orphans()  # what daemonizes stays below the process that started it, which can tell then
    faulthandler.enable()
    sock = socket.socket(fileno=channel)
    sock.setblocking(True)
    task = receive(sock)
    if task is None:
        return
    try:
        endpoint, mask = wire.unpacked(task)
    except BaseException as exc:  # noqa: BLE001 - a stranger's module, which may raise anything
        text = f"the check cannot be made in its worker: {typed(exc)}"
        sock.sendall(framed(json.dumps({"failed": text}).encode()))
        return
    sock.setblocking(False)
    trio.run(_serve, sock, endpoint, mask)


async def _serve(sock: socket.socket, endpoint: Endpoint, mask: Mask | None) -> None:
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
    net, clock, telling = SocketNet(), _Clock(), _telling(sock)

    async def say(message: dict[str, Any]) -> None:
        await stream.send_all(framed(json.dumps(message).encode()))

    await say({"ready": True})
    while (asked := await next_frame(stream, most=_LONGEST_QUESTION)) is not None:
        beat = pickle.loads(asked)  # noqa: S301 - from the monitor itself
        async with Processes() as programs:
            seen: Observation = await probe_once(
                endpoint, net=net, clock=clock, mask=mask, beat=beat, programs=programs, probe_class=telling
            )
        await say({"seen": wire.told(seen), "left": _leaves_something()})


def _telling(sock: socket.socket) -> type[Probe]:
    class Telling(Probe):
        """Tells the monitor each phase, which may be the last that it hears of this probe."""

        def phase(self, name: str | None) -> None:
            super().phase(name)
            _tell(sock, name)

    return Telling


def _tell(sock: socket.socket, phase: str | None) -> None:
    """Send it at once if it fits; it is worth no wait."""
    if isinstance(phase, str) and len(phase) <= 100:
        with contextlib.suppress(BlockingIOError):  # so little is sent as a whole, or not at all
            sock.send(framed(json.dumps({"phase": phase}).encode()))


def _leaves_something() -> bool:
    """Has the check left a process behind? Those that have ended are reaped: nobody else will."""
    try:
        return tree.reap()
    except OSError:
        return True


class _Clock(SystemClock):
    """A check that blocks the loop has it to itself: the time is its own."""

    def stalled(self) -> float:
        """Never."""
        return 0.0
