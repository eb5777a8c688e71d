"""The real network: non-blocking sockets under Trio.

Plain sockets with `wait_readable` and `wait_writable` cost a third of what Trio's own streams do, and
`SSLContext.wrap_socket` a third less than `SSLStream`. Everything ends by a close without ceremony: a probe owes
its target no goodbye, and a deadline leaves no time for one.
"""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import attrs
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason
from monitor.core.quantities import seconds_text
from monitor.net import ANY_ADDRESS
from monitor.net.reasons import (
    CERTIFICATE_EXPIRED,
    cut_off,
    from_connect,
    from_stream,
    from_tls,
    own_trouble,
)
from monitor.net.resolve import Resolver, interleaved, numeric
from monitor.net.tls import Contexts, note_certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.net import TLS, Addressing, Stream, Trace, Vet
    from monitor.net.queries import NameServers
    from monitor.net.resolve import Address

CHUNK = 65536
_HEAD_START = 0.25  # seconds an address gets before the next is tried beside it (RFC 8305)
_EAGER_READS = 8  # reads that found data waiting before other tasks get their turn
_HEAVY = 0.001  # seconds of work on one full buffer from which on a flood queues with its like
# The C class alone: Python's own on top of it costs a tenth of a probe.
Connection = socket.SocketType
# Linux makes a socket non-blocking as it is made; elsewhere it takes a second call.
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_STREAM = socket.SOCK_STREAM | _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN})
_UNDER_WAY = _IN_PROGRESS | {errno.EALREADY}
_TELLS_WHEN_ASKED = sys.platform == "linux"  # what a second `connect` does there is documented; elsewhere it varies
_EVIDENCE = 1.0  # seconds spent at most on asking what a refused certificate says


