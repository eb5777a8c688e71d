"""The real network: non-blocking sockets under Trio.

Plain sockets, waited for by `monitor.net.driven`, cost a third of what Trio's own streams do, and OpenSSL on
buffers in memory less than Python's `SSLSocket`. Everything ends by a close without ceremony: a probe owes its target
no goodbye, and a deadline leaves no time for one.
"""

from __future__ import annotations

import functools
import importlib
import socket
import ssl
import sys
from functools import cached_property
from typing import TYPE_CHECKING

import attrs
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason
from monitor.core.quantities import seconds_text
from monitor.net import ANY_ADDRESS
from monitor.net.connecting import connect_any
from monitor.net.datagrams import DatagramSocket, open_datagrams
from monitor.net.driven import by_trio
from monitor.net.echoes import EchoSocket, open_echoes
from monitor.net.reactor import drive
from monitor.net.reasons import CERTIFICATE_EXPIRED, from_datagrams, from_tls
from monitor.net.resolve import Resolver, numeric
from monitor.net.stream import SocketStream
from monitor.net.tls import Contexts, note_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dns.message import QueryMessage

    from monitor.net import TLS, Addressing, Stream, Trace, Vet
    from monitor.net.nameservers import NameServer
    from monitor.net.queries import NameServers
    from monitor.net.resolve import Address, LookUp

_EVIDENCE = 1.0  # seconds spent at most on asking what a refused certificate says


