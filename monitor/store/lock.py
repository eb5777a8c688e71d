"""One daemon per data directory: a lock that the kernel lets go of, however the process ends."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from monitor.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "monitor.lock"


class DirectoryLock:
    """Held from `take` until `release`, or until the process is gone."""

    def __init__(self, descriptor: int) -> None:
        """Own *descriptor*, on which the lock is."""
        self._descriptor = descriptor

    @classmethod
    def take(cls, data_dir: Path) -> DirectoryLock:
        """Lock *data_dir* without waiting; StoreError when another process has it. OSError passes."""
        # Python opens without inheritance, so no program that we start can keep the lock for us.
        descriptor = os.open(data_dir / NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreError(f"data_dir {data_dir} is in use by another daemon{holder}") from None
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    def is_at(self, data_dir: Path) -> bool:
        """Is this the lock of *data_dir* as it is now?"""
        try:
            return os.path.samestat(os.fstat(self._descriptor), (data_dir / NAME).stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go. The file stays: removing it would let two others lock two different files."""
        os.close(self._descriptor)


def _holder(descriptor: int) -> str:
    """Who has the lock, if it has written that down yet: ` (pid 4711)`."""
    pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return f" (pid {pid})" if pid.isdecimal() else ""
