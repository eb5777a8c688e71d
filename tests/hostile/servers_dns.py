"""What a resolver can answer. Names end in `.test`; `look_up` is the resolver's seam and runs in its threads."""

from __future__ import annotations

import collections
import socket
import threading
import time
from typing import TYPE_CHECKING

from support.probes import answers, http

from hostile.rows import OK, Row
from hostile.servers_http import to
from monitor.net.resolve import Address, numeric, system_look_up

if TYPE_CHECKING:
    from hostile.rows import Handler

STUCK = 60
_PAUSE = 0.8  # seconds that lie between two probes at least, and hardly between two look-ups of one
GOOD = answers(http(200))
_V4 = {
    "healthy": ("127.0.0.1",),
    "dead-beside-live": ("127.9.9.9", "127.0.0.1"),
    "seven-dead-beside-live": (*(f"127.9.9.{number}" for number in range(1, 8)), "127.0.0.1"),
    "v6-dead-beside-v4": ("::2", "127.0.0.1"),
    "all-dead": ("127.9.9.8", "127.9.9.9"),
    "nothing": (),
    "metadata": ("169.254.169.254",),
    "partly-metadata": ("127.0.0.1", "169.254.169.254"),
    "mapped-metadata": ("::ffff:169.254.169.254",),
    "nat64-metadata": ("64:ff9b::a9fe:a9fe",),
}
_ERRORS: dict[str, OSError | UnicodeError] = {
    "nxdomain": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "servfail": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "refused": socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
    "nodata": socket.gaierror(getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "No address"),
    "no-memory": socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure"),
    "no-descriptor": OSError(24, "Too many open files"),
    "impossible": UnicodeError("label too long"),
}


class Names:
    """A resolver with moods; `release` lets the stuck look-ups go at the end."""

    def __init__(self) -> None:
        """Begin with nobody asked."""
        self.asked: collections.Counter[str] = collections.Counter()
        self._stuck = threading.Event()
        self._rebound = (False, 0.0)  # whether the last answer was a first one, and when

    def look_up(self, host: str) -> list[Address]:
        """What the resolver's threads call."""
        name = host.removesuffix(".test")
        if name == host:
            return system_look_up(host)
        self.asked[name] += 1
        if name.startswith("stuck"):
            self._stuck.wait()
            return []
        if name == "rebinding":  # the second answer is not like the first
            return _addresses("127.0.0.1" if self._is_first() else "169.254.169.254")
        if name.startswith("healthy"):
            name = "healthy"
        if name in _ERRORS:
            raise _ERRORS[name]
        return _addresses(*_V4[name])

    def _is_first(self) -> bool:
        """In turns; but after a pause it is another probe that asks: the one before may not have come to its second."""
        was_first, at = self._rebound
        now = time.monotonic()
        self._rebound = (not was_first or now - at > _PAUSE, now)
        return self._rebound[0]

    def release(self) -> None:
        """Let go of every look-up that is stuck."""
        self._stuck.set()


def _addresses(*ips: str) -> list[Address]:
    return [address for ip in ips if (address := numeric(ip)) is not None]


def dns(name: str, host: str, code: str, phase: str | None = None, *, serve: Handler = GOOD) -> Row:
    """A row of this table."""
    return Row(name=f"dns: {name}", serve=serve, code=code, phase=phase, host=f"{host}.test")


def sent_to(host: str) -> Handler:
    """A redirect to *host*."""
    return answers(to(f"http://{host}.test/".encode()))


ROWS = [
    dns("NXDOMAIN", "nxdomain", "dns", "resolve"),
    dns("SERVFAIL or time-out", "servfail", "dns", "resolve"),
    dns("REFUSED", "refused", "dns", "resolve"),
    dns("no address", "nodata", "dns", "resolve"),
    dns("an empty answer", "nothing", "dns", "resolve"),
    dns("a name that cannot be", "impossible", "dns", "resolve"),
    dns("no memory of our own", "no-memory", "internal", "resolve"),
    dns("no descriptor of our own", "no-descriptor", "internal", "resolve"),
    dns("a dead address beside one that lives", "dead-beside-live", OK),
    dns("seven dead addresses beside one that lives", "seven-dead-beside-live", OK),
    dns("IPv6 dead beside IPv4", "v6-dead-beside-v4", OK),
    dns("every address dead", "all-dead", "connect", "connect"),
    dns("redirect to a metadata address", "healthy", "policy", None, serve=sent_to("metadata")),
    dns("redirect to a name with one metadata address", "healthy", "policy", None, serve=sent_to("partly-metadata")),
    dns("redirect to a mapped metadata address", "healthy", "policy", None, serve=sent_to("mapped-metadata")),
    dns("redirect to a metadata address behind NAT64", "healthy", "policy", None, serve=sent_to("nat64-metadata")),
    dns("redirect to NXDOMAIN", "healthy", "dns", "resolve", serve=sent_to("nxdomain")),
    dns("rebinding second answer", "rebinding", "policy", None, serve=answers(to(b"/next"))),
    *(dns(f"stuck look-up {number}", f"stuck-{number}", "timeout", "resolve") for number in range(STUCK)),
]
