"""The bytes under a WebSocket conversation: the handshake's answer is looked at, a flood is read slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from monitor.api import Code, ProbeError, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.api import Stream

_HEAD_LIMIT = 16 * 1024  # what h11 takes at most, too
_MOUTHFUL = 1024  # bytes for trio-websocket at once: five hundred empty frames, which take it 15 ms
_SHARE = 0.05  # of the loop's time that a connection which stays may take
_AT_ONCE = 0.25  # seconds of it that it may take at once, where it took none before
_LONGEST_STEP = 0.05  # seconds; what seems to take longer is somebody else's turn
_PATIENCE = 10.0  # seconds of a flood


class Pace:
    """How fast a connection that stays is read: a server that sends without end leaves the loop to others.

    The time between two reads is what their bytes took. Raises ProbeError once it was too much for long.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._owed = 0.0
        self._handed_out_at: float | None = None
        self._settled_at = monotonic()
        self._too_fast_since: float | None = None

    def handed_out(self) -> None:
        """Bytes have been handed out just now."""
        self._handed_out_at = self._monotonic()

    async def wait(self) -> None:
        """Wait until more may be read."""
        if self._handed_out_at is None:
            return
        now = self._monotonic()
        earned = (now - self._settled_at) * _SHARE
        self._owed = max(0.0, self._owed - earned) + min(now - self._handed_out_at, _LONGEST_STEP)
        self._settled_at, self._handed_out_at = now, None
        if self._owed <= _AT_ONCE:
            self._too_fast_since = None
            return
        if self._too_fast_since is None:
            self._too_fast_since = now
        if now - self._too_fast_since > _PATIENCE:
            text = f"more comes than {_SHARE:.0%} of the monitor's time can take in, for {_PATIENCE:.0f} s"
            raise ProbeError(Reason(Code.LIMIT, "dialogue", text))
        await trio.sleep((self._owed - _AT_ONCE) / _SHARE)


class WatchedStream:
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


class HeldStream(WatchedStream):
    """One that stays: it is read at a pace, its end is told in turn, and more than one may send."""

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream)
        self._turn = trio.Lock()  # to send: trio-websocket's own does not know of who takes leave
        self._pace: Pace | None = None
        self._take_turn: Callable[[], Awaitable[None]] | None = None  # before its end is known

    def settle_down(self, pace: Pace, take_turn: Callable[[], Awaitable[None]]) -> None:
        """From now on read at *pace*, and *take_turn* before the end is known."""
        self._pace, self._take_turn = pace, take_turn

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._pace is not None:
            await self._pace.wait()
        try:
            data = await super().receive_some(max_bytes)
        except trio.BrokenResourceError:
            await self.end_in_turn()
            raise
        if self._pace is not None:
            if not data:
                await self.end_in_turn()
            self._pace.handed_out()
        return data

    async def end_in_turn(self) -> None:
        """Wait for the turn to end, once."""
        if self._take_turn is not None:
            take_turn, self._take_turn = self._take_turn, None
            await take_turn()

    async def send_all(self, data: bytes) -> None:
        try:
            self._turn.acquire_nowait()  # a plain acquire lets the loop come round, at each of the messages
        except trio.WouldBlock:
            await self._turn.acquire()
        try:
            await super().send_all(data)
        finally:
            self._turn.release()
