"""Stand-ins for the clock and the network, for the test kit: time is virtual, connections are in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import trio
import trio.testing

from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason
from monitor.net import ANY_ADDRESS

if TYPE_CHECKING:
    from dns.message import QueryMessage

    from monitor.net import TLS, Addressing, Datagrams, Echoes, Stream, Trace, Vet
    from monitor.net.nameservers import NameServer

Server: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]
"""The other side of every connection that the check opens; the connection ends when it returns."""

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock when the probe begins."""

_IP = "192.0.2.1"  # an address for documentation (RFC 5737)


class VirtualClock:
    """The loop's virtual clock, and a wall clock that goes with it."""

    def __init__(self) -> None:
        self._began = trio.current_time()

    def monotonic(self) -> float:
        return trio.current_time()

    def wall(self) -> datetime:
        return BEGIN + timedelta(milliseconds=(trio.current_time() - self._began) * 1000 // 1)

    def stalled(self) -> float:
        return 0.0


class MemoryNet:
    """See `monitor.net.Net`: every connection leads to *server*, in memory."""

    drive = None

    def __init__(self, servers: trio.Nursery, server: Server | None) -> None:
        self._servers = servers
        self._server = server

    async def connect(
        self,
        host: str,
        port: int,
        *,
        trace: Trace,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
    ) -> _Stream:
        await trio.lowlevel.checkpoint()
        trace.phase("resolve")
        if vet is not None:
            vet(_IP)
        trace.phase("connect")
        if self._server is None:
            raise ProbeError(
                Reason(Code.CONNECT, "connect", f"connection refused ({addressing.address or host}:{port})")
            )
        trace.facts["ip"] = _IP
        if tls is not None:
            trace.phase("tls")
            trace.facts["tls_version"] = "1.3"
        ours, theirs = trio.testing.memory_stream_pair()
        self._servers.start_soon(_serve, self._server, theirs)
        return _Stream(ours)

    async def start_tls(self, stream: Stream, host: str, *, trace: Trace, tls: TLS) -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        trace.phase("tls")
        trace.facts["tls_version"] = "1.3"

    async def datagrams(
        self,
        host: str,
        port: int,
        *,
        trace: Trace,
        addressing: Addressing = ANY_ADDRESS,
    ) -> Datagrams:
        await self._nobody(f"{addressing.address or host}:{port}", trace)

    async def echoes(self, host: str, *, size: int, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> Echoes:  # noqa: ARG002
        await self._nobody(addressing.address or host, trace)

    async def addresses(self, host: str, *, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> list[str]:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        trace.phase("resolve")
        return [_IP]

    async def ask(
        self,
        name: str,  # noqa: ARG002
        kind: str,  # noqa: ARG002
        *,
        server: NameServer | None,
        recursion: bool,  # noqa: ARG002
        trace: Trace,
        tls: TLS,  # noqa: ARG002
        addressing: Addressing = ANY_ADDRESS,  # noqa: ARG002
    ) -> QueryMessage:
        await self._nobody(str(server or "the system's name server"), trace)

    async def _nobody(self, where: str, trace: Trace) -> NoReturn:
        """What needs no connection is answered by nobody: a server here is a function over a stream."""
        await trio.lowlevel.checkpoint()
        trace.phase("setup")
        raise ProbeError(Reason(Code.CONNECT, "setup", f"connection refused ({where})"))


async def _serve(server: Server, stream: trio.abc.Stream) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the check hung up first
        async with stream:
            await server(stream)


class _Stream:
    """See `monitor.net.Stream`."""

    ip = _IP
    ragged = False
    alpn = None
    is_quiet = True

    def __init__(
        self, stream: trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
    ) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        self._stream.send_stream.close()
        self._stream.receive_stream.close()
