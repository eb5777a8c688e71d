"""A conversation over a WebSocket: handshake, steps, close; for the check `websocket`, whatever its mode.

trio-websocket runs on a stream of the engine's, in a nursery of its own, so that nothing it does reaches further.
What it leaves open is settled here:

    a server that hangs up, or answers something else, during the handshake leaves its opener waiting: our stream
    looks at the bytes and the end of the stream itself, and raises in its reader
    its queue, when full, keeps pongs from being seen: a task takes messages out all the time
    its `ping` waits for ever on a connection that is closed: the same task ends that wait

This module costs Trio and more, so `websocket` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

import attrs
import h11
import trio
import trio_websocket
from wsproto.connection import ConnectionState
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from checks.documents import parsed
from monitor.api import Code, Duration, Expectations, Probe, ProbeError, Reason, describe, seconds_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio_websocket import CloseReason, WebSocketConnection

    from checks.websocket_steps import Step
    from checks.wire import WatchedStream

ABNORMAL = 1006  # what stands for a close code where none came
_TOO_BIG = 1009
_MESSAGE_LIMIT = 1024 * 1024  # bytes of one message
_MOST_WAITING = 4 * 1024 * 1024  # bytes of messages that no step has looked at yet
_MOST_MESSAGES = 10_000
_PINGS = 100  # the latest, of which the percentiles are
_PERCENTILES = (50, 95, 99)


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
    """One conversation over *stream*; every failure is a ProbeError."""

    def __init__(
        self, probe: Probe, stream: WatchedStream, steps: tuple[Step, ...], expectations: tuple[Expectations, ...]
    ) -> None:
        """Take over *stream*; *expectations* has one for each of *steps*."""

        self.facts = probe.facts
        self._probe = probe
        self._monotonic = probe.monotonic
        self._stream = stream
        self._steps = tuple(zip(steps, expectations, strict=True))
        # Messages wait here only for steps that look at them; the bounds hold what a flood may cost.
        self._wanted = any(step.expect is not None or step.silent_for is not None for step in steps)
        self._waiting = 0
        self._pinging = False
        self._rtts: deque[float] = deque(maxlen=_PINGS)

    async def visit(self, handshake: Handshake, *, ask: bool = False) -> None:
        """Shake hands, go through the steps, close; *ask*: ping in any case."""

        async def whole(connection: WebSocketConnection) -> None:
            await self._talk(connection, ask=ask)
            await self._close(connection)

        await self._connected(handshake, whole)

    async def _connected(self, handshake: Handshake, talk: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
        """Shake hands, then *talk*; whatever the server does ends here."""

        finished = False
        try:
            async with trio.open_nursery() as own:
                connection = await self._open(own, handshake)
                own.start_soon(self._drain, connection)
                await talk(connection)
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
        self.facts["headers"] = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in connection.handshake_headers
        }
        self.facts["subprotocol"] = connection.subprotocol
        self.facts["messages"] = 0
        return connection

    async def _drain(self, connection: WebSocketConnection) -> None:
        """Take every message out of trio-websocket's queue as it comes."""

        try:
            while True:
                message = await connection.get_message()
                self.facts["messages"] += 1
                self._came()
                if self._wanted:
                    self._lay_in(message)
        except trio_websocket.ConnectionClosed:
            pass
        finally:
            if self._wanted:
                self._inbox.close()
        if self._pinging:
            await self._before_the_end()
            self._dropped(connection.closed)

    async def _before_the_end(self) -> None:
        """The connection was closed by the server, and that is about to be told."""

    def _lay_in(self, message: str | bytes) -> None:
        self._waiting += len(message)
        try:
            self._inbox.send_nowait(message)
        except trio.WouldBlock:
            self._fail(Code.LIMIT, f"more than {_MOST_MESSAGES:,} messages came that no step had read yet")
        except trio.BrokenResourceError:
            return  # the steps are done
        if self._waiting > _MOST_WAITING:
            self._fail(Code.LIMIT, f"more than {_MOST_WAITING >> 20} MiB of messages came unread")

    def _came(self) -> None:
        """A message came."""

    async def _talk(self, connection: WebSocketConnection, *, ask: bool) -> None:
        self._probe.phase("dialogue")
        for step, expectations in self._steps:
            if (message := step.message) is not None:
                await connection.send_message(message)
            elif step.ping:
                await self._ping(connection, step.within)
            elif step.silent_for is not None:
                await self._hear_nothing(connection, step.silent_for)
            else:
                await self._expect(connection, step, expectations)
        if not self._steps or (ask and "ping_rtt" not in self.facts):
            await self._ping(connection, None)
        if self._wanted:
            self._messages.close()

    async def _ping(self, connection: WebSocketConnection, within: Duration | None) -> None:

        began = self._monotonic()
        if within is None:
            await self._pong(connection)
        else:
            with trio.move_on_after(within) as patience:
                await self._pong(connection)
            if patience.cancelled_caught:
                self._fail(Code.TIMEOUT, f"no pong within {seconds_text(within)}")
        self._note_rtt(self._monotonic() - began)

    async def _pong(self, connection: WebSocketConnection) -> None:

        self._pinging = True
        await connection.ping()
        self._pinging = False

    def _note_rtt(self, seconds: float) -> None:

        self._rtts.append(seconds)
        self.facts["ping_rtt"] = timedelta(seconds=seconds)
        ordered = sorted(self._rtts)
        for percent in _PERCENTILES:
            # The nearest rank: what so many of a hundred were not slower than.
            rank = -(-percent * len(ordered) // 100)
            self.facts[f"ping_rtt_p{percent}"] = timedelta(seconds=ordered[rank - 1])

    async def _hear_nothing(self, connection: WebSocketConnection, silent_for: Duration) -> None:

        while True:  # what came before does not count
            try:
                self._waiting -= len(self._messages.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        began = self._monotonic()
        with trio.move_on_after(silent_for):
            try:
                message = await self._messages.receive()
            except trio.EndOfChannel:
                code, text = closing(connection.closed)
                self._fail(code, f"{text} within a silence of {seconds_text(silent_for)}")
            after = seconds_text(self._monotonic() - began)
            size = len(message if isinstance(message, bytes) else message.encode("utf-8", "replace"))
            text = f"expected silence for {seconds_text(silent_for)}, a message of {size:,} bytes came after {after}"
            self._fail(Code.EXPECTATION, text)

    async def _expect(self, connection: WebSocketConnection, step: Step, expectations: Expectations) -> None:

        skipped = 0
        with trio.move_on_after(step.within or float("inf")):
            while True:
                try:
                    message = await self._messages.receive()
                except trio.EndOfChannel:
                    code, text = closing(connection.closed)
                    self._fail(code, f"{text} before a message with {step.expect}")
                self._waiting -= len(message)
                complaint = expectations.first_false(_facts(message, expectations))
                if complaint is None:
                    return
                if step.next:
                    self._fail(Code.EXPECTATION, complaint)
                skipped += 1
        others = f", {skipped} other{'s' if skipped > 1 else ''} came" if skipped else ""
        self._fail(Code.TIMEOUT, f"no message with {step.expect} within {seconds_text(step.within or 0)}{others}")

    async def _close(self, connection: WebSocketConnection) -> None:

        self._probe.phase("close")
        began = self._monotonic()
        await connection.aclose()
        self.facts["close_latency"] = timedelta(seconds=self._monotonic() - began)
        # `closed` says 1000 as soon as we ask for the close; only this says that the server answered.
        answered = connection._wsproto.state is ConnectionState.CLOSED  # noqa: SLF001 - it tells nobody else
        closed = connection.closed if answered else None
        self.facts["close_code"] = None if closed is None else closed.code
        if closed is None or closed.code == ABNORMAL:
            self._fail(Code.PROTOCOL, "the server dropped the connection without a close frame")

    def _dropped(self, closed: CloseReason | None) -> NoReturn:
        """The server closed the connection, well or badly, while we waited for a pong."""
        self._fail(*closing(closed))

    @cached_property
    def _channel(self) -> tuple[trio.MemorySendChannel[str | bytes], trio.MemoryReceiveChannel[str | bytes]]:
        """From who takes messages out to the steps that look at them; made for those who have such a step."""
        return trio.open_memory_channel[str | bytes](_MOST_MESSAGES)

    @property
    def _inbox(self) -> trio.MemorySendChannel[str | bytes]:
        return self._channel[0]

    @property
    def _messages(self) -> trio.MemoryReceiveChannel[str | bytes]:
        return self._channel[1]

    @property
    def _phase(self) -> str | None:
        return self._probe.current_phase

    def _fail(self, code: Code, message: str) -> NoReturn:
        raise ProbeError(Reason(code, self._phase, message))


def _facts(message: str | bytes, expectations: Expectations) -> dict[str, Any]:
    if isinstance(message, bytes):
        return {"binary": message, "size": len(message)}
    facts: dict[str, Any] = {"text": message, "size": len(message.encode("utf-8", "replace"))}
    if "json" in expectations.names:
        facts["json"] = parsed(message, "dialogue")
    return facts


def closing(closed: CloseReason | None) -> tuple[Code, str]:
    """Say how a connection was closed that we had not done with."""
    if closed is None or closed.code == ABNORMAL:
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
        return closing(exc.reason)
    theirs = exc
    while theirs.__context__ is not None:
        theirs = theirs.__context__
    return Code.PROTOCOL, f"the server broke the protocol: {describe(theirs)}"
