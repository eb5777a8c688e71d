"""Names to addresses: the system's resolver in threads of our own number.

One look-up per name is under way at a time, whoever asks; who stops waiting abandons it, and it goes on for the
others. When every worker is busy a look-up queues, and says through the trace that the wait is our own trouble.
"""

from __future__ import annotations

import collections
import functools
import ipaddress
import socket
from typing import TYPE_CHECKING

import attrs
import outcome
import trio

from monitor.core.model import Code
from monitor.net.driven import by_trio
from monitor.net.reasons import from_lookup, probe_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from monitor.net import Addressing, Trace

    LookUp = Callable[[str, Addressing, Trace], Awaitable[Sequence["Address"]]]
    """Every address of a host, best first; raises ProbeError."""

WORKERS = 64
_MOST_KEPT = 4096  # names


@attrs.frozen
class Address:
    """One address to connect to."""

    family: socket.AddressFamily
    ip: str
    scope: int = 0  # of a link-local IPv6 address

    def sockaddr(self, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """What `socket.connect` takes."""
        return (self.ip, port) if self.family == socket.AF_INET else (self.ip, port, 0, self.scope)


@attrs.define(eq=False)
class _LookUp:
    host: str
    started: bool = False
    done: trio.Event = attrs.field(factory=trio.Event)
    found: Sequence[Address] = ()
    error: BaseException | None = None


class Resolver:
    """The system's resolver; *look_up* is called in a thread with a host name and may block."""

    def __init__(self, look_up: Callable[[str], list[Address]] | None = None, *, workers: int = WORKERS) -> None:
        """Use at most *workers* threads at once."""
        self._look_up = look_up or system_look_up
        self._free = workers
        self._under_way: dict[str, _LookUp] = {}
        self._queue: collections.deque[_LookUp] = collections.deque()
        self._kept: dict[str, tuple[float, Sequence[Address]]] = {}  # when, and what was found

    async def addresses(self, host: str, addressing: Addressing, trace: Trace) -> Sequence[Address]:
        """Every address of *host* that *addressing* allows, best first. Raises ProbeError."""
        host = addressing.address or host
        literal = numeric(host)
        found = (literal,) if literal else await self._looked_up(host, addressing.dns_ttl, trace)
        return found if addressing.ip_version is None else of_version(addressing.ip_version, found, host)

    async def _looked_up(self, host: str, ttl: float, trace: Trace) -> Sequence[Address]:
        """Every address of the name *host*; an answer up to *ttl* seconds old will do."""
        if ttl > 0 and (kept := self._kept.get(host)) is not None and trio.current_time() - kept[0] <= ttl:
            return kept[1]
        found = await self._asked(host, trace)
        if ttl > 0:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[host] = (trio.current_time(), found)
        return found

    async def _asked(self, host: str, trace: Trace) -> Sequence[Address]:
        look_up = self._under_way.get(host)
        if look_up is None:
            try:
                host.encode("idna")  # as the system's resolver has it done; what cannot be a name takes no worker
            except UnicodeError as exc:
                raise from_lookup(exc, host) from exc
            look_up = self._under_way[host] = _LookUp(host)
            self._queue.append(look_up)
            self._start_what_can()
        if not look_up.started:
            trace.own_trouble = "no DNS worker was free in time"
        await by_trio(look_up.done.wait)
        trace.own_trouble = None
        match look_up.error:
            case OSError() | UnicodeError() as error:
                raise from_lookup(error, host) from error
            case BaseException() as bug:
                raise bug
        if not look_up.found:
            raise probe_error(Code.DNS, f"the name has no address: {host}", "resolve")
        return look_up.found

    def _start_what_can(self) -> None:
        while self._free and self._queue:
            self._free -= 1
            look_up = self._queue.popleft()
            look_up.started = True
            token = trio.lowlevel.current_trio_token()

            def deliver(
                result: outcome.Outcome[list[Address]],
                look_up: _LookUp = look_up,
                token: trio.lowlevel.TrioToken = token,
            ) -> None:
                try:
                    token.run_sync_soon(self._finish, look_up, result)
                except trio.RunFinishedError:
                    return  # nobody is left to tell

            trio.lowlevel.start_thread_soon(
                functools.partial(self._look_up, look_up.host), deliver, name=f"dns:{look_up.host}"
            )

    def _finish(self, look_up: _LookUp, result: outcome.Outcome[list[Address]]) -> None:
        # Taken apart, because an outcome can be unwrapped once only and many may wait for this one.
        match result:
            case outcome.Value():
                look_up.found = result.value
            case outcome.Error():
                look_up.error = result.error
        look_up.done.set()
        del self._under_way[look_up.host]
        self._free += 1
        self._start_what_can()


def of_version(version: int, found: Sequence[Address], host: str) -> Sequence[Address]:
    """Those of *found* that are of IP *version*. Raises ProbeError where there is none."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    fitting = [each for each in found if each.family == family]
    if not fitting:
        raise probe_error(Code.DNS, f"expected an IPv{version} address, there is none: {host}", "resolve")
    return fitting


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the address families, beginning with that of the first (RFC 8305, 4)."""
    first = [each for each in addresses if each.family == addresses[0].family]
    second = [each for each in addresses if each.family != addresses[0].family]
    mixed = []
    while first or second:
        mixed += first[:1] + second[:1]
        first, second = first[1:], second[1:]
    return mixed


@functools.lru_cache(maxsize=4096)
def numeric(host: str) -> Address | None:
    """*host* as an address, if it is one; kept, because the same few are asked for again and again."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if parsed.version == 4:
        return Address(socket.AF_INET, host)
    ip, _, zone = host.partition("%")
    if not zone:
        return Address(socket.AF_INET6, ip)
    try:
        return Address(socket.AF_INET6, ip, int(zone) if zone.isdigit() else socket.if_nametoindex(zone))
    except OSError:
        return Address(socket.AF_INET6, ip)


def system_look_up(host: str) -> list[Address]:
    """Ask the operating system, in its order of preference. Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [
        Address(family, str(sockaddr[0]).partition("%")[0], sockaddr[3] if len(sockaddr) == 4 else 0)
        for family, _, _, _, sockaddr in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]
