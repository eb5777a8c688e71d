"""The listening socket, and anycorn behind it inside our nursery.

We accept the connections ourselves and let anycorn speak HTTP and WebSocket on each. anycorn's own `serve` ends
with the first connection that breaks it, or when accepting runs out of descriptors, and it sends under a
shield: a client that does not read would hold up the stop for as long as it likes. Here a connection that
breaks is alone, their number is bounded, a send has a time limit, and a stop is over in `FINISHING` + `GRACE`. When all
places are taken, whoever has made us wait longest loses theirs: who trickles a request, reads nothing or is idle keeps
nobody out. HTTP/2 is not spoken: nobody needs it here without TLS, and it has many more ways to be a burden.
"""

from __future__ import annotations

import errno
import logging
import math
import socket
from typing import TYPE_CHECKING

import trio
from anycorn import Config as AnycornConfig
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import TCPServer
from anycorn.worker_context import WorkerContext

from monitor.config import Listen
from monitor.core.errors import MonitorError, describe
from monitor.web.connection import READ_AT_ONCE, Connection

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)
_protocol_log = log.getChild("protocol")
_protocol_log.setLevel(logging.WARNING)  # it tells of every bad request: whoever sends them would fill the log

MOST_CONNECTIONS = 500
FINISHING = 0.25  # seconds that requests have, when we stop, to be answered
GRACE = 0.75  # seconds that clients have after that to take what is being sent to them
HEADERS_WITHIN = 5.0  # seconds for a request's line and headers, also from one request to the next
SEND_BUFFER = 256 * 1024  # bytes the kernel may hold for a reader that does not read; Linux doubles it
SEND_TIMEOUT = 10.0  # seconds one write may wait for its reader
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
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # inherited, too
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
        self._app = app
        self._config = _anycorn_config()
        self._context = WorkerContext(None)
        self._open: set[Connection] = set()
        self._none_open = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever breaks in it ends it, and nothing else."""
        if len(self._open) >= self._most and not self._made_room():
            return  # which closes it: better a clear no than descriptors that the probes then lack
        connection = Connection(stream, self._send_timeout)
        self._open.add(connection)
        try:
            with connection.scope:
                # starlette's ASGI types are wider than anycorn's, which uses no more of a socket stream than we have.
                app = ASGIWrapper(connection.timed(self._app))  # type: ignore[arg-type]
                await TCPServer(app, self._config, self._context, {}, connection).run()  # type: ignore[arg-type]
        except* Exception as broken:  # noqa: BLE001 - anycorn lets pass what a client sends, and its own bugs
            log.debug("a connection broke: %s", describe(broken))
        finally:
            self._open.remove(connection)
            if not self._open:
                self._none_open.set()

    def _made_room(self) -> bool:
        """End the connection whose client has let us wait longest; False: all are being served."""
        waiting = [each for each in self._open if each.waiting_since < math.inf and not each.scope.cancel_called]
        if not waiting:
            return False
        longest = min(waiting, key=lambda each: each.waiting_since)
        longest.scope.cancel()
        longest.abort()
        return True

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


def _anycorn_config() -> AnycornConfig:
    config = AnycornConfig()
    config.accesslog = None
    config.errorlog = _protocol_log
    config.keep_alive_timeout = HEADERS_WITHIN
    config.h11_max_incomplete_size = READ_AT_ONCE
    config.include_server_header = False
    config.websocket_max_message_size = 4096  # clients have nothing to say
    config.websocket_permessage_deflate = False
    config.websocket_ping_interval = PING_INTERVAL
    return config
