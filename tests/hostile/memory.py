"""What one probe adds to the resident memory at its peak, on Linux."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from hostile.servers_dns import Names
from monitor.net.resolve import Resolver
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from hostile.matrix import Servers
    from hostile.rows import Row

_STATUS = Path("/proc/self/status")


async def peak_growth(place: Servers, row: Row, *, timeout: float) -> int | None:
    """Probe *row* alone; the bytes by which the peak lies above what was there before. None: the system has no say."""
    names, clock = Names(), SystemClock()
    net = SocketNet(Resolver(names.look_up))
    watched = place.endpoint(row, timeout=timeout)
    await probe_once(watched, net=net, clock=clock, mask=None)  # what is loaded once is not the answer's
    give_back()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is now what there is
    except OSError:
        return None
    before = resident("VmRSS")
    await probe_once(watched, net=net, clock=clock, mask=None)
    names.release()
    return resident("VmHWM") - before


def give_back() -> None:
    """Return to the system what is free; else the next probe would find room in what the last one left."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def resident(line: str) -> int:
    """A line of our status, in bytes: `VmRSS` is what there is, `VmHWM` the peak."""
    text = next(each for each in _STATUS.read_text(encoding="ascii").splitlines() if each.startswith(line))
    return int(text.split()[1]) * 1024
