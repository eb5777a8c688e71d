"""The daemon's log: stdlib logging, written to a file descriptor by a thread of its own.

    logging call ─→ one line: masked, escaped ─→ bounded queue ─→ writer thread ─→ descriptor

A log call never waits: where nobody reads the other end of stderr, lines are dropped and counted, and the first
line that finds room says how many. What a server sent cannot forge a line: whatever is not printable is escaped,
and a traceback's lines are indented. No line leaves without the mask.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import logging.handlers
import os
import queue
import select
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from monitor.core.model import timestamp
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

log = logging.getLogger(__name__)

BACKLOG = 10_000  # lines that may wait to be written
LONGEST_FLUSH = 1.0  # seconds that the end of the block waits for what is not written yet
_LONGEST_MESSAGE = 10_000  # characters

# At `info` httpx logs every URL it asks for, and what is in them may be secret; watchfiles that any file changed.
_QUIET = ("httpx", "httpcore", "watchfiles")


@contextlib.contextmanager
def setup(
    *,
    format: Literal["text", "json"],  # noqa: A002 - the option's name
    level: str,
    stream: TextIO,
    mask: Callable[[str], str],
) -> Iterator[None]:
    """Log to *stream*, which has a descriptor, for as long as the block; *level* is a name such as `info`.

    Every line goes through *mask*. At the end what waits is written, for LONGEST_FLUSH at most.
    """
    writer = _Writer(stream.fileno())
    handler = _Handler(writer.lines, (_JsonFormatter if format == "json" else _TextFormatter)(mask))
    root = logging.getLogger()
    before = {logger: logger.level for logger in (root, *map(logging.getLogger, _QUIET))}
    for logger in before:
        logger.setLevel(logging.WARNING)
    root.setLevel(level.upper())
    root.addHandler(handler)
    writer.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, number in before.items():
            logger.setLevel(number)
        writer.close()


@contextlib.contextmanager
def plain(*, mask: Callable[[str], str]) -> Iterator[None]:
    """Log warnings to stderr for as long as the block, of a command that ends soon: the masked message alone."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_PlainFormatter(mask))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """What is printed while the block runs, by a check or a library, is logged: masked, and held up by no reader."""
    out, err = _Printed(sys.stdout, logging.INFO), _Printed(sys.stderr, logging.WARNING)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _Printed(io.TextIOBase):
    """A stream whose lines go to the log."""

    def __init__(self, instead_of: TextIO, level: int) -> None:
        self._instead_of = instead_of
        self._level = level
        self._begun = ""

    def fileno(self) -> int:
        return self._instead_of.fileno()  # for who hands it to a program, or to `faulthandler`

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > _LONGEST_MESSAGE:
            lines, self._begun = [*lines, self._begun], ""
        for line in lines:
            log.log(self._level, "printed: %s", line)
        return len(text)


class _Formatter(logging.Formatter):
    """Renders a record as one line, after the mask."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__()
        self._mask = mask

    def _message(self, record: logging.LogRecord) -> str:
        text = self._mask(record.getMessage())
        return text if len(text) <= _LONGEST_MESSAGE else text[:_LONGEST_MESSAGE] + "…"

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        text = self.formatException(record.exc_info) if record.exc_info else ""
        return self._mask(text).splitlines()

    def _time(self, record: logging.LogRecord) -> str:
        return timestamp(datetime.fromtimestamp(record.created, UTC))


class _TextFormatter(_Formatter):
    """`2026-11-22T15:00:00.123Z INFO monitor.daemon: message`."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{self._time(record)} {record.levelname} {record.name}: {printable(self._message(record))}"
        return "\n".join([head, *(f"    {printable(line)}" for line in self._traceback(record))])


class _PlainFormatter(_Formatter):
    """The message."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [self._message(record), *(f"    {line}" for line in self._traceback(record))]
        return "\n".join(map(printable, lines))


class _JsonFormatter(_Formatter):
    """One object a line: time, level, logger, message, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
        }
        if traceback := self._traceback(record):
            document["traceback"] = traceback
        return json.dumps(document)  # escapes everything that is not ASCII


class _Handler(logging.handlers.QueueHandler):
    """Renders where the log call is made, so that a line shows what was then; hands it over, or drops it."""

    def __init__(self, lines: queue.Queue[str], formatter: logging.Formatter) -> None:
        super().__init__(lines)
        self.setFormatter(formatter)
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, line: Any) -> None:
        try:
            if self._dropped:
                self.queue.put_nowait(self._own("%d log lines were dropped, because nobody read them", self._dropped))
                self._dropped = 0
            self.queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """A log call whose arguments do not fit its message: say where, and never print to stderr from here."""
        self.enqueue(self._own("a log call at %s:%d cannot be rendered", record.filename, record.lineno))

    def _own(self, message: str, *args: object) -> str:
        return self.format(logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, args, None))


class _Writer(threading.Thread):
    """Writes lines to a descriptor, however slow that is.

    Straight to the descriptor, past the stream's buffer: a thread that hangs while it holds the buffer's lock would
    abort the interpreter at its end.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="log writer", daemon=True)
        self.lines: queue.Queue[str] = queue.Queue(BACKLOG)
        # Our own: a thread that still hangs when the stream is closed must not meet whatever gets its number next.
        self._descriptor = os.dup(descriptor)
        self._closing = threading.Event()

    def close(self) -> None:
        """Write what waits, for LONGEST_FLUSH at most; what a blocked reader leaves is lost."""
        self._closing.set()
        with contextlib.suppress(queue.Full):
            self.lines.put_nowait("")  # wakes the thread; where the queue is full it is awake
        self.join(LONGEST_FLUSH)

    def run(self) -> None:
        while not (self._closing.is_set() and self.lines.empty()):
            if line := self.lines.get():
                self._write(f"{line}\n".encode())
        os.close(self._descriptor)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # somebody who shares the terminal made it so
                select.select([], [self._descriptor], [])
            except OSError:
                return  # the other end is gone; who logs must not fail for it
