"""The listening socket, and anycorn behind it inside our nursery.

We accept the connections ourselves and let anycorn speak HTTP and WebSocket on each. anycorn's own `serve` ends
with the first connection that breaks it, or when accepting runs out of descriptors, and it sends under a
shield: a client that does not read would hold up the stop for as long as it likes. Here a connection that
breaks is alone, their number is bounded, a send has a time limit, and a stop is over in `FINISHING` + `GRACE`.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import trio
from anycorn import Config as AnycornConfig
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import TCPServer
from anycorn.worker_context import WorkerContext

from monitor.config import Listen
from monitor.core.errors import MonitorError, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 500
FINISHING = 0.25  # seconds that requests have, when we stop, to be answered
GRACE = 0.75  # seconds that clients have after that to take what is being sent to them
SEND_TIMEOUT = 10.0  # seconds one write may wait for its reader
LINGERING = 1.0  # seconds to answer a client that has stopped sending
PING_INTERVAL = 20.0  # seconds between pings on a WebSocket
UNACKNOWLEDGED = 10_000  # milliseconds until a peer that vanished is given up (TCP_USER_TIMEOUT)

_WHY = {
    errno.EADDRINUSE: "the port is in use; is another monitor running?",
    errno.EACCES: "this needs a privilege that the monitor does not have; ports from 1024 on need none",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
Listener = socket.socket


def listen(where: Listen) -> Listener:
    """Open the listening socket, on exactly one address and port; a name may stand for one, IPv4 first.

    Raises MonitorError. A name that has to be looked up blocks for as long as that takes.
    """
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise MonitorError(f"cannot listen on {where}: the host name does not resolve ({describe(exc)})") from exc
    family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    try:
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; accepted connections inherit it
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
            listener.bind(address)
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as exc:
        why = _WHY.get(getattr(exc, "errno", None) or 0) or getattr(exc, "strerror", None) or describe(exc)
        raise MonitorError(f"cannot listen on {where}: {why}") from exc
    return listener


def bound(listener: socket.socket) -> Listen:
    """Where *listener* really listens: the address, and the port that was given for 0."""
    host, port = listener.getsockname()[:2]
    return Listen(host, port)


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    most_connections: int = MOST_CONNECTIONS,
    send_timeout: float = SEND_TIMEOUT,
    task_status: trio.TaskStatus[Listen] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve *app* on *listener* until cancelled, and close it; started with the address it is bound to."""
    where = bound(listener)
    connections = _Connections(app, most_connections, send_timeout)
    async with trio.open_nursery() as nursery:
        try:
            accepting = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
            task_status.started(where)
            await trio.serve_listeners(connections.serve, [accepting], handler_nursery=nursery)
        finally:
            await connections.end()


class _Connections:
    """All open connections."""

    def __init__(self, app: ASGIApp, most: int, send_timeout: float) -> None:
        self._most = most
        self._send_timeout = send_timeout
        self._app = ASGIWrapper(app)  # type: ignore[arg-type]  # starlette's ASGI types are wider than anycorn's
        self._config = _anycorn_config()
        self._context = WorkerContext(None)
        self._open: set[_Connection] = set()
        self._none_open = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever breaks in it ends it, and nothing else."""
        if len(self._open) >= self._most:
            return  # which closes it: better a clear no than descriptors that the probes then lack
        connection = _Connection(stream, self._send_timeout)
        self._open.add(connection)
        try:
            with connection.scope:
                # It asks for a socket stream and uses no more of it than _Connection has.
                await TCPServer(self._app, self._config, self._context, {}, connection).run()  # type: ignore[arg-type]  # see above
        except* Exception as broken:  # noqa: BLE001 - anycorn lets pass what a client sends, and its own bugs
            log.info("a connection broke: %s", describe(broken))
        finally:
            self._open.remove(connection)
            if not self._open:
                self._none_open.set()

    async def end(self) -> None:
        """End them all: first those that wait, then those at work, then those that will not."""
        with trio.CancelScope(shield=True):
            await self._context.terminated.set()  # the ones between two requests close
            await self._gone_within(FINISHING)
            for connection in self._open:
                connection.scope.cancel()  # the live feeds say goodbye
            await self._gone_within(GRACE)
        for connection in self._open:
            connection.abort()

    async def _gone_within(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while self._open:
                self._none_open = trio.Event()
                await self._none_open.wait()


class _Connection(anyio.abc.ByteStream):
    """A connection as anycorn wants it, with limits on how long it may wait."""

    def __init__(self, stream: trio.SocketStream, send_timeout: float) -> None:
        self.scope = trio.CancelScope(shield=True)  # `_Connections.end` says when it is over
        self._stream = stream
        self._send_timeout = send_timeout

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {anyio.abc.SocketAttribute.raw_socket: lambda: self._stream.socket}

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = b""
        try:
            with _as_anyio():
                data = bytes(await self._stream.receive_some(max_bytes))
        finally:
            if not data:
                # It may still read an answer, but anycorn's timers would keep the descriptor for many seconds.
                self.scope.deadline = trio.current_time() + LINGERING
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        try:
            with _as_anyio(), trio.fail_after(self._send_timeout):
                await self._stream.send_all(item)
        except anyio.BrokenResourceError:
            self.scope.cancel()  # anycorn would go on reading
            raise

    async def send_eof(self) -> None:
        with _as_anyio():
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        """Break it: a send under anycorn's shield notices, too."""
        with contextlib.suppress(OSError):
            self._stream.socket.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _as_anyio() -> Iterator[None]:
    """Raise anyio's errors for trio's."""
    try:
        yield
    except (trio.BrokenResourceError, trio.TooSlowError) as exc:
        raise anyio.BrokenResourceError from exc
    except trio.ClosedResourceError as exc:
        raise anyio.ClosedResourceError from exc
    except trio.BusyResourceError as exc:
        raise anyio.BusyResourceError("using") from exc


def _anycorn_config() -> AnycornConfig:
    config = AnycornConfig()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.websocket_max_message_size = 4096  # clients have nothing to say
    config.websocket_permessage_deflate = False
    config.websocket_ping_interval = PING_INTERVAL
    return config
