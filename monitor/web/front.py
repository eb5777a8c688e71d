"""Where the daemon shows its face: a socket that listens before anything else is done, and is served last.

The daemon takes it as a port, so that a simulated one can do without sockets.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

import trio

from monitor.web.app import create_app
from monitor.web.server import bound, listen, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config import Listen
    from monitor.web import Face
    from monitor.web.server import Listener


class Front(Protocol):
    """A place to be seen at."""

    url: str

    async def serve(self, face: Face, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
        """Show *face* until cancelled; started when it can be seen."""


class WebFront:
    """The real `Front`: HTTP on a socket that listens."""

    def __init__(self, listener: Listener) -> None:
        """Serve on *listener*, which is ours to close."""
        where = bound(listener)
        self.url = f"http://{where}"
        self._listener = listener

    async def serve(self, face: Face, *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED) -> None:
        """Show *face* until cancelled; started when it can be seen."""
        await serve(create_app(face), self._listener, task_status=task_status)


@contextlib.contextmanager
def open_front(where: Listen) -> Iterator[WebFront]:
    """Listen at *where* for as long as the block. Raises MonitorError when that cannot be."""
    with listen(where) as listener:
        yield WebFront(listener)
