"""A webhook receiver on loopback: a real server that keeps what it was sent and answers by a script."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import h11
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator


@attrs.frozen
class Received:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@attrs.define
class Answer:
    """What to answer; `drip` leaves the body unfinished for ever."""

    status: int = 204
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    raw: bytes | None = None  # sent in place of an answer
    then: bytes = b""  # sent a moment after `raw`
    mute: bool = False  # never answers
    drip: bool = False


@attrs.define
class Receiver:
    """Answers by its script, then always 204."""

    port: int
    scheme: str = "http"
    script: list[Answer] = attrs.field(factory=list)
    received: list[Received] = attrs.field(factory=list)
    arrived: trio.Event = attrs.field(factory=trio.Event)
    cut_off: int = 0  # answers that could not be written to their end

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    async def serve(self, stream: Any) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            async with stream:
                if (request := await _read(stream)) is None:
                    return
                self.received.append(request)
                self.arrived.set()
                await self._answer(stream, self.script.pop(0) if self.script else Answer())

    async def _answer(self, stream: Any, answer: Answer) -> None:
        if answer.mute:
            await trio.sleep_forever()
        if answer.raw is not None:
            await stream.send_all(answer.raw)
            await trio.sleep(0.05)
            await stream.send_all(answer.then)
            return
        length = len(answer.body) + (1000 if answer.drip else 0)
        head = {"Content-Length": str(length)} | answer.headers
        lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in head.items())]
        try:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + answer.body)
            if answer.drip:
                await trio.sleep_forever()
        except trio.BrokenResourceError:
            self.cut_off += 1


async def _read(stream: Any) -> Received | None:
    connection = h11.Connection(h11.SERVER)
    request, body = None, b""
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(65536))
            case h11.Request() as request:
                pass
            case h11.Data(data):
                body += data
            case h11.EndOfMessage() if request is not None:
                headers = {name.decode(): value.decode() for name, value in request.headers}
                return Received(request.method.decode(), request.target.decode(), headers, body)
            case _:
                return None


@contextlib.asynccontextmanager
async def receiver(*script: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Serve on a free port of 127.0.0.1 for as long as the block."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    served = Receiver(port, scheme="https" if tls else "http", script=list(script))
    listeners: list[Any] = [trio.SSLListener(listener, tls, https_compatible=True) if tls else listener]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, served.serve, listeners)
        yield served
        nursery.cancel_scope.cancel()
