"""A conversation over a WebSocket: handshake, steps, close; for the check `websocket`.

trio-websocket runs on a stream of the engine's, in a nursery of its own, so that nothing it does reaches further.
What it leaves open is settled here:

    a server that hangs up, or answers something else, during the handshake leaves its opener waiting: our stream
    looks at the bytes and the end of the stream itself, and raises in its reader
    its queue, when full, keeps pongs from being seen: a task takes messages out all the time
    its `ping` waits for ever on a connection that is closed: the same task ends that wait

This module costs Trio and more, so `websocket` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs
import h11
import trio
import trio_websocket
from wsproto.connection import ConnectionState
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from checks.documents import parsed
from monitor.api import Code, Duration, Expectations, Probe, ProbeError, Reason, Stream, describe, seconds_text

if TYPE_CHECKING:
    from trio_websocket import CloseReason, WebSocketConnection

    from checks.steps import Step

_ABNORMAL = 1006  # what stands for a close code where none came
_TOO_BIG = 1009
_HEAD_LIMIT = 16 * 1024  # what h11 takes at most, too
_MESSAGE_LIMIT = 1024 * 1024  # bytes of one message
_MOST_WAITING = 4 * 1024 * 1024  # bytes of messages that no step has looked at yet
_MOST_MESSAGES = 10_000
_MOUTHFUL = 1024  # bytes for trio-websocket at once: five hundred empty frames, which take it 15 ms


@attrs.frozen(kw_only=True)
class Handshake:
    """What to ask for."""

    hostname: str
    port: int
    host: str  # for the header
    resource: str
    subprotocols: tuple[str, ...]
    headers: list[tuple[bytes, bytes]]


class Conversation:
    """One visit over *stream*; every failure is a ProbeError."""

    def __init__(
        self, probe: Probe, stream: Stream, steps: tuple[Step, ...], expectations: tuple[Expectations, ...]
    ) -> None:
        """Take over *stream*; *expectations* has one for each of *steps*."""

        self._probe = probe
        self._stream = _WatchedStream(stream)
        self._steps = tuple(zip(steps, expectations, strict=True))
        # Messages wait here only for steps that look at them; the bounds hold what a flood may cost.
        self._wanted = any(step.expect is not None for step in steps)
        self._inbox, self._messages = trio.open_memory_channel[str | bytes](_MOST_MESSAGES)
        self._waiting = 0
        self._pinging = False

    async def hold(self, handshake: Handshake) -> None:
        """Shake hands, go through the steps, close."""

        finished = False
        try:
            async with trio.open_nursery() as own:
                connection = await self._open(own, handshake)
                own.start_soon(self._drain, connection)
                await self._talk(connection)
                await self._close(connection)
                finished = True
                own.cancel_scope.cancel()
        except* (
            trio_websocket.HandshakeError,
            trio_websocket.ConnectionClosed,
            LocalProtocolError,
            RemoteProtocolError,
            h11.ProtocolError,
        ) as group:
            self._fail(*_ending(group.exceptions[0]))
        finally:
            self._stream.close()
        if not finished:
            self._fail(Code.PROTOCOL, "the server broke the protocol while the connection was closing")

    async def _open(self, own: trio.Nursery, handshake: Handshake) -> WebSocketConnection:

        self._probe.phase("handshake")
        connection = await trio_websocket.wrap_client_stream(
            own,
            cast("trio.SocketStream", self._stream),
            handshake.host,
            handshake.resource,
            subprotocols=handshake.subprotocols,
            extra_headers=handshake.headers,
            max_message_size=_MESSAGE_LIMIT,
            receive_buffer_size=None,
        )
        self._probe.facts["headers"] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in connection.handshake_headers
        }
        self._probe.facts["subprotocol"] = connection.subprotocol
        self._probe.facts["messages"] = 0
        return connection

    async def _drain(self, connection: WebSocketConnection) -> None:
        """Take every message out of trio-websocket's queue as it comes."""

        with self._inbox:
            while True:
                try:
                    message = await connection.get_message()
                except trio_websocket.ConnectionClosed:
                    break
                self._probe.facts["messages"] += 1
                if not self._wanted:
                    continue
                self._waiting += len(message)
                try:
                    self._inbox.send_nowait(message)
                except trio.WouldBlock:
                    self._fail(Code.LIMIT, f"more than {_MOST_MESSAGES:,} messages came that no step had read yet")
                except trio.BrokenResourceError:
                    continue  # the steps are done
                if self._waiting > _MOST_WAITING:
                    self._fail(Code.LIMIT, f"more than {_MOST_WAITING >> 20} MiB of messages came unread")
        if self._pinging:
            self._fail(*_closing(connection.closed))

    async def _talk(self, connection: WebSocketConnection) -> None:
        self._probe.phase("dialogue")
        if not self._steps:
            await self._ping(connection, None)
        for step, expectations in self._steps:
            if step.send is not None:
                await connection.send_message(step.send)
            elif step.ping:
                await self._ping(connection, step.within)
            else:
                await self._expect(connection, step, expectations)
        self._messages.close()

    async def _ping(self, connection: WebSocketConnection, within: Duration | None) -> None:

        began = self._probe.monotonic()
        with trio.move_on_after(within or float("inf")) as patience:
            self._pinging = True
            await connection.ping()
            self._pinging = False
        if within is not None and patience.cancelled_caught:
            self._fail(Code.TIMEOUT, f"no pong within {seconds_text(within)}")
        self._probe.facts["ping_rtt"] = timedelta(seconds=self._probe.monotonic() - began)

    async def _expect(self, connection: WebSocketConnection, step: Step, expectations: Expectations) -> None:

        skipped = 0
        with trio.move_on_after(step.within or float("inf")):
            while True:
                try:
                    message = await self._messages.receive()
                except trio.EndOfChannel:
                    code, text = _closing(connection.closed)
                    self._fail(code, f"{text} before a message with {step.expect}")
                self._waiting -= len(message)
                complaint = expectations.first_false(_facts(message, expectations))
                if complaint is None:
                    return
                if step.next:
                    self._fail(Code.EXPECTATION, complaint)
                skipped += 1
        others = f", {skipped} others came" if skipped else ""
        self._fail(Code.TIMEOUT, f"no message with {step.expect} within {seconds_text(step.within or 0)}{others}")

    async def _close(self, connection: WebSocketConnection) -> None:

        self._probe.phase("close")
        began = self._probe.monotonic()
        await connection.aclose()
        self._probe.facts["close_latency"] = timedelta(seconds=self._probe.monotonic() - began)
        # `closed` says 1000 as soon as we ask for the close; only this says that the server answered.
        answered = connection._wsproto.state is ConnectionState.CLOSED  # noqa: SLF001 - as above
        closed = connection.closed if answered else None
        self._probe.facts["close_code"] = None if closed is None else closed.code
        if closed is None or closed.code == _ABNORMAL:
            self._fail(Code.PROTOCOL, "the server dropped the connection without a close frame")

    def _fail(self, code: Code, message: str) -> NoReturn:
        raise ProbeError(Reason(code, self._probe.current_phase, message))


