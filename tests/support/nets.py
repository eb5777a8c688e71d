"""A `monitor.net.Net` whose network may be gone: nothing is sent, only connecting works or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason

if TYPE_CHECKING:
    from monitor.net import Stream


class SilentStream:
    """A connection over which nothing comes."""

    ip = "192.0.2.1"
    ragged = False
    alpn = None
    is_quiet = True

    async def send_all(self, data: Any) -> None: ...

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None: ...

    def close(self) -> None: ...


class ConnectNet:
    """Connects after *latency* seconds to every host but those in *refused*, and never to those in *mute*."""

    drive = None

    def __init__(self) -> None:
        self.latency = 0.1
        self.refused: set[str] = set()
        self.mute: set[str] = set()
        self.asked: list[tuple[float, str]] = []  # when, and whom

    async def connect(self, host: str, port: int, **_: Any) -> Stream:
        self.asked.append((trio.current_time(), host))
        if host in self.mute:
            await trio.sleep_forever()
        await trio.sleep(self.latency)
        if host in self.refused:
            raise ProbeError(Reason(Code.CONNECT, "connect", f"connection refused ({host}:{port})"))
        return SilentStream()
