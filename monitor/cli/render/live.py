"""Live lines on a terminal: what is done scrolls up in order, beneath it what is still under way.

Drawn by a thread of its own: a terminal that stops reading (Ctrl-S) must not hold up the probes, whose deadlines
would pass meanwhile. The region below the finished lines never exceeds the screen, so that it can be redrawn.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import TextIO

    from monitor.cli.render.text import Text
    from monitor.cli.terminal import Span
    from monitor.core.model import Endpoint, Observation

_REDRAW = 0.1  # seconds


class Live:
    """Shows *endpoints* while they are probed; a context manager. Tell it with `started` and `finished`."""

    def __init__(self, endpoints: Sequence[Endpoint], text: Text, stream: TextIO) -> None:
        """Draw nothing yet."""
        self._endpoints = endpoints
        self._text = text
        self._stream = stream
        self._began: dict[int, float] = {}  # by id(endpoint): one endpoint may be given twice
        self._results: dict[int, Observation] = {}
        self._scrolled = 0  # endpoints whose final lines stand above the region
        self._height = 0  # lines of the region
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, name="live lines", daemon=True)

    def started(self, endpoint: Endpoint) -> None:
        """Its probe began."""
        self._began[id(endpoint)] = time.monotonic()

    def finished(self, endpoint: Endpoint, observation: Observation) -> None:
        """Its probe ended."""
        self._results[id(endpoint)] = observation

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        """Leave the final lines of all that have a result."""
        self._over.set()
        self._thread.join(None if kind is None else 1.0)  # after Ctrl-C a stuck terminal must not hold us
        if not self._thread.is_alive():
            self._draw(final=True)

    def _keep_drawing(self) -> None:
        try:
            while not self._over.wait(_REDRAW):
                self._draw()
        except OSError:
            return  # the terminal is gone; the main thread will find that out as well

    def _draw(self, *, final: bool = False) -> None:
        columns, rows = self._text.terminal.size()
        up = f"\x1b[{self._height}A" if self._height else ""
        lines = [self._text.terminal.line(spans) for spans in self._newly_done()]
        region = [] if final else self._region(rows - 1)
        lines += [self._text.terminal.line(spans, columns - 1) for spans in region]
        self._height = len(region)
        self._stream.write(f"{up}\r\x1b[J" + "".join(f"{line}\n" for line in lines))
        self._stream.flush()

    def _newly_done(self) -> list[list[Span]]:
        """The final lines of every endpoint up to the first without a result."""
        lines: list[list[Span]] = []
        for endpoint in self._endpoints[self._scrolled :]:
            observation = self._results.get(id(endpoint))
            if observation is None:
                break
            self._scrolled += 1
            lines += self._text.result(endpoint, observation)
        return lines

    def _region(self, rows: int) -> list[list[Span]]:
        """One line for each endpoint not scrolled up yet, as many as there are *rows*, and one for the rest."""
        rest = self._endpoints[self._scrolled :]
        shown = rest if len(rest) <= rows else rest[: rows - 1]
        lines = [self._line(endpoint) for endpoint in shown]
        if len(shown) < len(rest):
            lines.append([(f"  and {len(rest) - len(shown)} more; {len(self._results)} done", "dim")])
        return lines

    def _line(self, endpoint: Endpoint) -> list[Span]:
        observation = self._results.get(id(endpoint))
        if observation is not None:
            return next(self._text.result(endpoint, observation))
        began = self._began.get(id(endpoint))
        return self._text.running(endpoint, None if began is None else time.monotonic() - began)