class _WatchedStream:
    """Passes bytes through to trio-websocket; looks at the handshake's answer, and notices its early end."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._head: bytes | None = b""  # what has come of the answer's head; None: it is whole

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # Between two reads trio-websocket lets nobody else have a turn, so it gets little at once.
        try:
            data = await self._stream.receive_some(min(max_bytes or _MOUTHFUL, _MOUTHFUL))
        except trio.BrokenResourceError:
            self._end()
            raise
        if not data:
            self._end()
        elif self._head is not None:
            self._look(self._head + data)
        return data

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._end()
            raise

    def _end(self) -> None:
        # With a whole head trio-websocket has made up its mind already, and will say what it makes of the end.
        if self._head is not None:
            text = "the server closed the connection during the handshake"
            raise ProbeError(Reason(Code.PROTOCOL, "handshake", text))

    def _look(self, head: bytes) -> None:
        """Refuse any answer but 101 at once, however long its body may be."""
        if b"\r\n\r\n" not in head:
            self._head = head
            if len(head) > _HEAD_LIMIT:
                raise ProbeError(Reason(Code.LIMIT, "handshake", f"headers are larger than {_HEAD_LIMIT >> 10} KiB"))
            return
        self._head = None
        version, _, status = head.partition(b"\r\n")[0].partition(b" ")
        code = status[:3].decode("latin-1")
        if not version.startswith(b"HTTP/") or not code.isdigit():
            raise ProbeError(Reason(Code.PROTOCOL, "handshake", "not a valid HTTP answer to the handshake"))
        if code != "101":
            raise ProbeError(Reason(Code.PROTOCOL, "handshake", f"expected status 101, got {code}"))

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def close(self) -> None:
        self._stream.close()


def _facts(message: str | bytes, expectations: Expectations) -> dict[str, Any]:
    if isinstance(message, bytes):
        return {"binary": message, "size": len(message)}
    facts: dict[str, Any] = {"text": message, "size": len(message.encode("utf-8", "replace"))}
    if "json" in expectations.names:
        facts["json"] = parsed(message, "dialogue")
    return facts


def _closing(closed: CloseReason | None) -> tuple[Code, str]:
    """Say how a connection was closed that we had not done with."""
    if closed is None or closed.code == _ABNORMAL:
        return Code.PROTOCOL, "the server dropped the connection"
    if closed.code == _TOO_BIG and (closed.reason or "").startswith("Exceeded maximum message size"):
        return Code.LIMIT, f"a message is larger than {_MESSAGE_LIMIT >> 20} MiB"  # trio-websocket closed it, for us
    reason = f": {closed.reason}" if closed.reason else ""
    return Code.PROTOCOL, f"the server closed the connection with code {closed.code}{reason}"


def _ending(exc: BaseException) -> tuple[Code, str]:
    """Say what trio-websocket or wsproto raised; an error about our answer hides the server's that it answers to."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if isinstance(exc, trio_websocket.ConnectionClosed):
        return _closing(exc.reason)
    theirs = exc
    while theirs.__context__ is not None:
        theirs = theirs.__context__
    return Code.PROTOCOL, f"the server broke the protocol: {describe(theirs)}"