class SocketStream:
    """A connected socket, with TLS or without; see `monitor.net.Stream`."""

    __slots__ = (
        "_answer_due",
        "_eager",
        "_mouthful_at",
        "_sends",
        "_socket",
        "_swallowed",
        "_waiting",
        "ip",
        "ragged",
    )

    def __init__(self, connection: Connection, ip: str) -> None:
        """Own *connection*, which must be non-blocking."""
        self.ip = ip
        self.ragged = False
        self._socket = connection
        self._sends = 0
        self._answer_due = False
        self._eager = 0  # reads that found data waiting
        self._swallowed = 0  # bytes they gave since others had a turn
        self._mouthful_at = float("inf")  # when a full buffer of such bytes was handed out
        self._waiting = 0  # tasks that wait for the socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of *data*."""
        self._sends += 1
        if self._sends == 2:
            # The first goes out at once by itself; from the second on Nagle would hold back what is small.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await self._writable()
            except ssl.SSLWantReadError:
                await self._readable()
            except OSError as exc:
                self._fail(exc)
        self._answer_due = True

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until `send_all` might not block."""
        await self._writable()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what is there; `b""` at the end of the stream."""
        if self._answer_due:
            # Nothing can have come yet: a look would only cost a system call and an exception.
            self._answer_due = False
            if not isinstance(self._socket, ssl.SSLSocket):
                await self._readable()
        while True:
            try:
                data = self._socket.recv(max_bytes or CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._eager = self._swallowed = 0
                await self._readable()
            except ssl.SSLWantWriteError:
                await self._writable()
            except ssl.SSLZeroReturnError:
                return b""
            except OSError as exc:
                if not cut_off(exc):
                    self._fail(exc)
                self.ragged = True
                return b""
            else:
                self._eager += 1
                self._swallowed += len(data)
                if self._eager >= _EAGER_READS or self._swallowed >= (max_bytes or CHUNK):
                    await self._give_way(max_bytes or CHUNK)
                return data

    async def _give_way(self, mouthful: int) -> None:
        """Let deadlines and others have their turn, however fast the peer sends."""
        self._eager = 0
        if self._swallowed < mouthful:
            await trio.lowlevel.checkpoint()
            return
        self._swallowed = 0
        if trio.current_time() - self._mouthful_at > _HEAVY:
            await _take_turn()
        else:
            await trio.lowlevel.checkpoint()
        self._mouthful_at = trio.current_time()

    async def _readable(self) -> None:
        self._waiting += 1
        try:
            await trio.lowlevel.wait_readable(self._socket)
        finally:
            self._waiting -= 1

    async def _writable(self) -> None:
        self._waiting += 1
        try:
            await trio.lowlevel.wait_writable(self._socket)
        finally:
            self._waiting -= 1

    def _fail(self, exc: OSError) -> NoReturn:
        """Raise what Trio's streams raise, with the reason as its cause."""
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError from exc
        raise trio.BrokenResourceError from from_stream(exc, None)

    async def handshake(self, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        """Speak TLS from now on. Raises OSError or ValueError, as `ssl` does."""
        # `ssl` wants the whole class; plain connections do without its layers. Told the kind, it need not ask for it.
        plain = socket.socket(self._socket.family, socket.SOCK_STREAM, 0, fileno=self._socket.detach())
        plain.setblocking(False)
        secured = context.wrap_socket(
            plain, server_hostname=host.encode("ascii"), do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._socket = secured
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(secured)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(secured)
            else:
                return secured

    def close(self) -> None:
        """Close; never blocks."""
        if self._socket.fileno() >= 0:
            if self._waiting:  # else there is nobody to tell, and telling costs a system call
                trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def aclose(self) -> None:
        """Close, and let others have their turn."""
        self.close()
        await trio.lowlevel.checkpoint()


_turns: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("turns of floods")


async def _take_turn() -> None:
    """Wait until it is this flood's turn: however many there are, the loop comes round in the time that one takes.

    For what takes long to look at: tiny chunks, empty frames. The work comes after this, when what was read is
    handed out, so the lock is given on one round of the loop after it was taken.
    """
    try:
        turns = _turns.get()
    except LookupError:
        turns = trio.Lock()
        _turns.set(turns)
    async with turns:
        await trio.lowlevel.checkpoint()


class SocketNet:
    """The real `monitor.net.Net`; use one for the whole process."""

    def __init__(self, resolver: Resolver | None = None) -> None:
        """Resolve names through *resolver*, by default the operating system's."""
        self._resolver = resolver or Resolver()
        self._contexts = Contexts()

    async def connect(
        self,
        host: str,
        port: int,
        *,
        trace: Trace,
        tls: TLS | None = None,
        addressing: Addressing = ANY_ADDRESS,
        vet: Vet | None = None,
    ) -> SocketStream:
        """Open a fresh connection; see `Probe.connect`."""
        # Before the first phase: making a context, importing dnspython are our own work and nothing of the endpoint's.
        context = None if tls is None else await self._contexts.get(tls)
        resolver = self._resolver if addressing.dns_resolver is None else self._name_servers

        trace.phase("resolve")
        addresses = await resolver.addresses(host, addressing, trace)
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

    async def start_tls(self, stream: Stream, host: str, *, trace: Trace, tls: TLS) -> None:
        """Speak TLS on *stream* from now on; see `Probe.start_tls`."""
        assert isinstance(stream, SocketStream)  # noqa: S101 - `connect` gives no other
        context = await self._contexts.get(tls)
        await self._secure(stream, context, tls.server_name or host, trace)

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
            raise await self._refusal(exc, stream.ip, port, name, tls, trace) from exc
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


async def connect_any(addresses: Sequence[Address], port: int) -> SocketStream:
    """Connect to the first of *addresses* that answers, each with a head start over the next (RFC 8305).

    Raises ProbeError: that of the first address, as the one that was preferred.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0], port)

    winner: SocketStream | None = None
    errors: dict[int, ProbeError] = {}

    async def attempt(index: int, failed: trio.Event) -> None:
        nonlocal winner
        try:
            stream = await _connect(ordered[index], port)
        except ProbeError as exc:
            errors[index] = exc
            failed.set()
            return
        if winner is None:
            winner = stream
            attempts.cancel_scope.cancel()
        else:
            stream.close()

    ordered = interleaved(addresses)
    try:
        async with trio.open_nursery() as attempts:
            for index in range(len(ordered)):
                failed = trio.Event()
                attempts.start_soon(attempt, index, failed)
                with trio.move_on_after(_HEAD_START):
                    await failed.wait()
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    if winner is None:
        raise errors[min(errors)]
    return winner


async def _connect(address: Address, port: int) -> SocketStream:
    try:
        connection = Connection(address.family, _STREAM)
    except OSError as exc:
        raise own_trouble(exc) or from_connect(exc.errno or 0, _where(address, port), at_once=True) from exc
    if not _NONBLOCK:
        connection.setblocking(False)
    stream = SocketStream(connection, address.ip)
    try:
        where = address.sockaddr(port)
        number = connection.connect_ex(where)
        at_once = number != 0
        if number in _IN_PROGRESS:
            at_once = False
            if _TELLS_WHEN_ASKED:
                # Over loopback it is there by now, and to ask again costs less than to wait for what has happened.
                number = connection.connect_ex(where)
            if number in _UNDER_WAY:
                await trio.lowlevel.wait_writable(connection)
                number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number != 0:
            raise from_connect(number, _where(address, port), at_once=at_once)
    except OSError as exc:
        stream.close()
        raise from_stream(exc, "connect") from exc
    except BaseException:
        stream.close()
        raise
    return stream


def _where(address: Address, port: int) -> str:
    return f"[{address.ip}]:{port}" if address.family == socket.AF_INET6 else f"{address.ip}:{port}"
