"""The live WebSocket: every observation and transition as it happens, one JSON object a message.

A client that falls behind is closed with 1013 and catches up by `/api/v1/transitions`. What clients send is
read and thrown away. The server's own pings keep an idle connection open, or find out that it is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.live import Observed
from monitor.web.answers import problem
from monitor.web.objects import encode, live_json

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from monitor.live import Event
    from monitor.web import Face
    from monitor.web.access import Caller
    from monitor.web.gate import Gate
    from monitor.web.uptimes import Uptimes

MOST_CLIENTS = 100
CLOSING_TIME = 1.0  # seconds a close frame may take when we stop

_GOING_AWAY = (1001, "the monitor is stopping")
_NO_LONGER_ALLOWED = (1008, "no longer allowed")
_BEHIND = (1013, "fell behind: catch up by /api/v1/transitions")


class Live:
    """Serves the live feed to a bounded number of clients."""

    def __init__(self, face: Face, uptimes: Uptimes, gate: Gate) -> None:
        """Begin without clients."""
        self._face = face
        self._uptimes = uptimes
        self._gate = gate
        self._clients = 0
        self._encoded: tuple[Event | None, str] = (None, "")

    async def serve(self, socket: WebSocket, _caller: Caller) -> None:
        """Serve one client for as long as it stays."""
        if self._clients >= MOST_CLIENTS:
            await socket.send_denial_response(problem(503, f"{MOST_CLIENTS} clients already watch the live feed."))
            return
        self._clients += 1
        try:
            await self._stream(socket)
        finally:
            self._clients -= 1

    async def _stream(self, socket: WebSocket) -> None:
        with self._face.feed.listen() as events:  # before the client is told yes: it then misses nothing
            await socket.accept()
            code, why = _GOING_AWAY
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_until_gone, socket, nursery.cancel_scope)
                    code, why = await self._send_all(socket, events)
                    nursery.cancel_scope.cancel()
            finally:
                with trio.move_on_after(CLOSING_TIME, shield=True):
                    await socket.close(code, why)

    async def _send_all(self, socket: WebSocket, events: trio.MemoryReceiveChannel[Event]) -> tuple[int, str]:
        """Send until there is a reason not to: a close code and a sentence."""
        config = self._face.config
        async for event in events:
            if self._face.config is not config:  # reloaded: the token may be another, or the rule
                config = self._face.config
                if not self._gate.again(socket.scope).reads:
                    return _NO_LONGER_ALLOWED
            await self._uptimes.refresh()
            await socket.send_text(self._text(event))
        return _BEHIND

    def _text(self, event: Event) -> str:
        """Encode *event* once for all the clients that it goes to, one after the other."""
        latest, text = self._encoded
        if latest is not event:
            message = live_json(event, self._face.flags, self._face.clock.wall(), self._face.config.external_url)
            if isinstance(event, Observed):
                message["data"]["uptime"] = self._uptimes.of(event.endpoint.name)
            text = encode(message).decode()
            self._encoded = (event, text)
        return text


async def _until_gone(socket: WebSocket, scope: trio.CancelScope) -> None:
    """Wait for the client to leave, and end *scope* then."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()
