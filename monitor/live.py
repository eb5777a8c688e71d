"""The live feed: every observation and transition as it happens, to whoever listens.

A channel is only a doorbell here too: a listener that falls behind is dropped, and catches up from the store.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.core.model import Endpoint, Transition
    from monitor.store import Record

BACKLOG = 256  # messages a listener may be behind


@attrs.frozen
class Observed:
    """An endpoint was probed; *record* is how it stands now."""

    endpoint: Endpoint
    record: Record


@attrs.frozen
class Moved:
    """An endpoint changed its state, or left."""

    transition: Transition


Event = Observed | Moved


class LiveFeed:
    """Broadcasts events to its listeners without ever waiting for one."""

    def __init__(self) -> None:
        """Begin without listeners."""
        self._listeners: set[trio.MemorySendChannel[Event]] = set()

    def publish(self, event: Event) -> None:
        """Hand *event* to every listener; one whose backlog is full is dropped (its channel ends)."""
        for channel in tuple(self._listeners):
            try:
                channel.send_nowait(event)
            except trio.WouldBlock:
                self._listeners.discard(channel)
                channel.close()
            except trio.BrokenResourceError:
                self._listeners.discard(channel)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @contextlib.contextmanager
    def listen(self) -> Iterator[trio.MemoryReceiveChannel[Event]]:
        """Receive every message from now on; the channel ends when this listener fell behind."""
        send, receive = trio.open_memory_channel[Event](BACKLOG)
        self._listeners.add(send)
        try:
            yield receive
        finally:
            self._listeners.discard(send)
            send.close()
            receive.close()
