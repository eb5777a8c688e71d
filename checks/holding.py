"""A WebSocket connection that is held from one probe to the next; for the check `websocket`, `mode = "hold"`.

    a probe opens it: connection, handshake, steps, at least one ping, all under that probe's deadline
    it stays: pings where no probe has asked for long, counts messages, minds silence, answers the server's pings
    each probe asks for a pong, and judges

Patience is measured on a clock that stands still while the monitor does. What is remembered from one connection to the
next stands in the companion's memory. A connection that opens is well, unless two before it were: they opened, and
failed before they had proved anything, so this one must prove itself first (last, and answer one more ping), else a
server that drops everybody at once would look well every second time. Likewise who fell silent must speak.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

import trio
import trio_websocket

from checks.conversation import ABNORMAL, Conversation, closing
from checks.wire import HeldStream, Pace
from monitor.api import Code, ProbeError, Verdict, seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_websocket import CloseReason, WebSocketConnection

    from checks.conversation import Handshake
    from checks.websocket_steps import Step
    from monitor.api import Companion, Duration, Expectations, Probe, Stream

_PING_INTERVAL = 15.0  # seconds, where the config does not say
_GOODBYE = b"\x88\x82\0\0\0\0\x03\xe9"  # a close frame, 1001: going away (RFC 6455, section 5.5.1)
_GRACE = 0.2  # seconds to send it
_IN_PEACE = frozenset({1000, 1001, 1005, ABNORMAL, 1012, 1013})  # codes of servers that only want a new connection
_NOTICEABLE = 5.0  # seconds that the monitor stood still; who hears nothing for less gives nobody up

# What is remembered from one connection to the next.
_UNPROVED = "unproved"  # how many connections in a row failed before they had proved themselves
_SILENT_SINCE = "silent_since"  # on the companion's clock; there while a message is owed
_CLOSE_CODE = "close_code"  # that the server sent with the last
_CONNECTIONS = "connections"


def note_end(probe: Probe, companion: Companion) -> None:
    """Note in *probe* how the connection ended that it tells of, if it ended."""
    if not companion.is_here and (code := companion.memory.pop(_CLOSE_CODE, None)) is not None:
        probe.facts["close_code"] = code


class HeldConnection(Conversation):
    """One connection, for as long as it lasts."""

    def __init__(
        self,
        probe: Probe,
        companion: Companion,
        stream: Stream,
        steps: tuple[Step, ...],
        expectations: tuple[Expectations, ...],
        *,
        ping_interval: Duration | None,
        max_silence: Duration | None,
        min_lifetime: Duration | None,
    ) -> None:
        """Take over *stream*, which *probe* opened."""
        self._held = HeldStream(stream)
        super().__init__(probe, self._held, steps, expectations)
        self._companion = companion
        self._ping_interval = ping_interval or _PING_INTERVAL
        self._max_silence = max_silence
        self._min_lifetime = min_lifetime
        self._connection: WebSocketConnection | None = None
        self._certificate_expires = probe.certificate_expires
        self._began = probe.monotonic()
        self._asked_at = self._heard_at = companion.awake()
        self._last_sign = (probe.monotonic(), companion.awake())  # of life, on both clocks
        self._is_settled = False
        self._has_proved_itself = False
        self._is_blameless = False  # it ended, and that says nothing about the server
        self._is_due = False  # it was dropped after its time, which is no failure

    async def stay(self, handshake: Handshake, *, task_status: trio.TaskStatus[HeldConnection]) -> None:
        """Hold the connection until it ends; raises what is wrong with that, if anything is."""

        companion = self._companion

        async def whole(connection: WebSocketConnection) -> None:
            self._connection = connection
            await self._talk(connection, ask=True)
            self._settle_down()
            task_status.started(self)
            try:
                async with trio.open_nursery() as watches:
                    watches.start_soon(self._keep_asking)
                    if self._max_silence is not None:
                        watches.start_soon(self._mind_silence, self._max_silence)
            finally:
                if not (self._has_proved_itself or self._is_blameless or self._lost() > self._since_sign() / 10):
                    companion.memory[_UNPROVED] = companion.memory.get(_UNPROVED, 0) + 1
                if connection.closed is None:
                    await self._say_goodbye()

        try:
            await self._connected(handshake, whole)
        except* ProbeError:
            if not self._is_due:
                raise

    async def ask(self) -> None:
        """Ping, and wait for the pong; for a probe, whose deadline holds."""
        assert self._connection is not None  # noqa: S101 - nobody can ask before
        self._asked_at = self._companion.awake()
        began = self._monotonic()
        try:
            await self._connection.ping()
        except trio_websocket.ConnectionClosed:
            await trio.sleep_forever()  # how it ended says who reads from it
        self._note_rtt(self._monotonic() - began)
        self._note_sign()
        if self._monotonic() - self._began >= self._lasting:
            self._has_proved_itself = True
            self._companion.memory.pop(_UNPROVED, None)

    def note(self, probe: Probe) -> None:
        """Note in *probe* what is known."""
        companion = self._companion
        probe.facts.update(self.facts)
        probe.facts["connected_for"] = timedelta(seconds=self._monotonic() - self._began)
        probe.facts["silence"] = timedelta(seconds=companion.awake() - self._heard_at)
        probe.facts["connections"] = companion.memory[_CONNECTIONS]
        if (expires := self._certificate_expires) is not None:
            probe.certificate_expires = expires
            probe.facts["cert_expires_in"] = expires - probe.started_at

    def complaint(self) -> Verdict | None:
        """What those before it left to be mended, if anything."""
        memory, enough = self._companion.memory, seconds_text(self._lasting)
        lasted = seconds_text(self._monotonic() - self._began)
        if (unproved := memory.get(_UNPROVED, 0)) > 1:
            text = f"{unproved} connections in a row failed within {enough} or at their second ping"
            return Verdict.down(f"{text}; this one has lasted for {lasted}", code=Code.PROTOCOL, phase=self._phase)
        if (since := memory.get(_SILENT_SINCE)) is not None:
            text = f"no message for {seconds_text(self._companion.awake() - since)}, nor on a new connection"
            return Verdict.down(text, code=Code.TIMEOUT, phase=self._phase)
        return None

    @property
    def _lasting(self) -> float:
        """How long a connection must last to have proved itself."""
        return self._min_lifetime or self._ping_interval

    def _settle_down(self) -> None:
        """The probe that opened the connection ends; from now on it stands on its own."""
        companion, memory = self._companion, self._companion.memory
        self.facts = dict(self.facts)
        self._pinging = self._is_settled = True  # whatever ends it is to be told
        self._held.settle_down(Pace(self._monotonic), companion.take_turn)
        self._asked_at = companion.awake()
        self._note_sign()
        memory.pop(_CLOSE_CODE, None)
        memory[_CONNECTIONS] = memory.get(_CONNECTIONS, 0) + 1

    def _note_sign(self) -> None:
        self._last_sign = (self._monotonic(), self._companion.awake())

    def _came(self) -> None:
        self._note_sign()
        self._heard_at = self._companion.awake()
        self._companion.memory.pop(_SILENT_SINCE, None)

    async def _keep_asking(self) -> None:
        """Ping where nobody has for long. A pong must be there before the next ping is due."""
        while True:
            await self._until(lambda: self._asked_at, self._ping_interval)
            began = self._companion.awake()
            with trio.move_on_after(self._ping_interval) as patience:
                await self.ask()
            if patience.cancelled_caught and self._companion.awake() - began > self._ping_interval * 0.9:
                self._mind_own_trouble()
                self._fail(Code.TIMEOUT, f"no pong within {seconds_text(self._ping_interval)}")

    async def _mind_silence(self, longest: Duration) -> None:
        await self._until(lambda: self._heard_at, longest)
        since = self._companion.memory.setdefault(_SILENT_SINCE, self._heard_at)
        self._fail(Code.TIMEOUT, f"no message for {seconds_text(self._companion.awake() - since)}")

    async def _before_the_end(self) -> None:
        await self._held.end_in_turn()

    def _dropped(self, closed: CloseReason | None) -> NoReturn:
        if not self._is_settled:
            super()._dropped(closed)
        memory, lasted = self._companion.memory, self._monotonic() - self._began
        code, text = closing(closed)
        if closed is not None and closed.code != ABNORMAL:
            memory[_CLOSE_CODE] = closed.code
        self._mind_own_trouble()
        in_peace = closed is None or closed.code in _IN_PEACE
        self._is_due = in_peace and self._min_lifetime is not None and lasted >= self._min_lifetime
        self._is_blameless = self._is_due
        at_least = "" if self._min_lifetime is None else f", expected at least {seconds_text(self._min_lifetime)}"
        self._fail(code, f"{text} after {seconds_text(lasted)}{at_least}")

    def _mind_own_trouble(self) -> None:
        """Blame ourselves where the monitor stood still since the last sign of life: a server need not wait for us."""
        if (lost := self._lost()) > max(_NOTICEABLE, self._since_sign() / 10):
            self._is_blameless = True
            text = f"the monitor stood still for {seconds_text(lost)}, and the connection did not outlast it"
            self._fail(Code.INTERNAL, text)

    def _since_sign(self) -> float:
        return self._monotonic() - self._last_sign[0]

    def _lost(self) -> float:
        """Seconds since the last sign of life in which the monitor stood still."""
        return self._since_sign() - (self._companion.awake() - self._last_sign[1])

    @property
    def _phase(self) -> str | None:
        return "dialogue" if self._is_settled else super()._phase

    async def _say_goodbye(self) -> None:
        """Have the server know that it is us who leave, if that can be said at once."""
        with trio.move_on_after(_GRACE, shield=True), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._held.send_all(_GOODBYE)

    async def _until(self, since: Callable[[], float], seconds: float) -> None:
        """Wait until *seconds* have passed since a moment that may move on, all of them awake."""
        while True:
            left = since() + seconds - self._companion.awake()
            if left <= 0:
                return
            await trio.sleep(left)
