"""What the service manager is told: systemd's datagrams of sd_notify(3), to the socket that NOTIFY_SOCKET names.

    READY=1                       every checker runs and the page is served
    RELOADING=1 … READY=1         around each reload, whatever came of it
    STOPPING=1                    a signal came
    WATCHDOG=1                    twice in each WATCHDOG_USEC, from the loop: where it stalls, the feeding ends
    STATUS=…                      one line for `systemctl status`

Where no service manager listens, all of it does nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

import trio

from monitor.core.errors import describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping

log = logging.getLogger(__name__)

_PATIENCE = 0.1  # seconds at most that the loop waits for a service manager that does not read
_STATUS_EVERY = 5.0  # seconds, where it is not fed


class Notifier:
    """Tells the service manager; use one for the process."""

    def __init__(self, address: str | None = None, *, watchdog: float | None = None) -> None:
        """Tell who listens at *address*, None: nobody; a word is wanted every *watchdog* seconds, None: it is not."""
        self._address = address
        self._watchdog = watchdog
        self._status = ""
        self._is_stopping = False
        self._has_failed = False

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Notifier:
        """As *environ* says; its variables are taken out of it, so that no child takes them for its own."""
        address, pid = environ.pop("NOTIFY_SOCKET", ""), environ.pop("WATCHDOG_PID", "")
        spell = environ.pop("WATCHDOG_USEC", "")
        is_ours = pid in ("", str(os.getpid()))
        watchdog = int(spell) / 1e6 if spell.isascii() and spell.isdigit() and int(spell) and is_ours else None
        return cls(address if address.startswith(("/", "@")) else None, watchdog=watchdog)

    @contextlib.asynccontextmanager
    async def ready(self, status: Callable[[], str]) -> AsyncIterator[None]:
        """Everything has started; while the block runs, tell that the loop does, and *status* whenever it is news."""
        self._status = status()
        self._send("READY=1", f"STATUS={_line(self._status)}")
        async with trio.open_nursery() as beside:
            if self._address is not None:
                beside.start_soon(self._feed, status)
            yield
            beside.cancel_scope.cancel()

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While the block runs, the config is read again."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            if not self._is_stopping:
                self._send("READY=1")

    def stopping(self, why: str) -> None:
        """It ends, for good."""
        self._is_stopping = True
        self._send("STOPPING=1", f"STATUS={_line(f'stopping: {why}')}")

    async def _feed(self, status: Callable[[], str]) -> None:
        while True:
            await trio.sleep(_STATUS_EVERY if self._watchdog is None else self._watchdog / 2)
            news = [] if self._watchdog is None else ["WATCHDOG=1"]
            if (now := status()) != self._status:
                self._status = now
                news.append(f"STATUS={_line(now)}")
            if news:
                self._send(*news)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        name = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
                speaker.settimeout(_PATIENCE)
                speaker.sendto("\n".join(lines).encode("utf-8", "replace"), name)
        except OSError as exc:
            if not self._has_failed:
                log.warning("the service manager could not be told: %s", describe(exc))
            self._has_failed = True
        else:
            self._has_failed = False


def _line(text: str) -> str:
    return " ".join(text.split())
