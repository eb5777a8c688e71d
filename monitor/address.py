"""Where the daemon can be reached: a file in `data_dir`, there while it runs, for the commands that ask it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "address"
_LONGEST = 300  # bytes; what is longer was not written by us
_EVERY = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - who listens on all addresses is reached on this one


def leave(data_dir: Path, url: str) -> None:
    """Write down that the daemon of *data_dir* answers at *url*. OSError passes."""
    parts = urlsplit(url)
    host = _EVERY.get(parts.hostname or "")
    text = url if host is None else f"{parts.scheme}://{host}:{parts.port}"
    fresh = data_dir / f"{NAME}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor has no path
        file.write(f"{text}\n")
    fresh.replace(data_dir / NAME)  # never half an address


def renew(data_dir: Path, url: str) -> None:
    """Write it down again, if nothing is there any more. OSError passes."""
    if not (data_dir / NAME).exists():
        leave(data_dir, url)


def remove(data_dir: Path) -> None:
    """Take it back. OSError passes, but for the file's not being there."""
    (data_dir / NAME).unlink(missing_ok=True)


def left_in(data_dir: Path) -> str | None:
    """The URL that the daemon of *data_dir* left, or None. OSError passes, but for the file's not being there."""
    try:
        with (data_dir / NAME).open("rb") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    url = text.decode("ascii", "replace").strip()
    return url if len(text) <= _LONGEST and url.startswith("http") and url.isprintable() else None


@contextlib.contextmanager
def known(data_dir: Path, url: str) -> Iterator[OSError | None]:
    """Leave *url* for as long as the block runs; given is what went wrong with it, if anything did."""
    problem: OSError | None = None
    try:
        leave(data_dir, url)
    except OSError as exc:
        problem = exc
    try:
        yield problem
    finally:
        with contextlib.suppress(OSError):  # an address where nobody answers is told by who asks there
            remove(data_dir)
