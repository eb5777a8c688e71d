"""From whatever a command does to an exit code, with one sentence on stderr for each thing that went wrong.

0-2 belong to results. Every usage or config error, and everything unexpected, is 3: never Python's 1, which means
degraded, nor click's 2, which means down. That is why click's own `main` is not used.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.core.errors import ConfigError, MonitorError, describe, typed
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

FAILED = 3
INTERRUPTED = 130
BROKEN_PIPE = 141  # what a shell shows for a program that SIGPIPE ended


def run(args: Sequence[str]) -> int:
    """Run the command line *args*; return the exit code. Only KeyboardInterrupt leaves this function."""
    sys.stdout, sys.stderr = _writable(sys.stdout), _writable(sys.stderr)
    # httpx would import a command line of its own, and rich and pygments with it: a fifth of what a check costs to
    # start. Told that it is not installed, httpx goes on without.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # the documented way to block an import
    try:
        code = _invoke(args)
        sys.stdout.flush()
    except Exception as exc:  # noqa: BLE001 - the last resort: a sentence in place of a traceback
        return _reported(exc)
    return code


def _reported(exc: Exception) -> int:
    match _innermost(exc):
        case BrokenPipeError():
            _discard(sys.stdout)
            return BROKEN_PIPE
        case click.UsageError() as mistake:
            return _usage(mistake)
        case ConfigError(problems=problems):
            return _failed(*map(str, problems))
        case MonitorError() | click.ClickException() as known:
            return _failed(str(known))
        case unexpected:
            return _unexpected(unexpected)


def _innermost(exc: Exception) -> Exception:
    """What a nursery wrapped, where it is one thing."""
    while isinstance(exc, ExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _invoke(args: Sequence[str]) -> int:
    from monitor.cli.root import root  # noqa: PLC0415 - whatever goes wrong in there is reported here

    try:
        with root.make_context("monitor", list(args)) as ctx:
            code = root.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.Abort as exc:
        raise KeyboardInterrupt from exc
    return code if isinstance(code, int) else 0


def _usage(exc: click.UsageError) -> int:
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        _say(exc.format_message())
        return FAILED
    _failed(" ".join(exc.format_message().split()))  # click breaks lines before what one may choose from
    if exc.ctx is not None:
        _say(f"Try '{exc.ctx.command_path} --help'.")
    return FAILED


def _failed(*problems: str) -> int:
    for problem in problems:
        _say(f"error: {printable(problem)}")
    return FAILED


def _unexpected(exc: Exception) -> int:
    # Output that could not be written is still in the buffer; the interpreter would try again on its way out.
    _discard(sys.stdout)
    if os.environ.get("MONITOR_DEBUG") == "1":
        import traceback  # noqa: PLC0415

        _say("".join(traceback.format_exception(exc)).rstrip())
    if isinstance(exc, OSError):
        return _failed(describe(exc))
    return _failed(f"{typed(exc)} (a bug; MONITOR_DEBUG=1 shows where)")


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - stderr is where errors belong
    except (OSError, ValueError):
        _discard(sys.stderr)  # nobody listens; the exit code says it all


def _writable(stream: TextIO | None) -> TextIO:
    """*stream*, which never fails to encode a character, nor for want of being open."""
    if stream is None:  # started with it closed
        return Path(os.devnull).open("w")
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return stream


def _discard(stream: TextIO) -> None:
    """Send what *stream* still holds, and whatever follows, nowhere."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