class SocketNet:
    """The real `monitor.net.Net`; use one for the whole process."""

    drive = staticmethod(drive)

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        name_servers: Callable[[], Sequence[NameServer]] | None = None,
    ) -> None:
        """Resolve names through *resolver*, by default the operating system's, as are the *name_servers* to `ask`."""
        self._resolver = resolver or Resolver()
        self._system_name_servers = name_servers or _system_name_servers
        self._contexts = Contexts()
        self._loading = trio.CapacityLimiter(1)

    async def connect(
        self,
        host: str,
        port: int,
        *,
        trace: Trace,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
    ) -> Stream:
        """Open a fresh connection; see `Probe.connect`."""
        if addressing.proxy is not None:
            return await self._through_proxy(host, port, trace=trace, tls=tls, addressing=addressing, vet=vet)
        # Before the first phase: making a context, importing dnspython are our own work and nothing of the endpoint's.
        context = None if tls is None else await self._contexts.get(tls)

        addresses = await self._addresses(host, addressing, trace)
        if vet is not None:
            for each in addresses:
                vet(each.ip)

        trace.phase("connect")
        stream = await connect_any(addresses, port)
        trace.facts["ip"] = stream.ip
        if tls is None or context is None:
            return stream

        await self._secure(stream, context, tls.server_name or host, trace, again=(tls, port))
        return stream

    async def _through_proxy(
        self, host: str, port: int, *, trace: Trace, tls: TLS | None, addressing: Addressing, vet: Vet | None
    ) -> Stream:
        from monitor.net.tunnels import tunnel  # noqa: PLC0415 - the library for SOCKS is for those who have a proxy

        context = None if tls is None else await self._contexts.get(tls)
        look_up = await self._look_up_of(addressing)
        stream = await tunnel(self, look_up, host, port, trace=trace, addressing=addressing, vet=vet)
        if tls is None or context is None:
            return stream
        return await self._secure_over(stream, context, tls.server_name or host, trace)

    async def _look_up_of(self, addressing: Addressing) -> LookUp:
        if addressing.dns_resolver is not None:
            await self._load("monitor.net.queries")
        return (self._resolver if addressing.dns_resolver is None else self._name_servers).addresses

    async def _secure_over(self, stream: Stream, context: ssl.SSLContext, name: str, trace: Trace) -> Stream:
        """Speak TLS with whom *stream* leads to, which may be TLS with a proxy."""
        if isinstance(stream, SocketStream) and not stream.is_encrypted:
            await self._secure(stream, context, name, trace)
            return stream
        from monitor.net.nested import NestedStream  # noqa: PLC0415 - for the few whose proxy speaks TLS

        trace.phase("tls")
        try:
            nested = NestedStream(stream, context, name)
            note_certificate(await nested.handshake(), trace)
        except (OSError, ValueError) as exc:
            stream.close()
            raise from_tls(exc, name) from exc
        except BaseException:
            stream.close()
            raise
        return nested

    async def start_tls(self, stream: Stream, host: str, *, trace: Trace, tls: TLS) -> None:
        """Speak TLS on *stream* from now on; see `Probe.start_tls`."""
        assert isinstance(stream, SocketStream)  # noqa: S101 - `connect` gives no other
        context = await self._contexts.get(tls)
        await self._secure(stream, context, tls.server_name or host, trace)

    async def addresses(self, host: str, *, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> list[str]:
        """Every address of *host*; see `Probe.addresses`."""
        return [each.ip for each in await self._addresses(host, addressing, trace)]

    async def datagrams(
        self, host: str, port: int, *, trace: Trace, addressing: Addressing = ANY_ADDRESS
    ) -> DatagramSocket:
        """Open a way for datagrams by UDP; see `Probe.datagrams`."""
        addresses = await self._addresses(host, addressing, trace)
        trace.phase("setup")
        try:
            opened = open_datagrams(addresses, port, kind=socket.SOCK_DGRAM, protocols={})
        except PermissionError as exc:
            raise from_datagrams(exc, host, at_once=True, phase="setup") from exc
        trace.facts["ip"] = opened.ip
        return opened

    async def echoes(self, host: str, *, size: int, trace: Trace, addressing: Addressing = ANY_ADDRESS) -> EchoSocket:
        """Open a way for ICMP echoes; see `Probe.echoes`."""
        addresses = await self._addresses(host, addressing, trace)
        trace.phase("setup")
        opened = open_echoes(addresses, size)
        trace.facts["ip"] = opened.ip
        return opened

    async def ask(
        self,
        name: str,
        kind: str,
        *,
        server: NameServer | None,
        recursion: bool,
        trace: Trace,
        tls: TLS,
        addressing: Addressing = ANY_ADDRESS,
    ) -> QueryMessage:
        """Ask a name server; see `Probe.ask`."""
        await self._load("monitor.net.asking")
        from monitor.net import asking  # noqa: PLC0415 - dnspython is for those who ask by name server

        query = asking.query_for(name, kind, recursion=recursion)
        servers = self._system_name_servers() if server is None else (server,)

        async def addresses(host: str) -> Sequence[Address]:
            return await self._addresses(host, addressing, trace)

        return await asking.ask(query, servers, addresses=addresses, contexts=self._contexts, tls=tls, trace=trace)

    async def _load(self, module: str) -> None:
        """Import *module* off the loop: what takes 0.2 s here would pass for a stall of the monitor."""
        if module not in sys.modules:
            import_module = functools.partial(trio.to_thread.run_sync, limiter=self._loading)
            await by_trio(import_module, importlib.import_module, module)

    async def _addresses(self, host: str, addressing: Addressing, trace: Trace) -> Sequence[Address]:
        """Look *host* up, by whom *addressing* says; phase resolve."""
        if addressing.dns_resolver is None:
            trace.phase("resolve")
            return await self._resolver.addresses(host, addressing, trace)
        look_up = await self._look_up_of(addressing)
        trace.phase("resolve")
        return await by_trio(look_up, host, addressing, trace)

    async def _secure(
        self,
        stream: SocketStream,
        context: ssl.SSLContext,
        name: str,
        trace: Trace,
        again: tuple[TLS, int] | None = None,
    ) -> None:
        """Shake hands; *again*: the setting and the port for a second look at a certificate that is refused."""
        trace.phase("tls")
        try:
            note_certificate(await stream.handshake(context, name), trace)
        except (OSError, ValueError) as exc:
            stream.close()
            if again is None:
                raise from_tls(exc, name) from exc
            tls, port = again
            raise await by_trio(self._refusal, exc, stream.ip, port, name, tls, trace) from exc
        except BaseException:
            stream.close()
            raise

    @cached_property
    def _name_servers(self) -> NameServers:
        from monitor.net.queries import NameServers  # noqa: PLC0415 - dnspython is for those who choose a name server

        return NameServers(self._resolver, self._contexts)

    async def _refusal(
        self, exc: OSError | ValueError, ip: str, port: int, name: str, tls: TLS, trace: Trace
    ) -> ProbeError:
        """Say why a handshake failed; for a refused certificate, look at it once more without trusting it."""
        error = from_tls(exc, name)
        if not isinstance(exc, ssl.SSLCertVerificationError):
            return error
        left = max(0.0, trio.current_effective_deadline() - trio.current_time())
        with trio.move_on_after(min(_EVIDENCE, left / 2)):  # else the deadline would hide what is known already
            context = await self._contexts.get(attrs.evolve(tls, verify=False))
            await _note_untrusted(context, ip, port, name, trace)
        expires_in = trace.facts.get("cert_expires_in")
        if exc.verify_code == CERTIFICATE_EXPIRED and expires_in is not None:
            ago = seconds_text(-expires_in.total_seconds())
            return ProbeError(Reason(Code.TLS, "tls", f"certificate expired {ago} ago ({name})"))
        return error


async def _note_untrusted(context: ssl.SSLContext, ip: str, port: int, name: str, trace: Trace) -> None:
    """Note the facts of a certificate that was refused; best effort."""
    address = numeric(ip)
    assert address is not None  # noqa: S101 - it was connected to a moment ago
    try:
        stream = await connect_any((address,), port)
    except ProbeError:
        return
    try:
        note_certificate(await stream.handshake(context, name), trace)
    except (OSError, ValueError):
        return
    finally:
        stream.close()


def _system_name_servers() -> Sequence[NameServer]:
    from monitor.net.asking import system_name_servers  # noqa: PLC0415 - as above

    return system_name_servers()
