"""The monitor's side: starts the zygote when it is first needed, asks it for keepers, runs programs.

Nothing here waits for a fork, an exec or a death: whoever is cancelled lets go of a leash, and the keeper at its other
end does the rest.
"""

from __future__ import annotations

import array
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import attrs
import trio

from monitor.core.errors import ProbeError
from monitor.core.model import Code, Reason
from monitor.core.programs import DEFAULT_MEMORY, MOST_OUTPUT, Ran
from monitor.core.quantities import ByteSize, shown
from monitor.processes.frames import FrameError, framed, next_frame
from monitor.processes.zygote import KEEP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

_LONGEST_REPORT = 16 * MOST_OUTPUT  # JSON may need six characters for a byte
_GOODBYE = 1.0  # seconds for the zygote to end

# What of the monitor's environment others see: how to find programs, libraries, time zones and languages.
PASSED_ON = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"),
    }
)


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """What of *environ* a process of ours may see: no secret that is in it for somebody else."""
    return {name: value for name, value in environ.items() if name in PASSED_ON or name.startswith("LC_")}


@attrs.frozen(kw_only=True)
class Ended:
    """How a process below a keeper ended. *code* as subprocess has it: minus the signal's number; None: not known."""

    code: int | None
    why: str | None  # `memory`: it was ended for having too much
    failed: str  # why it could not begin
    gone: bool  # is nothing left of it?
    out: bytes
    err: bytes


NOTHING_KNOWN = Ended(code=None, why=None, failed="", gone=True, out=b"", err=b"")


class Leash:
    """A keeper, held: as long as it is, what is below it may live."""

    def __init__(self, sock: socket.socket) -> None:
        """Hold *sock*."""
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    async def begin(self, job: Mapping[str, Any]) -> None:
        """Say what to do."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # `ended` tells
            await self._stream.send_all(framed(json.dumps(job).encode()))

    async def ended(self) -> Ended:
        """Wait until all of it has ended."""
        try:
            report = await next_frame(self._stream, most=_LONGEST_REPORT)
            if report is None:
                return NOTHING_KNOWN
            said = json.loads(report)
            for name in ("out", "err"):
                said[name] = said[name].encode("latin-1")
            ended = Ended(**said)
            if not ended.gone:
                log.warning("something that a check started could not be killed: it belongs to another user")
            return ended
        except (trio.BrokenResourceError, trio.ClosedResourceError, FrameError, ValueError, TypeError, LookupError):
            return NOTHING_KNOWN  # whoever has our user may have killed the keeper, or spoken in its place

    def let_go(self) -> None:
        """Have all of it end, now."""
        self._stream.socket.close()


class Processes:
    """Starts processes. A context manager: at its end the zygote ends, and with it all that is held still."""

    def __init__(self, *, modules: Sequence[str] = (), memory: int = DEFAULT_MEMORY) -> None:
        """Start nothing yet. *modules* are loaded once, for all; *memory* in bytes is for one with all below it."""
        self.memory = memory
        self._modules = tuple(modules)
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: trio.socket.SocketType | None = None
        self._starting = trio.Lock()
        # Its own: threads of plugins that hang must not keep anybody from starting.
        self._threads = trio.CapacityLimiter(2)

    async def keeper(self, channel: socket.socket | None = None) -> Leash:
        """Fork a keeper; what is below it gets *channel*, which is closed here. Raises ProbeError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        leash = Leash(ours)
        try:
            descriptors = [each.fileno() for each in (theirs, channel) if each is not None]
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())
            try:
                await (await self._ask_where()).sendmsg([KEEP.pack(self.memory)], [rights])
            except OSError:  # the zygote is gone: somebody has killed it
                await self._bury()
                await (await self._ask_where()).sendmsg([KEEP.pack(self.memory)], [rights])
        except OSError as exc:
            leash.let_go()
            text = f"the monitor cannot start a process: {exc.strerror or type(exc).__name__}"
            raise ProbeError(Reason(Code.INTERNAL, None, text)) from exc
        except BaseException:
            leash.let_go()
            raise
        finally:
            theirs.close()
            if channel is not None:
                channel.close()
        return leash

    async def run(self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> Ran:
        """Run *command* to its end, without a shell, its input empty. See `Probe.run`, which is for checks."""
        leash = await self.keeper()
        try:
            await leash.begin(
                {
                    "argv": list(command),
                    "env": {**scrubbed(os.environ), **env},
                    "cwd": cwd,
                    "memory": self.memory,
                    "limit": MOST_OUTPUT,
                }
            )
            ended = await leash.ended()
        finally:
            leash.let_go()
        if ended.failed:
            raise _failure(f"expected a program that can be started, got {shown(command[0])}: {ended.failed}")
        if ended.why == "memory":
            raise ProbeError(Reason(Code.CRASH, None, f"the program used more than {ByteSize(self.memory)} of memory"))
        if ended.code is None:
            raise _failure("the monitor lost sight of the program: the process that watches it was killed")
        return Ran(code=ended.code, out=ended.out, err=ended.err)

    async def _ask_where(self) -> trio.socket.SocketType:
        async with self._starting:
            if self._control is None:
                ours, theirs = socket.socketpair()
                try:
                    self._zygote = await trio.to_thread.run_sync(self._popen, theirs, limiter=self._threads)
                except BaseException:
                    ours.close()
                    raise
                finally:
                    theirs.close()
                ours.setblocking(False)
                self._control = trio.socket.from_stdlib_socket(ours)
            return self._control

    def _popen(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "monitor.processes.zygote", *self._modules],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=scrubbed(os.environ),
            start_new_session=True,
        )

    async def _bury(self) -> None:
        """Wait for the end of the zygote, which comes when nobody can ask it any more."""
        control, self._control = self._control, None
        zygote, self._zygote = self._zygote, None
        if control is not None:
            control.close()
        if zygote is None:
            return

        def wait() -> None:
            try:
                zygote.wait(_GOODBYE)
            except subprocess.TimeoutExpired:
                zygote.kill()
                zygote.wait()

        await trio.to_thread.run_sync(wait, limiter=self._threads)

    async def __aenter__(self) -> Self:
        """Be ready; nothing is started before it is needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the zygote; what leashes are still held ends with it."""
        with trio.CancelScope(shield=True):
            await self._bury()


def _failure(text: str) -> ProbeError:
    return ProbeError(Reason(Code.INTERNAL, None, text))
